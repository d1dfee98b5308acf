"""asking a database on behalf of a rule, so that nothing can be written and nothing is left"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg import ClientCursor, sql
from psycopg.pq import TransactionStatus

from qb_engine.errors import InputError
from qb_engine.sql import Source, Statement, read_one
from qb_engine.sql.relations import writes
from qb_engine.sql.tree import pb, walk

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection

SHOWN = 5  # rows that break a rule are shown, at most as many
LONGEST = 60  # characters of one value


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a rule may wait for a lock, and take; in seconds, 0 is for ever."""

    lock_timeout: float = 2.0
    statement_timeout: float = 3600.0


@dataclass(frozen=True, slots=True)
class Found:
    """The first rows of a query: the names of their columns, and whether there are more."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    more: bool

    @property
    def count(self) -> str:
        """How many they are, in words."""
        if self.more:
            return f"more than {len(self.rows)} rows"
        return "no row" if not self.rows else "1 row" if len(self.rows) == 1 else self._many

    @property
    def _many(self) -> str:
        return f"{len(self.rows)} rows"

    @property
    def lines(self) -> tuple[str, ...]:
        """Each row as text: `id=7, email=NULL`."""
        lines = [
            ", ".join(f"{name}={_short(value)}" for name, value in zip(self.columns, row))
            for row in self.rows
        ]
        return (*lines, "...") if self.more else tuple(lines)


class Reader:
    """What a rule asks with: `read(query)` or `read(query, parameters)` gives the rows.

    A query that is no SELECT is refused before it is sent, and the server refuses whatever writes.
    `inside` is True within the transaction of a migration.
    """

    def __init__(self, conn: Connection, *, inside: bool) -> None:
        self._conn = conn
        self.inside = inside

    def __call__(
        self, query: str | sql.Composable, parameters: Sequence[Any] | None = None
    ) -> list[tuple[Any, ...]]:
        if parameters is not None and isinstance(query, str):
            # merged here, so that the parser sees what the server will
            query = ClientCursor(self._conn).mogrify(query, parameters)
        return self._conn.execute(self._text(query)).fetchall()

    def first(self, query: str | sql.Composable, limit: int = SHOWN) -> Found:
        """The first rows of a query, with the names of their columns."""
        whole = b"SELECT * FROM (\n%b\n) AS found LIMIT %d" % (self._text(query), limit + 1)
        cursor = self._conn.execute(whole)
        rows = cursor.fetchall()
        names = tuple(column.name for column in cursor.description or ())
        return Found(names, tuple(rows[:limit]), len(rows) > limit)

    def plan(self, statement: str) -> dict[str, Any]:
        """The plan that the server would choose for a statement; it is not run."""
        row = self._conn.execute(b"EXPLAIN (FORMAT JSON) " + statement.encode()).fetchone()
        assert row is not None
        return dict(row[0][0]["Plan"])

    def set(self, name: str, value: str) -> None:
        """Change a setting for the rest of this rule."""
        self._conn.execute("SELECT pg_catalog.set_config(%s, %s, true)", [name, value])

    def _text(self, query: str | sql.Composable) -> bytes:
        if isinstance(query, sql.Composable):
            return query.as_bytes(self._conn)
        return only_reads(query).sql.encode()


def only_reads(text: str, source: Source | None = None) -> Statement:
    """The one statement of a text; raise InputError when it is anything but a query."""
    statement = read_one(text, source)
    node = statement.node
    select = isinstance(node, pb.SelectStmt)
    if not select or writes(node) or any(isinstance(each, pb.IntoClause) for each in walk(node)):
        raise InputError(
            "a rule may only read",
            where=str(statement.source),
            why=f"{statement.first_line} is no query that leaves everything as it is",
            todo="write it as a SELECT",
            code="bad-rule",
        )
    return statement


@contextmanager
def reading(conn: Connection, limits: Limits | None = None) -> Iterator[Reader]:
    """A reader for one rule; whatever happens, it leaves the connection as it was.

    Within a transaction it works in a savepoint, which is read-only and always rolled back; else in
    a read-only transaction of its own, under `limits`. Rows that a policy would hide are an error:
    a rule that does not see them all must not say that it is met.
    """
    inside = in_transaction(conn)
    with conn.transaction(force_rollback=True):
        if not inside and limits is not None:
            conn.execute(
                f"SET LOCAL lock_timeout = {_ms(limits.lock_timeout)};"
                f" SET LOCAL statement_timeout = {_ms(limits.statement_timeout)}".encode()
            )
        conn.execute(b"SET LOCAL transaction_read_only = on; SET LOCAL row_security = off")
        yield Reader(conn, inside=inside)


def in_transaction(conn: Connection) -> bool:
    return conn.info.transaction_status != TransactionStatus.IDLE


def _ms(seconds: float) -> str:
    return str(max(int(seconds * 1000), 1) if seconds else 0)


def _short(value: Any) -> str:
    text = "NULL" if value is None else " ".join(str(value).split())
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."
