"""what an expression over a row reads: asked of the server, by a view that is never kept"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import psycopg
from psycopg import sql

from qb_engine.backfill.limits import limit
from qb_engine.backfill.walk.statements import expression

Connection = psycopg.Connection[Any]
Volatility = Literal["immutable", "stable", "volatile"]

LOCK_MS = 2_000  # a view locks its table for a moment, as a query does

# The rule of a view: its parse tree, and the columns of a table that it depends on.
RULE = """
SELECT r.ev_action::text, ARRAY(
    SELECT a.attname::text FROM pg_catalog.pg_depend AS d
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    WHERE d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = r.oid
        AND d.refclassid = 'pg_catalog.pg_class'::regclass
        AND d.refobjid = pg_catalog.to_regclass(%(table)s) AND d.refobjsubid > 0
    ORDER BY a.attnum)
FROM pg_catalog.pg_rewrite AS r WHERE r.ev_class = pg_catalog.to_regclass(%(view)s)
"""

FUNCTIONS = """
SELECT p.oid::int8, p.proname::text, n.nspname = 'pg_catalog', p.provolatile::text
FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
WHERE p.oid = ANY (%s)
"""

_CALLS = re.compile(r":(?:funcid|opfuncid|aggfnoid|winfnoid) (\d+)")
_WHOLE_ROW = re.compile(r":varattno 0\b")
_SYSTEM_COLUMN = re.compile(r":varattno -\d")
_OF_NOW = ("SQLVALUEFUNCTION", "CURRENTOFEXPR")

# Built-in functions that are only stable because of the session's settings: the same settings, the
# same result. A worker's sessions all have the same.
BY_SETTINGS = frozenset(
    {
        *("to_char", "to_date", "to_timestamp", "to_json", "to_jsonb", "concat", "concat_ws"),
        *("format", "date_trunc", "date_part", "extract", "timezone", "date", "time", "timetz"),
        *("timestamp", "timestamptz", "array_to_string", "quote_literal", "quote_nullable"),
        *("row_to_json", "jsonb_build_object", "json_build_object", "to_tsvector", "textanycat"),
        *("anytextcat", "timestamptz_pl_interval", "timestamptz_mi_interval", "array_out"),
        *("jsonb_build_array", "json_build_array", "timestamptz_eq_date", "text"),
    }
)


@dataclass(frozen=True, slots=True)
class Read:
    """What an expression reads and calls.

    `functions` are those that may give something else for the same row. `elsewhere` says that it
    has a sub-select; `whole` that it reads the row as a whole, `system` one of the columns that the
    server adds.
    """

    columns: tuple[str, ...]
    functions: tuple[str, ...] = ()
    volatility: Volatility = "immutable"
    settled: bool = True
    """True when the same row gives the same result at any time, in the same session settings."""
    elsewhere: bool = False
    whole: bool = False
    system: bool = False


def read(conn: Connection, schema: str, table: str, texts: Mapping[str, str]) -> dict[str, Read]:
    """What each of some expressions over the rows of a table reads; nothing is kept.

    Raise psycopg's error for one that is none. Needs the right to make a view in schema qb.
    """
    found = {}
    with conn.transaction(force_rollback=True):
        limit(conn, LOCK_MS)
        for name, text in texts.items():
            found[name] = _one(conn, schema, table, text)
    return found


def _one(conn: Connection, schema: str, table: str, text: str) -> Read:
    view = sql.Identifier("qb", f"scratch_{uuid.uuid4().hex[:12]}")
    of = sql.Identifier(schema, table)
    conn.execute(
        sql.SQL("CREATE VIEW {} AS SELECT {} AS x FROM {}").format(view, expression(text), of)
    )
    given = {"table": of.as_string(conn), "view": view.as_string(conn)}
    tree, columns = conn.execute(RULE, given).fetchall()[0]
    called = conn.execute(FUNCTIONS, [[int(oid) for oid in _CALLS.findall(tree)]]).fetchall()
    loose = [row for row in called if row[3] != "i"]
    of_now = any(word in tree for word in _OF_NOW)
    volatile = any(row[3] == "v" for row in loose) or "NEXTVALUEEXPR" in tree
    moody = {name for _, name, built_in, _ in loose if not (built_in and name in BY_SETTINGS)}
    return Read(
        tuple(columns),
        tuple(sorted(moody)),
        "volatile" if volatile else "stable" if loose or of_now else "immutable",
        not (of_now or volatile or moody),
        "{SUBLINK" in tree,
        bool(_WHOLE_ROW.search(tree)),
        bool(_SYSTEM_COLUMN.search(tree)),
    )
