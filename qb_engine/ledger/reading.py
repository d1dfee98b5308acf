"""reading what stands here without waiting: readers block nobody, and nobody blocks them long"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg

from qb_engine.errors import ServerError
from qb_engine.schema.blockers import holders

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection

PATIENCE_S = 2.0  # the ledger is locked by nobody but who rewrites its tables


@contextmanager
def patiently(conn: Connection) -> Iterator[None]:
    """Let what is read inside wait at most `PATIENCE_S` for a lock, statement by statement.

    Raise ServerError that names who holds the lock.
    """
    conn.execute(f"SET lock_timeout = '{PATIENCE_S:g}s'".encode())
    try:
        yield
    except psycopg.errors.LockNotAvailable:
        who, pid = holders(conn)
        raise ServerError(
            "the ledger cannot be read: a table of it is locked",
            where=f"database {conn.info.dbname}",
            why=who
            or f"a lock was held for more than {PATIENCE_S:g} s; its holder has ended since",
            todo="wait for that transaction, or end it"
            + (f" with SELECT pg_terminate_backend({pid})" if pid else "")
            + ", then try again",
            code="schema-busy",
        ) from None
    finally:
        if not conn.closed:
            conn.execute("RESET lock_timeout")
