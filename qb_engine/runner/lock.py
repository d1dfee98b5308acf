"""one runner at a time: an advisory lock, polled, so that nobody ever waits inside a transaction

A session that waits inside pg_advisory_lock holds a snapshot; CREATE INDEX CONCURRENTLY of the
runner that has the lock then waits for it, and the server ends the circle by killing one of them.

Where a pooler shares the server's sessions out by transaction, a session lock would stay behind in
a session that is somebody else's by then. The lock is a transaction's there, which stays open and
idle on a connection of its own: without a snapshot, so that nothing has to wait for it.
"""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from qb_engine.database.pooler import DIRECT, Sessions
from qb_engine.errors import InterruptedRun, RefusedError, ServerError

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection

KEY = 0x71_62_72_75_6E  # "qbrun"; advisory locks are per database
WORKING = 0x71_62_77_6F_72_6B  # "qbwork": held by the session that runs the statements
WORKER = "qb run"  # its application name, by which it is known where it can hold no lock
POLL_S = 0.1
TELL_S = 5.0
ASK_S = 2.0  # the server is asked whether the lock is still held at most this often

# what a runner that is gone has left at work, in a session that could hold no lock
AT_WORK = """
  FROM pg_catalog.pg_stat_activity a
 WHERE a.application_name = {worker} AND a.state <> 'idle' AND a.backend_type = 'client backend'
   AND a.datname = pg_catalog.current_database() AND a.pid <> pg_catalog.pg_backend_pid()
"""
# from where and since when is hidden from roles that may not see what others do
HOLDER = """
SELECT a.pid, coalesce(nullif(a.application_name, ''), '?'), coalesce(a.usename::text, '?'),
       CASE WHEN a.backend_start IS NOT NULL
            THEN coalesce(pg_catalog.host(a.client_addr), 'local') END,
       extract(epoch FROM pg_catalog.clock_timestamp()
               - CASE WHEN a.state = 'idle' THEN a.backend_start
                      ELSE coalesce(a.xact_start, a.backend_start) END)::int
  FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a USING (pid)
 WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
   AND (l.classid::bigint << 32 | l.objid::bigint) = ANY ({keys})
   AND l.database = (SELECT oid FROM pg_catalog.pg_database
                      WHERE datname = pg_catalog.current_database())
   AND a.pid <> pg_catalog.pg_backend_pid()
 ORDER BY (l.classid::bigint << 32 | l.objid::bigint), 5 DESC NULLS LAST
"""
LEFT = f"""
SELECT a.pid, a.application_name, coalesce(a.usename::text, '?'),
       CASE WHEN a.backend_start IS NOT NULL
            THEN coalesce(pg_catalog.host(a.client_addr), 'local') END,
       extract(epoch FROM pg_catalog.clock_timestamp() - coalesce(a.xact_start, a.query_start))::int
{AT_WORK}"""

# Each asks once, and leaves nothing behind when the answer is no; CASE keeps the order.
TRY = f"""
SELECT CASE WHEN pg_catalog.pg_try_advisory_lock({{key}}) THEN
         CASE WHEN EXISTS (SELECT {AT_WORK}) THEN NOT pg_catalog.pg_advisory_unlock({{key}})
              WHEN pg_catalog.pg_try_advisory_lock({{working}})
              THEN pg_catalog.pg_advisory_unlock({{working}})
              ELSE NOT pg_catalog.pg_advisory_unlock({{key}}) END
       ELSE false END
"""
TRY_IN_TRANSACTION = f"""
BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY;
SET LOCAL idle_in_transaction_session_timeout = 0;
{{more}}
SELECT CASE WHEN pg_catalog.pg_try_advisory_xact_lock({{key}}) THEN
         CASE WHEN EXISTS (SELECT {AT_WORK}) THEN false
              WHEN pg_catalog.pg_try_advisory_lock({{working}})
              THEN pg_catalog.pg_advisory_unlock({{working}})
              ELSE false END
       ELSE false END
"""
HELD = """
SELECT FROM pg_catalog.pg_locks
 WHERE pid = pg_catalog.pg_backend_pid() AND locktype = 'advisory' AND granted AND objsubid = 1
   AND (classid::bigint << 32 | objid::bigint) = {key}
"""

