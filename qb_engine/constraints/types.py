"""type names as PostgreSQL itself would write them"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

import psycopg

from qb_engine.database.connect import server_error
from qb_engine.errors import InputError
from qb_engine.sql.tree import type_name

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection

# not types, but what people write for one
_SERIAL = {
    "smallserial": "smallint", "serial2": "smallint", "serial": "integer", "serial4": "integer",
    "bigserial": "bigint", "serial8": "bigint",
}  # fmt: skip

# The schema of a type that is no type of PostgreSQL's own, when EXPLAIN leaves it out.
SCHEMA = """
SELECT pg_catalog.quote_ident(n.nspname)
FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
WHERE t.oid = pg_catalog.to_regtype(%s) AND n.nspname <> 'pg_catalog'
  AND pg_catalog.pg_type_is_visible(t.oid)
"""


def type_names(conn: Connection, names: Iterable[str]) -> dict[str, str]:
    """Each name as a snapshot writes it: `varchar(20)` is `character varying(20)`.

    Ask the server, in read-only transactions; a name that is no type there is left out.
    """
    found: dict[str, str] = {}
    for name in dict.fromkeys(names):
        try:
            text = type_name(name)
        except InputError:
            continue  # not even the form of a type, so no type
        text = _SERIAL.get(text, text)
        try:
            with conn.transaction(force_rollback=True):
                conn.execute("SET TRANSACTION READ ONLY")
                found[name] = _ask(conn, text)
        except psycopg.Error as error:
            if not (error.sqlstate or "").startswith(("42", "3F", "22")):
                raise server_error(f"looking up the type {name}", error) from error
    return found


def _ask(conn: Connection, text: str) -> str:
    # the parser has printed this text, so it holds a type and nothing else
    row = conn.execute(f"EXPLAIN (VERBOSE, FORMAT JSON) SELECT NULL::{text}".encode()).fetchone()
    assert row is not None
    name = str(row[0][0]["Plan"]["Output"][0]).removeprefix("NULL::")
    row = conn.execute(SCHEMA, [text]).fetchone()
    return f"{row[0]}.{name}" if row else name


_MODIFIER = re.compile(r"\([^)]*\)")
_INTERVAL = re.compile(r"^interval [a-z ]+(?=\[|$)")


def accepts(expected: str, found: str) -> bool:
    """True when a column of type `found` is what `expected` asks for; both as snapshots write.

    A type without a modifier accepts any modifier.
    """
    if expected == found:
        return True
    if _MODIFIER.search(expected):
        return False
    bare = _MODIFIER.sub("", found)
    return expected in (bare, _INTERVAL.sub("interval", bare))
