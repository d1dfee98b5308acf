"""what a failed statement's error means, with the names that may have been meant"""

from __future__ import annotations

import difflib
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg

from qb_engine.database.extensions import (
    METADATA,
    METADATA_SQL,
    created,
    extension_for,
    extension_of,
)
from qb_engine.database.sqlstates import Explained
from qb_engine.database.sqlstates import explain as by_state

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.sql import Statement

MOST_NAMES = 20_000
NEAR = 0.6  # how alike two names are that are offered, from 0 to 1

# Every quoting that the server's translations use; the first name in a message is the missing one.
_NAMED = re.compile(r'["«„“»]\s*([^"«»„“”]+?)\s*["»“”«]|([\w.]+)\(')

# each reads names, and how SQL writes them
COLUMNS = """
SELECT DISTINCT a.attname::text, pg_catalog.quote_ident(a.attname)
  FROM unnest(%s::text[], %s::text[]) AS t (nsp, rel)
  JOIN pg_catalog.pg_class c ON c.relname = t.rel
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
   AND CASE WHEN t.nsp = '' THEN pg_catalog.pg_table_is_visible(c.oid) ELSE n.nspname = t.nsp END
  JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
 LIMIT %s
"""

# tables, views, sequences and indexes; with their schema where the search path does not see them
RELATIONS = """
SELECT c.relname::text,
       CASE WHEN pg_catalog.pg_table_is_visible(c.oid) THEN ''
            ELSE pg_catalog.quote_ident(n.nspname) || '.' END || pg_catalog.quote_ident(c.relname)
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'qb') LIMIT %s
"""

TYPES = """
SELECT name, pg_catalog.format_type(t.oid, NULL)
  FROM pg_catalog.pg_type t,
       LATERAL (VALUES (t.typname::text), (pg_catalog.format_type(t.oid, NULL))) AS v (name)
 WHERE t.typname !~ '^_' AND pg_catalog.pg_type_is_visible(t.oid) LIMIT %s
"""

FUNCTIONS = """
SELECT DISTINCT p.proname::text, pg_catalog.quote_ident(p.proname) FROM pg_catalog.pg_proc p
 WHERE pg_catalog.pg_function_is_visible(p.oid) LIMIT %s
"""

# what may be missing, by SQLSTATE
KINDS = {"42P01": (RELATIONS,), "42704": (RELATIONS, TYPES), "42883": (FUNCTIONS,)}


def explain(
    error: psycopg.Error, statement: Statement | None = None, asking: Connection | None = None
) -> Explained:
    """What an error means, and what to do about it.

    `asking` is an idle autocommit connection on which names are looked up that resemble a missing
    one; without it, or when it fails, nothing is offered.
    """
    meant = by_state(error)
    if meant.code != "does-not-exist" or statement is None or asking is None or asking.closed:
        return meant
    if error.sqlstate == "42P01" and any(name == METADATA for _, name in statement.relations):
        return replace(meant, todo=f"TypeORM makes that table by itself: {METADATA_SQL}, before")
    if extension := _extension(error):
        todo = f"it is of an extension: {created(extension)}, in a migration before this one"
        return replace(meant, todo=todo, extension=extension)
    try:
        near = _near(error, statement, asking)
    except psycopg.Error:
        return meant  # the offer is a convenience; the error itself is told all the same
    return replace(meant, todo=f"did you mean {', '.join(near)}? mend it") if near else meant


def _extension(error: psycopg.Error) -> str:
    """The extension that would bring what is missing; empty when none is known to."""
    if error.sqlstate not in KINDS:
        return ""
    said = error.diag.message_primary or ""
    named = _NAMED.search(said)
    found = extension_of(named[1] or named[2]) if named is not None else ""
    return found or (extension_for(said) if error.sqlstate == "42704" else "")


def _near(error: psycopg.Error, statement: Statement, asking: Connection) -> list[str]:
    named = _NAMED.search(error.diag.message_primary or "")
    if named is None:
        return []
    missing = (named[1] or named[2]).split(".")[-1]
    written = dict(_known(error.sqlstate or "", statement, asking))
    near = difflib.get_close_matches(missing, [n for n in written if n != missing], 3, NEAR)
    return list(dict.fromkeys(written[name] for name in near))


def _known(state: str, statement: Statement, asking: Connection) -> list[tuple[str, str]]:
    """The names that are there of the kind that is missing, and how SQL writes them."""
    found: list[tuple[str, str]] = []
    if state == "42703":
        tables = statement.relations
        given = [[schema for schema, _ in tables], [name for _, name in tables], MOST_NAMES]
        found += [(name, text) for name, text in asking.execute(COLUMNS, given)]
    for query in KINDS.get(state, ()):
        found += [(name, text) for name, text in asking.execute(query, [MOST_NAMES])]
    return found