# A role's or database's own limits on sessions and transactions (the latter since 17) are meant for
# an application: one would end a run in the middle.
UNLIMITED = """
pg_catalog.set_config('idle_session_timeout', '0', {local}),
CASE WHEN pg_catalog.current_setting('server_version_num')::int >= 170000
     THEN pg_catalog.set_config('transaction_timeout', '0', {local}) END
"""

# The server ends a statement whose client is gone, where it can tell (it cannot on Windows).
ENDS_WITH_CLIENT = """
pg_catalog.set_config('client_connection_check_interval',
           CASE WHEN pg_catalog.version() ~ 'Visual C|mingw' THEN '0' ELSE '1s' END, {local})
"""


def _composed(text: str, **names: object) -> sql.Composed:
    known = {"key": KEY, "working": WORKING, "worker": WORKER, "keys": [KEY, WORKING], "more": ""}
    given = {**known, **names}
    more = sql.SQL(str(given.pop("more")))
    return sql.SQL(text).format(
        more=more, **{name: sql.Literal(value) for name, value in given.items()}
    )


@dataclass(frozen=True, slots=True)
class Holder:
    """A session that keeps a runner from starting; `age` in seconds, of its connection or work.

    Its `host` and age are None where they may not be seen.
    """

    pid: int
    application: str
    user: str
    host: str | None
    age: int | None

    def __str__(self) -> str:
        if self.host is None or self.age is None:
            return f"{self.application} (pid {self.pid}, user {self.user})"
        place = "this machine" if self.host == "local" else self.host
        return (
            f"{self.application} (pid {self.pid}, user {self.user}, from {place}, for {self.age} s)"
        )


def holder(conn: Connection) -> Holder | None:
    """Who holds the runner's lock, or is still at work for a runner that is gone."""
    for query in (HOLDER, LEFT):
        if row := conn.execute(_composed(query)).fetchone():
            return Holder(*row)
    return None


class Held:
    """The lock while it is held: `check` says when it is not any more."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        self._asked = time.monotonic()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'lost' if self._conn.closed else 'held'}>"

    def check(self) -> None:
        """Raise ServerError when the lock is lost, so that nothing more is started.

        Costs no round trip: the end of the session is heard on its socket. Once in a while the
        server is asked, because a broken network says nothing.
        """
        conn = self._conn
        if conn.closed or not _heard(conn):
            raise _lost("the session that held it has ended")
        now = time.monotonic()
        if now - self._asked > ASK_S:
            still_held(conn)
            self._asked = now


def _heard(conn: Connection) -> bool:
    """Read what the server has said unasked; False when it was good-bye."""
    if not conn.lock.acquire(blocking=False):
        return True  # somebody talks on it, and will hear
    try:
        pg = conn.pgconn
        while select.select([pg.socket], [], [], 0)[0]:
            pg.consume_input()
    except (psycopg.OperationalError, OSError, ValueError):
        return False
    finally:
        conn.lock.release()
    return True


def still_held(conn: Connection) -> None:
    """Ask the server; raise ServerError when this connection's session does not hold the lock."""
    try:
        row = None if conn.closed else conn.execute(_composed(HELD)).fetchone()
    except psycopg.OperationalError as error:
        raise _lost(" ".join(str(error).split())) from error
    if row is None:
        raise _lost("the session that held it has ended")


def _lost(why: str) -> ServerError:
    return ServerError(
        "the runner's lock is lost",
        why=why,
        todo="see what was applied with qb status, then run again",
        code="lock-lost",
    )


