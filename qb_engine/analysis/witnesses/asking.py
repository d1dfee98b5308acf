"""asking the target for rows that break a claim: read-only, bounded, no longer than it takes"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg

from qb_engine.database.connect import lost
from qb_engine.execution.stage import milliseconds
from qb_engine.sql import ident, literal

if TYPE_CHECKING:
    from qb_engine.analysis.witnesses.claim import Claim
    from qb_engine.database.connect import Connection

SAMPLE = 5  # keys of rows that are shown
KEY_LENGTH = 60
SOFT = 160_000  # from this version on a server can say whether a text is a value of a type
TEXTS = (25, 1043, 1042, 19)  # text, varchar, bpchar, name
BROKEN = ("22", "23", "P0", "2F")  # the classes of errors that a row's own value raises
LIMITS = """
SET LOCAL transaction_isolation = 'repeatable read'; SET LOCAL transaction_read_only = on;
SET LOCAL lock_timeout = '500ms'; SET LOCAL statement_timeout = '{ms}'
"""

# the columns of a table's primary key; how long its file is, in pages, unless it has partitions
KEY = """
SELECT ARRAY(SELECT a.attname::text
               FROM pg_catalog.pg_index i
              CROSS JOIN LATERAL pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY AS u(n, at)
               JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = u.n
              WHERE i.indrelid = c.oid AND i.indisprimary AND u.at <= i.indnkeyatts
              ORDER BY u.at),
       CASE c.relkind WHEN 'r' THEN pg_catalog.pg_relation_size(c.oid)
            / pg_catalog.current_setting('block_size')::int + 1 END
  FROM pg_catalog.pg_class c
 WHERE c.oid = pg_catalog.to_regclass(%s)
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the target says to a claim.

    `broken` is how many rows break it, at least that many where `more` may do; None where it could
    not be told, and `why`. `keys` name some of these rows by their primary key, no other column.
    `absent` says that the target does not have what the claim speaks of. `query` finds the rows.
    """

    broken: int | None
    more: bool = False
    keys: tuple[str, ...] = ()
    why: str = ""
    absent: bool = False
    query: str = ""


def answer(conn: Connection, claim: Claim, limit_s: float) -> Answer:
    """Ask for rows that break a claim, for no longer than this; `conn` is in no transaction."""
    asking = _Asking(conn, claim, time.monotonic() + limit_s)
    try:
        return asking.answer()
    except psycopg.errors.QueryCanceled:
        return Answer(None, why=f"it could not be told within {limit_s:.0f} s")
    except psycopg.errors.LockNotAvailable:
        return Answer(None, why="it is locked")
    except psycopg.errors.InsufficientPrivilege as error:
        return Answer(None, why=error.diag.message_primary or "the role may not read it")
    except psycopg.Error as error:
        if lost(error):
            raise
        absent = isinstance(error, psycopg.errors.ProgrammingError)
        return Answer(None, why=error.diag.message_primary or str(error), absent=absent)


class _Asking:
    """One claim, asked until `deadline` (monotonic)."""

    def __init__(self, conn: Connection, claim: Claim, deadline: float) -> None:
        self._conn = conn
        self._claim = claim
        self._deadline = deadline
        self._keys: list[str] = []
        self._pages: int | None = None

    def answer(self) -> Answer:
        found = self._rows(KEY, [self._claim.table])
        if not found:
            return Answer(None, why="the target does not have it", absent=True)
        self._keys, self._pages = found[0]
        source = self._claim.source or self._unreadable()
        return self._counted(source) if source else self._attempted()

    # -- rows that a condition finds ---------------------------------------------------------------

    def _counted(self, source: str) -> Answer:
        query = f"SELECT {self._columns()} {source}"
        rows = self._rows(f"{query} LIMIT {SAMPLE + 1}")
        keys = tuple(self._shown(row) for row in rows[:SAMPLE]) if self._keys else ()
        if len(rows) <= SAMPLE:
            return Answer(len(rows), keys=keys, query=query)
        try:
            count = int(self._rows(f"SELECT pg_catalog.count(*) {source}")[0][0])
        except psycopg.errors.QueryCanceled:
            return Answer(len(rows), more=True, keys=keys, query=query)
        return Answer(count, keys=keys, query=query)

    def _columns(self) -> str:
        return ", ".join(ident(name) for name in self._keys) or "1"

    def _shown(self, row: tuple[Any, ...]) -> str:
        pairs = (f"{name} = {value}" for name, value in zip(self._keys, row))
        return ", ".join(text[:KEY_LENGTH] for text in pairs)

    # -- values that cannot be converted -----------------------------------------------------------

    def _unreadable(self) -> str:
        """FROM and WHERE of texts that are no value of the new type, where the server can tell."""
        claim = self._claim
        if not claim.conversion or self._conn.info.server_version < SOFT:
            return ""
        with self._transaction():
            cursor = self._conn.execute(
                f"SELECT {claim.conversion} FROM {claim.table} LIMIT 0".encode()
            )
            kind = cursor.description[0].type_code if cursor.description else 0
        if kind not in TEXTS:
            return ""
        text = f"({claim.conversion})::pg_catalog.text"
        valid = f"pg_catalog.pg_input_is_valid({text}, {literal(claim.type)})"
        return f"FROM {claim.table} WHERE NOT {valid}"

    def _attempted(self) -> Answer:
        """Convert every row, and where that fails look for the first page with such a row."""
        if self._converts("true"):
            return Answer(0)
        if self._pages is None:
            return Answer(1, more=True)
        first, last = 0, self._pages
        try:
            while last - first > 1:
                middle = (first + last) // 2
                if self._converts(_pages(first, middle)):
                    first = middle
                else:
                    last = middle
            return Answer(1, more=True, keys=tuple(self._failing(first)))
        except psycopg.errors.QueryCanceled:
            return Answer(1, more=True)

    def _failing(self, page: int) -> list[str]:
        """The keys of rows of a page that cannot be converted."""
        if not self._keys:
            return []
        query = f"SELECT ctid::text, {self._columns()} FROM {self._claim.table}"
        found: list[str] = []
        for place, *key in self._rows(f"{query} WHERE {_pages(page, page + 1)}"):
            if not self._converts(f"ctid = {literal(place)}"):
                found.append(self._shown(tuple(key)))
            if len(found) == SAMPLE:
                break
        return found

    def _converts(self, condition: str) -> bool:
        claim = self._claim
        query = f"SELECT pg_catalog.count({claim.attempt}) FROM {claim.table} WHERE {condition}"
        try:
            self._rows(query)
        except psycopg.Error as error:
            if (error.sqlstate or "")[:2] in BROKEN:
                return False
            raise
        return True

    # -- asking ------------------------------------------------------------------------------------

    def _rows(self, query: str, arguments: list[Any] | None = None) -> list[tuple[Any, ...]]:
        with self._transaction():
            return self._conn.execute(query.encode(), arguments).fetchall()

    def _transaction(self) -> Any:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise psycopg.errors.QueryCanceled("no time is left")
        return _limited(self._conn, left)


class _limited:
    """A read-only transaction that ends within so many seconds, and is rolled back."""

    def __init__(self, conn: Connection, left: float) -> None:
        self._conn = conn
        self._limits = LIMITS.format(ms=milliseconds(left))
        self._inner: Any = None

    def __enter__(self) -> None:
        self._inner = self._conn.transaction(force_rollback=True)
        self._inner.__enter__()
        self._conn.execute(self._limits)

    def __exit__(self, *error: Any) -> bool | None:
        return bool(self._inner.__exit__(*error))


def _pages(first: int, last: int) -> str:
    """The rows in the pages of a file from the first to before the last."""
    return f"ctid >= '({first},0)' AND ctid < '({last},0)'"
