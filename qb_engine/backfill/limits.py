"""how long a transaction may wait for each lock, and how long each of its statements may run"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

LOCK_MS = 2_000  # nobody who waits behind a look waits longer

LOCKS = "SELECT set_config('lock_timeout', %s, true)"
BOTH = f"{LOCKS}, set_config('statement_timeout', %s, true)"


def limit(conn: psycopg.Connection[Any], lock_ms: int, statement_ms: int | None = None) -> None:
    """Limit what is left of the open transaction: others queue behind whoever waits for a lock.

    Nothing of it stays with the session, which a pooler may hand to somebody else.
    """
    if statement_ms is None:
        conn.execute(LOCKS, [str(lock_ms)])
    else:
        conn.execute(BOTH, [str(lock_ms), str(statement_ms)])


@contextmanager
def reading(conn: psycopg.Connection[Any], ms: int) -> Iterator[None]:
    """A transaction that may only read, and that no statement of it may hold open for long."""
    with conn.transaction():
        conn.execute("SET TRANSACTION READ ONLY")
        limit(conn, LOCK_MS, ms)
        yield
