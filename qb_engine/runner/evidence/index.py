"""CREATE and DROP INDEX CONCURRENTLY: is it there, is it valid, is it that one"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg

from qb_engine.execution.concurrently import BUILDING
from qb_engine.runner.evidence.kind import Found, Kind, Note
from qb_engine.sql import Statement, deparse, qualified
from qb_engine.sql.tree import equal, parse, pb

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection

# the indexes of a table that were not there before
NEW = f"""
SELECT n.nspname::text, c.relname::text, i.indisvalid, pg_catalog.pg_get_indexdef(c.oid),
       {BUILDING}
  FROM pg_catalog.pg_index i
  JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE i.indrelid = %(table)s AND NOT c.oid::bigint = ANY (%(indexes)s::bigint[])
 ORDER BY c.oid
"""

RELATION = """
SELECT n.nspname::text, c.relname::text, i.indisvalid
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid
 WHERE c.oid = %s
"""
LIKE = "qb_like"  # a temporary table, for the moment of a question


def _builds(statement: Statement) -> bool:
    return statement.kind == "index"


def _before_build(conn: Connection, statement: Statement) -> Note:
    row = conn.execute(
        "SELECT c.oid::bigint, ARRAY(SELECT indexrelid::bigint FROM pg_catalog.pg_index"
        " WHERE indrelid = c.oid ORDER BY 1)"
        " FROM pg_catalog.pg_class c WHERE c.oid = pg_catalog.to_regclass(%s)",
        [_table(statement.node)],
    ).fetchone()
    return {"table": row[0], "indexes": row[1]} if row else {"table": 0, "indexes": []}


def _now_built(conn: Connection, statement: Statement, noted: Note) -> Found:
    wanted = statement.node.idxname
    rows = conn.execute(NEW, noted).fetchall()
    if wanted:
        rows = [row for row in rows if row[1] == wanted]
    doubtful: list[str] = []
    remains: list[str] = []
    for schema, name, valid, definition, building in rows:
        full = qualified(schema, name)
        same = _same(conn, statement, noted["table"], definition)
        if same is False or (same is None and not wanted):
            doubtful += [full] if same is None else []
        elif building:
            return Found("unknown", f"{full} is being built right now")
        elif valid:
            return Found("finished", f"the index {full} is there, and valid")
        else:
            remains.append(full)
    if doubtful:
        new = " and ".join(doubtful)
        return Found("unknown", f"{new} is new, and it cannot be told whether it is this index")
    if remains:
        drops = tuple(f"DROP INDEX CONCURRENTLY {name}" for name in remains)
        return Found("unfinished", f"{remains[0]} is invalid: its build did not finish", drops)
    return Found("unfinished", f"the index {wanted or 'it makes'} is not there")


def _same(conn: Connection, statement: Statement, table: int, definition: str) -> bool | None:
    """Whether an index is what a statement makes; None when that cannot be told.

    The parser tells when both are printed alike. Else the server is asked for the definition of
    the same index on an empty table with the same columns.
    """
    if _alike(statement.node, parse(definition)):
        return True
    asked = _asked(conn, statement, table)
    return None if asked is None else _alike(parse(asked), parse(definition))


def _alike(one: Any, other: Any) -> bool:
    return equal(_bare(one), _bare(other))


def _bare(node: Any) -> Any:
    """An index without its names and the way it is built."""
    found = pb.IndexStmt()
    found.CopyFrom(node)
    found.ClearField("relation")
    found.idxname, found.concurrent, found.if_not_exists = "", False, False
    found.access_method = found.access_method or "btree"
    return found


def _asked(conn: Connection, statement: Statement, table: int) -> str | None:
    """The server's definition of the index that a statement makes; None when it does not say."""
    row = conn.execute(RELATION, [table]).fetchone()
    if row is None:
        return None
    node = pb.IndexStmt()
    node.CopyFrom(statement.node)
    node.relation.schemaname, node.relation.relname = "pg_temp", LIKE
    node.idxname, node.concurrent, node.if_not_exists = f"{LIKE}_index", False, False
    try:
        with conn.transaction(force_rollback=True):
            columns = f"CREATE TEMP TABLE {LIKE} (LIKE {qualified(row[0], row[1])})"
            conn.execute(columns.encode())
            conn.execute(deparse(node).encode())
            said = conn.execute(
                "SELECT pg_catalog.pg_get_indexdef(pg_catalog.to_regclass(%s))",
                [f"pg_temp.{LIKE}_index"],
            ).fetchone()
    except psycopg.Error:  # no right to make temporary tables, or a name that is not found
        return None
    return str(said[0]) if said and said[0] else None


def _table(node: Any) -> str:
    return qualified(node.relation.schemaname or None, node.relation.relname)


def _drops(statement: Statement) -> bool:
    return statement.kind == "drop" and statement.node.concurrent


def _before_drop(conn: Connection, statement: Statement) -> Note:
    schema, name = statement.relations[0]
    row = conn.execute(
        "SELECT pg_catalog.to_regclass(%s)::oid::bigint", [qualified(schema or None, name)]
    ).fetchone()
    return {"index": row[0] or 0 if row else 0}


def _now_dropped(conn: Connection, statement: Statement, noted: Note) -> Found:
    name = qualified(statement.relations[0][0] or None, statement.relations[0][1])
    if not noted["index"]:
        return Found("repeatable", f"the index {name} was not there before")
    row = conn.execute(RELATION, [noted["index"]]).fetchone()
    if row is None:
        return Found("finished", f"the index {name} is gone")
    how = "still there" if row[2] else "still there, and invalid: it was half dropped"
    return Found("unfinished", f"the index {qualified(row[0], row[1])} is {how}")


KINDS = (
    Kind(_builds, _before_build, _now_built),
    Kind(_drops, _before_drop, _now_dropped),
)
