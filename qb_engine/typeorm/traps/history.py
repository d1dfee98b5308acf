"""TypeORM's table of a target, and what qb's ledger knows of the same migrations"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from qb_engine import ledger
from qb_engine.ledger import typeorm
from qb_engine.typeorm.traps.project import HistoryTable, Project

if TYPE_CHECKING:
    from qb_engine._config import TypeOrm
    from qb_engine.database.connect import Connection
    from qb_engine.migrations import Migrations

NEEDED = ("id", "timestamp", "name")

COLUMNS = """
SELECT c.relkind::text, pg_catalog.pg_relation_is_updatable(c.oid, true) & 8 > 0, a.attname::text,
       a.attnotnull AND NOT a.atthasdef AND a.attidentity = ''
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
 WHERE c.oid = pg_catalog.to_regclass(%s)
 ORDER BY a.attnum
"""


def history_of(conn: Connection, settings: TypeOrm) -> HistoryTable | None:
    """The table with its rows in the order they were written; None when it is not there."""
    where = typeorm.history_of(conn, settings)
    columns = conn.execute(COLUMNS, [where.sql]).fetchall()
    if not columns:
        return None
    kind, written = columns[0][0], columns[0][1]
    names = [name for _, _, name, _ in columns]
    missing = tuple(name for name in NEEDED if name not in names)
    return HistoryTable(
        name=str(where),
        rows=() if missing else typeorm.rows(conn, where),
        view=kind not in ("r", "p") and not written,
        required=tuple(name for _, _, name, must in columns if must and name not in NEEDED),
        missing=missing,
        guarded=typeorm.once(conn, where),
    )


def with_ledger(project: Project, conn: Connection, migrations: Migrations) -> Project:
    """What the ledger adds: whether qb has taken over, and which files were edited since."""
    from qb_engine.runner import status

    if project.history is None or not ledger.exists(conn):
        return project
    states = status(conn, migrations)
    followed = any(each.state not in ("pending", "broken") for each in states)
    edited: set[str] = set()
    for each in states:
        if each.state == "edited" and each.migration in migrations:
            parts = migrations.get(each.migration).parts
            edited |= {part.history_name for part in parts if part.history_name}
    history = replace(project.history, followed=followed)
    return replace(project, history=history, edited=frozenset(edited))
