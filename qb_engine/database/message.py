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
    from psycopg.abc import PQGen
    from psycopg.pq.abc import PGconn, PGresult

    from qb_engine.database.connect import Connection

Rows = list[tuple[str | None, ...]]
"""What one statement answers, as text; no row for a command."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What was answered, in order, and what the statement after these failed with."""

    rows: tuple[Rows, ...]
    error: psycopg.Error | None = None


def ask(conn: Connection, statements: Sequence[str]) -> tuple[Rows, ...]:
    """Send statements as one message; their answers. Raise psycopg.Error when one fails."""
    answers = told(conn, statements)
    if answers.error is not None:
        raise answers.error
    return answers.rows


def told(conn: Connection, statements: Sequence[str]) -> Answers:
    """Send statements as one message; the server stops at the first that fails.

    Each of them is a single command without parameters. Raise OperationalError when the connection
    is lost before anything is answered.
    """
    rows: list[Rows] = []
    error: psycopg.Error | None = None
    with conn.lock:
        for result in conn.wait(_sent(conn.pgconn, ";\n".join(statements).encode())):
            if result.status in (ExecStatus.COMMAND_OK, ExecStatus.EMPTY_QUERY):
                rows.append([])
            elif result.status == ExecStatus.TUPLES_OK:
                rows.append(_rows(result))
            elif error is None:
                error = errors.error_from_result(result)
    return Answers(tuple(rows), error)


def literal(conn: Connection, value: str) -> str:
    """A text as a literal of SQL."""
    return bytes(Escaping(conn.pgconn).escape_literal(value.encode())).decode()


def _sent(pgconn: PGconn, text: bytes) -> PQGen[list[PGresult]]:
    pgconn.send_query(text)
    results: list[PGresult] = yield from generators.execute(pgconn)
    return results


def _rows(result: PGresult) -> Rows:
    columns = range(result.nfields)
    return [
        tuple(_text(result.get_value(row, column)) for column in columns)
        for row in range(result.ntuples)
    ]


def _text(value: bytes | None) -> str | None:
    return None if value is None else bytes(value).decode()
