"""SQLAlchemy over qb's own way to connect, for reading only"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qb_engine.database.connect import connect

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from qb_engine.database.target import Target


def engine_of(target: Target) -> Engine:
    """An engine for a target; every transaction of it is read-only."""
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    def creator() -> Any:
        conn = connect(target, autocommit=False)
        conn.read_only = True
        return conn

    # nothing is pooled: a notebook's idle connection would hold back vacuum and migrations
    return create_engine("postgresql+psycopg://", creator=creator, poolclass=NullPool)
