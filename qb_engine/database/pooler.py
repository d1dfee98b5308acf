"""a connection pooler before the server: whether there is one, and what it leaves of a session

PgBouncer answers a start with a process id of its own making; the server itself names another one.
Pooled by transaction, the next transaction may be on another server session: what a session keeps
(settings, session locks, temporary tables) is then somebody else's, or lost.
"""

from __future__ import annotations

import secrets
import select
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import psycopg
from psycopg import sql
from psycopg.pq import ExecStatus

from qb_engine.errors import RefusedError, ServerError

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection

Pooling = Literal["none", "session", "transaction", "statement"]

PID = "SELECT pg_catalog.pg_backend_pid()"
UNTOUCHED = (
    "SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity"
    " WHERE pid = {pid} AND query = '{mark}'"
)
LOOKS = 12  # by chance a busy pool may give a client the same server session again and again
ANSWER_S = 10.0  # a pool with no session to spare keeps a client waiting for minutes
NEEDED = 4  # the sessions of a run at once: its lock, its statements, its ledger, its watcher


@dataclass(frozen=True, slots=True)
class Sessions:
    """What a connection to the target is: a session of the server, or a share in some."""

    pooling: Pooling = "none"

    @property
    def kept(self) -> bool:
        """True when what is set for the session stays, and stays ours."""
        return self.pooling in ("none", "session")

    def pid(self, conn: Connection) -> int:
        """The server process behind a connection; where none is kept, of this transaction."""
        if self.pooling == "none":
            return conn.info.backend_pid
        row = conn.execute(PID).fetchone()
        assert row is not None
        return int(row[0])


DIRECT = Sessions()

# What PgBouncer keeps for each client, whichever session that is given.
TRACKED = ("application_name", "client_encoding", "DateStyle", "TimeZone")


def as_found(conn: Connection) -> tuple[str, ...]:
    """Statements that make a shared session as good as new, for this client and for the next one.

    To be asked when the connection is fresh, and sent at the end of a transaction. A plain
    RESET ALL would take the client's own name and encoding away, too.
    """
    own = [(name, conn.info.parameter_status(name)) for name in TRACKED]
    found = [f"SET {name} TO {sql.Literal(value).as_string(conn)}" for name, value in own if value]
    return ("RESET ALL", *found)


def sessions(a: Connection, b: Connection) -> Sessions:
    """What the target's connections are; raise RefusedError when no run can work through them."""
    found = pooling(a, b)
    if found == "transaction":
        _two_at_once(a, b)
    if found == "statement":
        raise RefusedError(
            "a pooler that pools by statement stands before this database",
            why="it refuses BEGIN, so neither a migration nor its record could be a transaction",
            todo="connect to PostgreSQL directly, or to a pool in transaction or session mode",
            code="pooled-connection",
        )
    return Sessions(found)


def pooling(a: Connection, b: Connection) -> Pooling:
    """How the connections that lead to the target are pooled.

    One question on `a` where there is no pooler. Both are autocommit and idle, and remain so; `b`
    is lost in statement mode. Raise Refused when there is no answer.
    """
    first = _asked(a, PID)
    if first == a.info.backend_pid:
        return "none"
    for look in range(LOOKS):
        mark = f"{PID} /* qb {secrets.token_hex(8)} */"
        now = _asked(a, mark)
        try:
            held = _asked(b, f"BEGIN; {PID}")
        except Refused as error:
            if error.sqlstate == "08P01" and not look:  # and the pooler hangs up
                return "statement"
            raise
        try:
            untouched = _asked(b, UNTOUCHED.format(pid=first, mark=mark))
        finally:
            b.execute("ROLLBACK")
        # it has moved, or its session was given to the other one, or to somebody else meanwhile
        if now != first or held == first or not untouched:
            return "transaction"
    return "session"


def _two_at_once(a: Connection, b: Connection) -> None:
    """Raise Refused when one client's transaction leaves no session for another one."""
    _asked(b, f"BEGIN; {PID}")
    try:
        _asked(a, PID)
    finally:
        b.execute("ROLLBACK")


class Refused(ServerError):
    """The pooler or the server did not answer a plain question."""

    def __init__(self, why: str, sqlstate: str = "") -> None:
        super().__init__(
            "a connection gives no session of the server",
            why=why,
            todo=f"let the pool have at least {NEEDED} sessions (default_pool_size), "
            "or connect to PostgreSQL directly",
        )
        self.sqlstate = sqlstate


def _asked(conn: Connection, query: str) -> int:
    """The number that a query answers with; raise Refused when it takes too long.

    A client that waits for a session cannot be cancelled, so it is not waited for inside psycopg.
    """
    pg = conn.pgconn
    pg.send_query(query.encode())
    deadline = time.monotonic() + ANSWER_S
    value, failure = 0, None
    while True:
        while pg.is_busy():
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([pg.socket], [], [], left)[0]:
                conn.close()
                raise Refused(f"no answer within {ANSWER_S:g} s: all of the pool's are in use")
            with suppress(psycopg.OperationalError):  # hung up: the result says why
                pg.consume_input()
        result = pg.get_result()
        if result is None:
            break
        if result.status == ExecStatus.TUPLES_OK:
            value = int(result.get_value(0, 0) or 0)
        elif result.status == ExecStatus.FATAL_ERROR and failure is None:
            state = result.error_field(67)  # PG_DIAG_SQLSTATE
            said = " ".join(result.get_error_message().split())
            failure = Refused(said, (state or b"").decode())
    if failure:
        raise failure
    return value
