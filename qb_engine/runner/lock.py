"""one runner at a time: an advisory lock, polled on an autocommit connection

A session that waits inside pg_advisory_lock holds a snapshot; CREATE INDEX CONCURRENTLY of the
runner that has the lock then waits for it, and the server ends the circle by killing one of them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import psycopg

from qb_engine.errors import InterruptedRun, RefusedError, ServerError

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection

KEY = 0x71_62_72_75_6E  # "qbrun"; advisory locks are per database
WORKING = 0x71_62_77_6F_72_6B  # "qbwork": held by the session that runs the statements
POLL_S = 0.1
TELL_S = 5.0

HOLDER = """
SELECT a.pid, coalesce(nullif(a.application_name, ''), '?'), a.usename::text,
       coalesce(host(a.client_addr), 'local'),
       extract(epoch FROM clock_timestamp() - a.backend_start)::int
  FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a USING (pid)
 WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
   AND (l.classid::bigint << 32 | l.objid::bigint) = ANY (%s)
   AND l.database = (SELECT oid FROM pg_catalog.pg_database
                      WHERE datname = pg_catalog.current_database())
"""


def holder(conn: Connection) -> str:
    """Who holds the lock, as a phrase; empty when nobody does."""
    row = conn.execute(HOLDER, [[KEY, WORKING]]).fetchone()
    if row is None:
        return ""
    pid, application, user, host, age = row
    return f"{application} (pid {pid}, user {user}, from {host}, connected for {age} s)"


@contextmanager
def only_runner(
    conn: Connection,
    patience: float,
    tell: Callable[[str], None],
    stop: threading.Event | None = None,
) -> Iterator[None]:
    """Hold the lock for the length of a block; wait up to `patience` seconds for it.

    `conn` must be autocommit and stay idle otherwise. Raise RefusedError that names the holder.
    """
    assert conn.autocommit, "a lock that is polled inside a transaction stops concurrent builds"
    deadline, told = time.monotonic() + patience, 0.0
    pause = stop or threading.Event()
    while not _try(conn):
        now = time.monotonic()
        who = holder(conn)
        if now > deadline:
            raise RefusedError(
                "another qb is running migrations on this database",
                why=f"the lock is held by {who}" if who else "the lock changed hands meanwhile",
                todo=f"wait for it (waited {patience:g} s; [timeouts] runner in qb.toml), "
                "then run again",
            )
        if who and now - told > TELL_S:
            tell(f"waiting for {who}")
            told = now
        if pause.wait(POLL_S):
            raise InterruptedRun("stopped while waiting for another qb", why="nothing was run")
    try:
        yield
    finally:
        with suppress(psycopg.OperationalError):  # a session that ended has let go already
            conn.execute("SELECT pg_advisory_unlock(%s)", [KEY])


def mark_working(conn: Connection) -> None:
    """Let the session that runs statements hold a lock of its own, and end with its client.

    A runner that is killed lets go of its lock at once, while the server may still be busy with its
    statement: the next runner waits for that, too.
    """
    conn.execute("SET client_connection_check_interval = '1s'")
    conn.execute("SELECT pg_advisory_lock_shared(%s)", [WORKING])


def still_held(conn: Connection) -> None:
    """Raise ServerError when the lock's session is gone, so that nothing more is started."""
    row = None if conn.closed else conn.execute(HOLDER, [[KEY]]).fetchone()
    if row is None or row[0] != conn.info.backend_pid:
        raise ServerError(
            "the runner's lock is lost",
            why="the session that held it has ended",
            todo="see what was applied with qb status, then run again",
        )


def _try(conn: Connection) -> bool:
    """Take the lock, if neither another runner nor what one left behind is at work."""
    row = conn.execute("SELECT pg_try_advisory_lock(%s)", [KEY]).fetchone()
    if not (row and row[0]):
        return False
    row = conn.execute("SELECT pg_try_advisory_lock(%s)", [WORKING]).fetchone()
    free = bool(row and row[0])
    conn.execute("SELECT pg_advisory_unlock(%s)", [WORKING if free else KEY])
    return free
