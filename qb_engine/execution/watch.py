"""a run watched from outside: what it holds, who waits for it, for whom it waits

A thread with a connection of its own looks several times a second. When somebody has waited for the
run longer than `max_blocked`, the running statement is cancelled: a migration may hurt the
application for a bounded time only.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg

from qb_engine.errors import QbError
from qb_engine.execution.observation import strength
from qb_engine.execution.observer import LOCKS

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection

EVERY_S = 0.2
LEAST_S = 0.02  # between two looks, however short the lock timeout is
MOST_SAMPLES = 2_000  # of one run; then every second one is let go
SAME_S = 2.0  # a look that shows nothing new is kept this often

WAITS = """
SELECT l.pid, coalesce(nullif(a.application_name, ''), '?'),
       coalesce(extract(epoch FROM clock_timestamp() - l.waitstart), 0)::float8,
       left(a.query, 80)
  FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a USING (pid)
 WHERE NOT l.granted AND l.pid <> %(pid)s AND a.backend_type = 'client backend'
   AND %(pid)s = ANY (pg_catalog.pg_blocking_pids(l.pid))
 ORDER BY 3 DESC, 1
"""

BLOCKERS = """
SELECT a.pid, coalesce(nullif(a.application_name, ''), '?'),
       extract(epoch FROM clock_timestamp() - a.xact_start)::int, left(a.query, 80)
  FROM pg_catalog.pg_stat_activity a
 WHERE a.pid = ANY (pg_catalog.pg_blocking_pids(%s)) ORDER BY a.xact_start
"""

WAL = """
SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN 0 ELSE
       pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_insert_lsn(), '0/0') END::bigint
"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A session that waits for the run, or that the run waits for. `seconds`: it waits, or its age.

    From pg_locks.waitstart, and from pg_stat_activity.xact_start.
    """

    pid: int
    application: str
    seconds: float
    query: str

    def __str__(self) -> str:
        return f"pid {self.pid} ({self.application}): {self.query}"


@dataclass(frozen=True, slots=True)
class Sample:
    """One look. `at` counts seconds from the first one; `held` maps relations to lock modes."""

    at: float
    step: int
    held: dict[str, str] = field(default_factory=dict)
    waits_for: tuple[Waiting, ...] = ()
    blocked: tuple[Waiting, ...] = ()
    wal_bytes: int = 0
    io: dict[str, Any] = field(default_factory=dict)
    progress: dict[str, Any] = field(default_factory=dict)

    @property
    def longest(self) -> float:
        """Seconds that the session which waits longest has waited."""
        return max((each.seconds for each in self.blocked), default=0.0)


class Watch:
    """Looks at one backend while it works.

    `blockers` are those seen last of the running step. `over` says who waited too long; it stays
    until the next `begin`. Without an opener nothing is watched.
    """

    def __init__(
        self,
        opener: Callable[[], Connection] | None,
        cancel: Callable[[], None],
        *,
        lock_timeout: float,
        max_blocked: float = 0.0,
    ) -> None:
        self._opener = opener
        self._cancel = cancel
        self._every = max(min(EVERY_S, lock_timeout * 0.4 or EVERY_S), LEAST_S)
        self._max_blocked = max_blocked
        self._lock = threading.Lock()
        self._working = threading.Event()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._pid = 0
        self._step = 0
        self._origin = time.monotonic()
        self._first_wal: int | None = None
        self.samples: list[Sample] = []
        self.blockers: tuple[Waiting, ...] = ()
        self.over = ""

    def begin(self, pid: int) -> None:
        """Watch this backend from now on."""
        self._pid, self.over = pid, ""
        if self._opener is None:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._look_on, name="qb watch", daemon=True)
            self._thread.start()
        self._working.set()

    def step(self, number: int) -> None:
        """The next statement starts."""
        self._step, self.blockers = number, ()

    def end(self) -> None:
        """Nothing is held any more."""
        self._working.clear()

    def close(self) -> None:
        """Stop the thread."""
        self._closed.set()
        self._working.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def taken(self) -> tuple[Sample, ...]:
        """The samples since the last call."""
        with self._lock:
            found, self.samples = tuple(self.samples), []
        return found

    def _look_on(self) -> None:
        conn: Connection | None = None
        try:
            while not self._closed.is_set():
                self._working.wait()
                if self._closed.wait(self._every) or not self._working.is_set():
                    continue
                assert self._opener is not None
                # the run itself will say what is wrong with the server
                with suppress(psycopg.Error, QbError):
                    if conn is None or conn.closed:
                        conn = self._opener()
                    self._look(conn)
        finally:
            if conn is not None:
                conn.close()

    def _look(self, conn: Connection) -> None:
        pid, step = self._pid, self._step
        held = {
            f"{schema}.{name}": max(modes, key=strength)
            for _oid, schema, name, kind, _file, modes in conn.execute(
                LOCKS, {"pid": pid, "waiting": False}
            ).fetchall()
            if kind not in ("i", "I")
        }
        blocked = tuple(Waiting(*row) for row in conn.execute(WAITS, {"pid": pid}).fetchall())
        blockers = tuple(
            Waiting(each, name, float(age or 0), query or "")
            for each, name, age, query in conn.execute(BLOCKERS, [pid]).fetchall()
        )
        row = conn.execute(WAL).fetchone()
        wal = int(row[0]) if row else 0
        if not self._working.is_set() or (pid, step) != (self._pid, self._step):
            return  # what was looked at is over
        self.blockers = blockers or self.blockers
        self._first_wal = wal if self._first_wal is None else self._first_wal
        at = round(time.monotonic() - self._origin, 3)
        self._keep(Sample(at, step, held, blockers, blocked, wal - self._first_wal))
        if self._max_blocked and blocked and blocked[0].seconds > self._max_blocked:
            self.over = (
                f"{blocked[0]} waited {blocked[0].seconds:.1f} s for it, "
                f"more than the {self._max_blocked:g} s that are allowed"
            )
            self._cancel()

    def _keep(self, sample: Sample) -> None:
        with self._lock:
            last = self.samples[-1] if self.samples else None
            if last is not None and sample.at - last.at < SAME_S and _same(last, sample):
                return
            self.samples.append(sample)
            if len(self.samples) > MOST_SAMPLES:
                del self.samples[1::2]


def _same(one: Sample, other: Sample) -> bool:
    """True when nothing that a reader of the timeline would notice has changed."""
    return (one.step, one.held, one.progress) == (other.step, other.held, other.progress) and (
        [w.pid for w in one.waits_for + one.blocked]
        == [w.pid for w in other.waits_for + other.blocked]
    )
