"""taking a snapshot: one consistent reading of the whole catalog, in a few round trips"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import MappingProxyType
from typing import Any

import psycopg
from psycopg import errors, rows
from psycopg.pq import TransactionStatus

from qb_engine.errors import ServerError
from qb_engine.schema.blockers import locked
from qb_engine.schema.catalog import (
    HEADS,
    LAST,
    PRESENCE,
    RARE,
    SETTLED_AFTER,
    STAGES,
    Collector,
    Group,
    columns,
    comments,
    settled,
)
from qb_engine.schema.catalog.collector import Row
from qb_engine.schema.catalog.rare import Rare
from qb_engine.schema.garbage import no_collection
from qb_engine.schema.state import Snapshot
from qb_engine.schema.xmin import PROBE

# Definitions queue behind ACCESS EXCLUSIVE. Each try is shorter than the usual deadlock_timeout:
# it lets go of its locks before whoever waits for them looks for a victim.
LOCK_TIMEOUT_MS = 500
LOCK_PATIENCE_S = 3.0  # how long a lock may be in the way before we say whose it is
STATEMENT_TIMEOUT_MS = 120_000  # a snapshot of 10,000 tables takes seconds
PATIENCE_S = 15.0  # how long a schema may keep changing before we give up
BACKOFF_S = (0.002, 0.25)  # first and longest pause between two tries
BIG = 2**24  # bytes of pg_attribute, with some 3,000 tables: read in parts from there on
PARTS = 4  # of the columns then
TAKE_IN_S = 0.002  # a socket is filled in about this time

# The server prints expressions by these settings: the same for everybody, whoever connects.
SETTINGS = {
    "search_path": "",
    "quote_all_identifiers": "off",
    "standard_conforming_strings": "on",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "lc_monetary": "C",
    "xmlbinary": "base64",
    "lock_timeout": f"{LOCK_TIMEOUT_MS}ms",
    "statement_timeout": f"{STATEMENT_TIMEOUT_MS}ms",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
}
BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

Stage = Sequence[Group | Rare]
Sent = list[tuple[Group | Rare, psycopg.Cursor[Row]]]
Received = list[tuple[Group | Rare, list[Row]]]


def prepared() -> str:
    """The settings as one statement, for the transaction."""
    settings = (f"pg_catalog.set_config('{key}', '{text}', true)" for key, text in SETTINGS.items())
    return f"SELECT {', '.join(settings)}"


PREPARE = prepared()
MOMENT = "SELECT pg_catalog.pg_current_snapshot()::text"
# age() counts from the next transaction id, which is newer than the transaction's snapshot
CLOCK = "SELECT pg_catalog.age('3'::xid) + 3::bigint"


def snapshot(
    conn: psycopg.Connection[Any], *, exclude_schemas: Collection[str] = ("qb",)
) -> Snapshot:
    """Return the whole schema of the database, as it was at one moment.

    `conn` is an idle connection in autocommit mode. Raise ServerError when a lock is in the way,
    or when the schema does not stand still long enough to be read.
    """
    if not conn.autocommit or conn.info.transaction_status != TransactionStatus.IDLE:
        raise ValueError("a snapshot needs an idle connection in autocommit mode")
    excluded = {"excluded": list(exclude_schemas)}
    started = time.monotonic()
    pause, longest = BACKOFF_S
    while True:
        try:
            found = _Reading(conn, excluded).result()
        except (errors.LockNotAvailable, errors.DeadlockDetected) as error:
            if time.monotonic() - started > LOCK_PATIENCE_S:
                raise locked(conn, LOCK_PATIENCE_S) from error
            found = None
        except psycopg.Error as error:
            raise ServerError(
                "the catalog cannot be read",
                where=f"database {conn.info.dbname}",
                why=str(error).strip(),
            ) from error
        if found is not None:
            return found
        if time.monotonic() - started > PATIENCE_S:
            raise ServerError(
                "the schema keeps changing while it is read",
                where=f"database {conn.info.dbname}",
                why=f"no reading within {PATIENCE_S:.0f} s saw the same schema from end to end",
                todo="wait until what creates and drops objects has ended, then try again",
                code="schema-busy",
            )
        time.sleep(pause * random.uniform(0.5, 1.5))
        pause = min(pause * 2, longest)


class _Reading:
    """One try: a transaction in which every group reads, and the proof that nothing moved.

    A transaction alone is not consistent: functions like pg_get_indexdef look at the catalog as
    it is now. So the reading counts only if no transaction has ended since it began, or if
    none of those that ended has touched the catalog.
    """

    def __init__(self, conn: psycopg.Connection[Any], excluded: Mapping[str, Any]) -> None:
        self._conn = conn
        self._excluded = excluded
        self._into = Collector()
        self._moment: psycopg.Cursor[Row] | None = None
        self._written: dict[str, str] = {}
        self._now: list[Row] = []  # the moment when the transaction had ended
        self._hash = ""  # the probe as the transaction sees it; only asked of a busy server

    def result(self) -> Snapshot | None:
        """The snapshot, or None when the schema moved meanwhile."""
        trouble: psycopg.Error | None = None
        try:
            with no_collection():
                self._read()
        except psycopg.OperationalError:  # a lock, a timeout, a broken connection
            self._leave()
            raise
        except psycopg.Error as error:  # perhaps an object that went while we looked at it
            trouble = error
        self._leave()
        if self._moved():
            return None
        if trouble is not None:
            raise trouble
        return Snapshot(
            MappingProxyType(self._into.facts),
            tuple(sorted(self._into.unmodelled)),
            self._conn.info.server_version,
            written=self._written,
        )

    def _read(self) -> None:
        with self._conn.pipeline():
            self._send(BEGIN)
            self._send(PREPARE)
            self._moment, presence = self._send(MOMENT), self._send(PRESENCE)
            moment, (present, size) = self._moment.fetchall()[0][0], presence.fetchall()[0]
            rare = [kind for kind in RARE if kind.of in present]
            first, *others = STAGES
            found: Received = []
            if size > BIG:
                found = _fetched(self._start(first))
                oids = [row[0] for group, rows in found if group is HEADS for row in rows]
                stages = [columns(oids, PARTS)]
            else:
                stages = [(*first, *columns())]
            self._read_stages(found, [*stages, *others, (*rare, *LAST)])
            self._print()
            if self._into.orphans:
                cursor = self._send(comments.UNKNOWN, comments.unknown(self._into))
                comments.read_unknown(cursor.fetchall(), self._into)
            if not _still(moment, self._send(CLOCK).fetchall()[0][0]):
                self._hash = self._send(PROBE, self._excluded).fetchall()[0][0]
            self._send("ROLLBACK")
            self._now = self._send(MOMENT).fetchall()

    def _read_stages(self, found: Received, stages: Sequence[Stage]) -> None:
        """Read what was found, and the stages, which the server is asked for all at once."""
        sent = [(stage, self._start(stage)) for stage in stages]
        with _taking_in(self._conn):
            for group, rows in found:
                group.read(rows, self._into)
            for stage, asked in sent:
                for group, cursor in asked:
                    group.read(cursor.fetchall(), self._into)
                if stage is SETTLED_AFTER:  # there is time: the server is at work on indexes
                    self._written = settled(self._into)

    def _print(self) -> None:
        """Ask for the definitions of one of each kind, until all are written."""
        for kind in (self._into.definitions, self._into.indexes):
            while wanted := kind.wanted():
                kind.read(self._send(kind.sql, {"wanted": wanted}).fetchall())

    def _moved(self) -> bool:
        """True when the schema may have changed since the transaction began."""
        if self._moment is None or self._moment.pgresult is None:
            return False
        self._moment.scroll(0, "absolute")
        if self._moment.fetchall() == (self._now or self._send(MOMENT).fetchall()):
            return False
        return not self._hash or self._send(PROBE, self._excluded).fetchall()[0][0] != self._hash

    def _start(self, stage: Stage) -> Sent:
        return [(group, self._send(group.sql, self._excluded)) for group in stage]

    def _send(self, sql: str, parameters: Mapping[str, Any] | None = None) -> psycopg.Cursor[Row]:
        cursor = psycopg.Cursor(self._conn, row_factory=rows.tuple_row)
        used = parameters if "%(" in sql else None
        return cursor.execute(sql, used, prepare=False, binary=True)

    def _leave(self) -> None:
        if not self._conn.closed and not self._now:
            self._conn.rollback()


@contextmanager
def _taking_in(conn: psycopg.Connection[Any]) -> Iterator[None]:
    """Take in what the server sends while we read what it sent before.

    It has to hand over what it finds before it goes on, and a socket holds little. A thread that
    made rows of it would get its turn too seldom; this one only empties the socket.
    """
    done = threading.Event()

    def take_in() -> None:
        while not done.wait(TAKE_IN_S):
            with conn.lock:
                if not conn.closed:
                    conn.pgconn.consume_input()

    def until_done() -> None:
        with suppress(psycopg.OperationalError):  # who reads will hear of it
            take_in()

    thread = threading.Thread(target=until_done, name="qb snapshot")
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _fetched(sent: Sent) -> Received:
    return [(group, cursor.fetchall()) for group, cursor in sent]


def _still(moment: str, next_xid: int) -> bool:
    """True when nobody wrote anything when `moment` was taken, nor has begun to since."""
    _, newest, running = moment.split(":")
    return not running and (int(newest) - next_xid) % 2**32 == 0
