"""DETACH PARTITION CONCURRENTLY: attached, half detached, or on its own"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qb_engine.runner.evidence.kind import Found, Kind, Note
from qb_engine.sql import Statement, qualified

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection

ATTACHED = """
SELECT inhparent::bigint, inhrelid::bigint FROM pg_catalog.pg_inherits
 WHERE inhparent = pg_catalog.to_regclass(%s) AND inhrelid = pg_catalog.to_regclass(%s)
"""
PENDING = """
SELECT inhdetachpending FROM pg_catalog.pg_inherits WHERE inhparent = %s AND inhrelid = %s
"""


def _matches(statement: Statement) -> bool:
    concurrent = statement.refuses_transaction.startswith("CONCURRENTLY")
    return statement.kind == "alter_table" and concurrent and len(statement.relations) > 1


def _names(statement: Statement) -> tuple[str, str]:
    parent, part = (qualified(s or None, name) for s, name in statement.relations[:2])
    return parent, part


def _before(conn: Connection, statement: Statement) -> Note:
    row = conn.execute(ATTACHED, list(_names(statement))).fetchone()
    return {"parent": row[0], "partition": row[1]} if row else {"parent": 0, "partition": 0}


def _now(conn: Connection, statement: Statement, noted: Note) -> Found:
    parent, part = _names(statement)
    if not noted["parent"]:
        return Found("unfinished", f"{part} was no partition of {parent} before")
    row = conn.execute(PENDING, [noted["parent"], noted["partition"]]).fetchone()
    if row is None:
        return Found("finished", f"{part} is no partition of {parent} any more")
    if row[0]:
        return Found("unfinished", f"{part} is half detached: what is left is to finalize it")
    return Found("unfinished", f"{part} is still a partition of {parent}")


KINDS = (Kind(_matches, _before, _now),)