@contextmanager
def only_runner(
    conn: Connection,
    patience: float,
    tell: Callable[[str], None],
    stop: threading.Event | None = None,
    *,
    sessions: Sessions = DIRECT,
    apart: Callable[[], Connection] | None = None,
) -> Iterator[Held]:
    """Hold the lock for the length of a block; wait up to `patience` seconds for it.

    `conn` must be autocommit. Where sessions are not kept, the lock is held in a transaction on a
    connection that `apart` opens. Raise RefusedError that names the holder.
    """
    assert conn.autocommit, "a lock that is polled inside a transaction stops concurrent builds"
    if sessions.kept:
        # a long statement elsewhere leaves it idle
        conn.execute(_composed(f"SELECT {UNLIMITED}", local=False))
        _wait(conn, patience, tell, stop, _try)
        try:
            yield Held(conn)
        finally:
            with suppress(psycopg.OperationalError):  # a session that ended has let go already
                conn.execute("SELECT pg_catalog.pg_advisory_unlock(%s)", [KEY])
        return
    assert apart is not None, "a lock that a transaction holds takes a connection of its own"
    alone = apart()
    try:
        _wait(alone, patience, tell, stop, _try_in_transaction)
        yield Held(alone)
    finally:
        with suppress(psycopg.OperationalError):  # the pooler keeps a session that is idle
            alone.execute("ROLLBACK")
        alone.close()


def marked_working() -> str:
    """SQL that lets the session of the statements hold a lock of its own, and end with its client.

    A runner that is killed lets go of its lock at once, while the server may still be busy with its
    statement: the next runner waits for that, too.
    """
    text = (
        f"SELECT pg_catalog.pg_advisory_lock_shared({{working}}), {ENDS_WITH_CLIENT}, {UNLIMITED}"
    )
    return _composed(text, local=False).as_string(None)


def working() -> str:
    """The same for one transaction, where sessions are not kept: to be sent right after BEGIN.

    Answers with the pid of the server process (the first column). It takes the transaction's
    snapshot: a statement such as SET TRANSACTION ISOLATION LEVEL has to stand before it.
    """
    text = (
        "SELECT pg_catalog.pg_backend_pid(),"
        f" pg_catalog.pg_advisory_xact_lock_shared({{working}}), {ENDS_WITH_CLIENT}, {UNLIMITED}"
    )
    return _composed(text, local=True).as_string(None)


def _wait(
    conn: Connection,
    patience: float,
    tell: Callable[[str], None],
    stop: threading.Event | None,
    got: Callable[[Connection], bool],
) -> None:
    started = time.monotonic()
    told = 0.0
    pause = stop or threading.Event()
    while not got(conn):
        now = time.monotonic()
        if now - started >= patience:
            who = holder(conn)
            raise RefusedError(
                "another qb is running migrations on this database",
                why=f"the lock is held by {who}" if who else "the lock changed hands meanwhile",
                todo=f"wait for it (waited {patience:g} s; --wait-lock, or [timeouts] runner in "
                "qb.toml), then run again",
                code="another-runner",
            )
        if (not told or now - told > TELL_S) and (who := holder(conn)):
            left = patience - (now - started)
            tell(f"waiting for {who}; {left:.0f} s more at most")
            told = now
        if pause.wait(min(POLL_S, max(patience - (now - started), 0.001))):
            raise InterruptedRun("stopped while waiting for another qb", why="nothing was run")


def _try(conn: Connection) -> bool:
    """Take the lock, if neither another runner nor what one left behind is at work."""
    row = conn.execute(_composed(TRY)).fetchone()
    return bool(row and row[0])


def _try_in_transaction(conn: Connection) -> bool:
    """The same in a transaction, which is over at once when the answer is no."""
    # 17 and later end long transactions, too, where they are told to
    more = "SET LOCAL transaction_timeout = 0;" if conn.info.server_version >= 170000 else ""
    cursor = conn.execute(_composed(TRY_IN_TRANSACTION, more=more))
    while cursor.nextset():
        pass
    row = cursor.fetchone()
    if row and row[0]:
        return True
    conn.execute("ROLLBACK")
    return False
