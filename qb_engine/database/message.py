"""several statements in one message to the server: one way there and back, each with its answer

What takes no parameter, fails seldom and stands beside others anyway (BEGIN and its settings, the
end of a transaction) need not wait for one answer after the other. psycopg's own `execute` sends
such texts, too, but tells neither which of them failed nor what those before it answered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
from psycopg import errors, generators
from psycopg.pq import Escaping, ExecStatus

if TYPE_CHECKING:
    from psycopg.pq.abc import PGresult

    from qb_engine.database.connect import Connection

GOOD = (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK, ExecStatus.EMPTY_QUERY)


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
