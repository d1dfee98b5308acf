"""several statements sent at once to the server: one way there and back, each with its answer

What takes no parameter, fails seldom and stands beside others anyway (BEGIN and its settings, the
end of a transaction) need not wait for one answer after the other. psycopg's own `execute` sends
such texts, too, but tells neither which of them failed nor what those before it answered.

The statements of a migration go through a `Stream` instead: to the server each of them is one of
its own (in its log, in pg_stat_activity, for its timeouts), and is answered as soon as it is done.
"""

from __future__ import annotations

import select
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from types import TracebackType
from typing import TYPE_CHECKING

import psycopg
from psycopg import errors, generators
from psycopg.pq import ConnStatus, Escaping, ExecStatus, PipelineStatus

if TYPE_CHECKING:
    from psycopg.pq.abc import PGresult

    from qb_engine.database.connect import Connection

GOOD = (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK, ExecStatus.EMPTY_QUERY)
CANCEL_S = 5.0  # to reach the server for a cancel


@dataclass(frozen=True, slots=True)
class Answers:
    """What was answered, in order, and what the statement after these failed with."""

    given: Sequence[PGresult]
    error: psycopg.Error | None = None


def ask(conn: Connection, statements: Sequence[str]) -> Sequence[PGresult]:
    """Send statements as one message; their answers. Raise psycopg.Error when one fails."""
    answers = told(conn, statements)
    if answers.error is not None:
        raise answers.error
    return answers.given


def told(conn: Connection, statements: Sequence[str]) -> Answers:
    """Send statements as one message; the server stops at the first that fails.

    Each of them is a single command without parameters. Raise OperationalError when the connection
    is lost before anything is answered.
    """
    with conn.lock:
        conn.pgconn.send_query(";\n".join(statements).encode())
        found = conn.wait(generators.execute(conn.pgconn))
    for at, result in enumerate(found):
        if result.status not in GOOD:
            return Answers(found[:at], errors.error_from_result(result))
    return Answers(found)


@cache
def can_stream() -> bool:
    """True with a libpq that can send before it is answered (14 and newer)."""
    return psycopg.Pipeline.is_supported()


@dataclass(frozen=True, slots=True)
class Command:
    """One command of a stream: SQL, or the name of what the session has prepared.

    With `heard` its answer is sent at once; otherwise when the server has more to send.
    """

    text: str
    prepared: bool = False
    heard: bool = False


class Stream:
    """Commands that are all on their way, answered one after the other.

    The first that fails is the last that is run. Leaving the block early cancels what still runs.
    Between entering and leaving the connection can be asked nothing else.
    """

    def __init__(self, conn: Connection, commands: Sequence[Command]) -> None:
        self._conn = conn
        self._pgconn = conn.pgconn
        self._commands = commands
        self._left = len(commands)

    def __enter__(self) -> Stream:
        pgconn = self._pgconn
        pgconn.enter_pipeline_mode()
        try:
            for command in self._commands:
                send = pgconn.send_query_prepared if command.prepared else pgconn.send_query_params
                send(command.text.encode(), None)
                if command.heard:
                    pgconn.send_flush_request()
            pgconn.pipeline_sync()
            self._conn.wait(generators.send(pgconn))
        except BaseException:
            self._end(cancel=True)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end(cancel=self._left > 0)

    def ready(self, seconds: float) -> bool:
        """True when the next answer is here, or something arrives within so many seconds."""
        if not self._pgconn.is_busy():
            return True
        waiter = select.poll()
        waiter.register(self._pgconn.socket, select.POLLIN)
        return bool(waiter.poll(seconds * 1000))

    def next(self) -> PGresult:
        """The next command's answer. Raise psycopg.Error for what has failed."""
        while (answer := self._got()) is None:
            pass  # between two commands
        self._left -= 1
        if answer.status not in GOOD:
            self._left = 0  # the server skips the rest by itself
            raise errors.error_from_result(answer)
        return answer

    def _got(self) -> PGresult | None:
        pgconn = self._pgconn
        if pgconn.is_busy():
            answer: PGresult | None = self._conn.wait(generators.fetch(pgconn))
            return answer
        return pgconn.get_result()

    def _end(self, *, cancel: bool) -> None:
        """Read what is left, and leave the connection as it was found."""
        pgconn = self._pgconn
        if cancel and pgconn.status == ConnStatus.OK:
            self._conn.cancel_safe(timeout=CANCEL_S)
        nothing = 0
        while pgconn.status == ConnStatus.OK and nothing < 2:
            try:
                answer = self._got()
            except psycopg.OperationalError:
                return  # the connection is gone, as its next user is told
            if answer is not None and answer.status == ExecStatus.PIPELINE_SYNC:
                break
            nothing = nothing + 1 if answer is None else 0
        if pgconn.status == ConnStatus.OK and pgconn.pipeline_status != PipelineStatus.OFF:
            pgconn.exit_pipeline_mode()


def rows(answer: PGresult) -> list[tuple[str | None, ...]]:
    """What one statement answers, as text; no row for a command."""
    columns = range(answer.nfields)
    return [
        tuple([_text(answer.get_value(row, column)) for column in columns])
        for row in range(answer.ntuples)
    ]


def value(answer: PGresult) -> str | None:
    """The first value of the first row."""
    return _text(answer.get_value(0, 0)) if answer.ntuples else None


def literal(conn: Connection, value: str) -> str:
    """A text as a literal of SQL."""
    return bytes(Escaping(conn.pgconn).escape_literal(value.encode())).decode()


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()
