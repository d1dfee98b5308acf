"""REINDEX CONCURRENTLY: every index is replaced by a new one, and the old ones go"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qb_engine.execution.concurrently import BUILDING, tables_of
from qb_engine.runner.evidence.kind import Found, Kind, Note
from qb_engine.sql import Statement, qualified
from qb_engine.sql.tree import pb

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection

# the indexes of tables; or one, with those of its partitions
INDEXES = """
SELECT i.indexrelid::bigint, i.indisvalid
  FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
 WHERE c.relkind = 'i'
   AND CASE WHEN %(index)s::text IS NULL THEN i.indrelid::bigint = ANY (%(tables)s::bigint[])
            ELSE c.oid IN (SELECT relid
                             FROM pg_catalog.pg_partition_tree(pg_catalog.to_regclass(%(index)s)))
                 OR c.oid = pg_catalog.to_regclass(%(index)s) END
 ORDER BY 1
"""

# of those that were there: not replaced; and what it made for the time being
LEFT = f"""
SELECT n.nspname::text, c.relname::text, i.indisvalid, c.relname ~ '_cc(new|old)[0-9]*$',
       i.indexrelid::bigint = ANY (%(indexes)s::bigint[]),
       {BUILDING}
       OR EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index p
                   WHERE p.relid = i.indrelid AND p.datname = pg_catalog.current_database())
  FROM pg_catalog.pg_index i
  JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE i.indrelid::bigint = ANY (%(tables)s::bigint[])
   AND NOT i.indexrelid::bigint = ANY (%(invalid)s::bigint[])
 ORDER BY i.indexrelid
"""


def _matches(statement: Statement) -> bool:
    return statement.kind == "reindex" and statement.refuses_transaction.startswith("CONCURRENTLY")


def _before(conn: Connection, statement: Statement) -> Note:
    tables = list(tables_of(conn, statement))
    one = statement.node.kind == pb.ReindexObjectType.REINDEX_OBJECT_INDEX
    schema, name = statement.relations[0] if one else ("", "")
    index = qualified(schema or None, name) if one else None
    rows = conn.execute(INDEXES, {"index": index, "tables": tables}).fetchall()
    every = conn.execute(INDEXES, {"index": None, "tables": tables}).fetchall()
    return {
        "tables": tables,
        "indexes": [oid for oid, _ in rows],
        "invalid": [oid for oid, valid in every if not valid],
    }


def _now(conn: Connection, statement: Statement, noted: Note) -> Found:
    rows = conn.execute(LEFT, noted).fetchall()
    passing = [(schema, name) for schema, name, valid, made, _, busy in rows
               if made and not valid and not busy]  # fmt: skip
    clear = tuple(f"DROP INDEX CONCURRENTLY {qualified(*each)}" for each in passing)
    old = [name for _, name, _, _, was, _ in rows if was]
    old = [name for name in old if name not in {each for _, each in passing}]
    said = f"{' and '.join(name for _, name in passing)} is left of it; " if passing else ""
    if noted["indexes"] and not old:
        return Found("finished", f"{said}every index was replaced", clear)
    return Found(
        "repeatable",
        f"{said}{len(old)} of {len(noted['indexes'])} indexes are not replaced",
        clear,
    )


KINDS = (Kind(_matches, _before, _now),)
