"""looks, while batches run, for sessions that wait behind them; one connection for all lanes

Between batches nothing is locked, so only a look from outside, while a batch runs, can see who
waits for it. Nobody can have waited longer than the batch runs, so a batch is looked at only when
it runs longer than the shortest wait that matters: most batches never are.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg

from qb_engine.database.connect import another
from qb_engine.errors import QbError

if TYPE_CHECKING:
    from qb_engine.backfill.throttle.signals.lock_waiters import LockWaiters

Connection = psycopg.Connection[Any]

NAME = "qb backfill watcher"
STEP_S = 0.1  # between two looks at a batch
SHARE = 0.2  # ... or this share of the time that it runs already: for long ones
LONGEST_STEP_S = 0.5
AWAY_S = 30.0  # a look that failed is tried again after this
STATEMENT_MS = 2_000

# Longest wait in seconds behind each of our sessions; ours do not count as waiting for each other,
# nor do orders to a backfill and looks at it, which wait for the ledger's row.
WAITING = """
SELECT b.pid, max(extract(epoch FROM clock_timestamp() - w.waitstart))::float8, count(*)
FROM (SELECT DISTINCT pid, waitstart FROM pg_locks
      WHERE NOT granted AND waitstart IS NOT NULL AND pid <> ALL (%(ours)s)
      AND NOT EXISTS (SELECT FROM pg_stat_activity AS a
          WHERE a.pid = pg_locks.pid AND a.application_name ~ '^qb (backfill|worker)')) AS w,
    unnest(pg_blocking_pids(w.pid)) AS b (pid)
WHERE b.pid = ANY (%(ours)s) GROUP BY b.pid
"""

log = logging.getLogger("qb.worker")


@dataclass(slots=True)
class Seen:
    """What was seen while a batch ran: the longest wait behind it, and whether it was cancelled."""

    waited_s: float = 0.0
    sessions: int = 0
    cancelled: bool = False
    blind: str = ""


@dataclass(slots=True)
class _Batch:
    options: LockWaiters
    began: float
    may_cancel: bool
    seen: Seen
    looks_at: float


class Watcher:
    """A thread with a connection, there while a lane of the process is."""

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._change = threading.Condition()
        self._batches: dict[int, _Batch] = {}
        self._ended = False
        self._away_until = 0.0
        self._blind = ""
        self._thread: threading.Thread | None = None

    def begin(self, pid: int, options: LockWaiters, *, may_cancel: bool) -> None:
        """A batch begins on the session `pid`."""
        now = time.monotonic()
        shortest = min(each for each in (options.slow, options.cancel) if each is not None)
        batch = _Batch(options, now, may_cancel, Seen(), now + shortest)
        with self._change:
            self._batches[pid] = batch
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="qb-watcher", daemon=True)
                self._thread.start()
            elif len(self._batches) == 1:
                self._change.notify()

    def end(self, pid: int) -> Seen:
        """The batch is over; what was seen. From now on it is not cancelled."""
        with self._change:
            batch = self._batches.pop(pid, None)
            seen = batch.seen if batch else Seen()
            seen.blind = self._blind
            return seen

    def close(self) -> None:
        with self._change:
            self._ended = True
            self._change.notify()
        if self._thread:
            self._thread.join()

    def _run(self) -> None:
        conn: Connection | None = None
        try:
            while self._due():
                try:
                    conn = conn or self._connect()
                    self._look(conn)
                    self._blind = ""
                except (psycopg.Error, QbError) as error:
                    self._blind = getattr(error, "what", "") or " ".join(str(error).split())
                    log.warning("waiting sessions are not seen: %s", type(error).__name__)
                    self._away_until = time.monotonic() + AWAY_S
                    if conn is not None:
                        conn.close()
                        conn = None
        finally:
            if conn is not None:
                conn.close()

    def _due(self) -> bool:
        """Wait until a batch has run for long; False at the end."""
        with self._change:
            while not self._ended:
                now = time.monotonic()
                next_look = min((b.looks_at for b in self._batches.values()), default=None)
                if next_look is None:
                    self._change.wait()
                    continue
                next_look = max(next_look, self._away_until)
                if next_look <= now:
                    return True
                self._change.wait(next_look - now)
            return False

    def _look(self, conn: Connection) -> None:
        with self._change:
            ours = list(self._batches)
        found = conn.execute(WAITING, {"ours": ours}).fetchall()
        late = []
        now = time.monotonic()
        with self._change:
            for batch in self._batches.values():
                batch.looks_at = now + min(max(STEP_S, SHARE * (now - batch.began)), LONGEST_STEP_S)
            for pid, waited, sessions in found:
                batch_seen = self._batches.get(pid)
                if batch_seen is None or now - batch_seen.began < waited - STEP_S:
                    continue  # that was an earlier batch's
                seen, options = batch_seen.seen, batch_seen.options
                seen.waited_s = max(seen.waited_s, waited)
                seen.sessions = max(seen.sessions, sessions)
                if options.cancel is not None and waited >= options.cancel:
                    late.append(pid)
            for pid in late:  # while the lane cannot end the batch, so that no other one is hit
                if self._batches[pid].may_cancel and not self._batches[pid].seen.cancelled:
                    conn.execute("SELECT pg_cancel_backend(%s)", [pid])
                    self._batches[pid].seen.cancelled = True


_lock = threading.Lock()
_shared: dict[str, tuple[Watcher, int]] = {}


def take(conn: Connection) -> tuple[str, Watcher]:
    """The watcher of the place where a connection leads, shared by the lanes of this process."""
    info = conn.info
    place, password = info.dsn, info.password
    with _lock:
        watcher, count = _shared.get(place, (None, 0))
        watcher = watcher or Watcher(lambda: _open(place, password))
        _shared[place] = watcher, count + 1
        return place, watcher


def give_back(place: str) -> None:
    """The last one that gives it back ends it."""
    with _lock:
        watcher, count = _shared.pop(place)
        if count > 1:
            _shared[place] = watcher, count - 1
            return
    watcher.close()


def _open(place: str, password: str) -> Connection:
    conn = another(place, password, application_name=NAME)
    conn.execute("SELECT set_config('statement_timeout', %s, false)", [str(STATEMENT_MS)])
    return conn
