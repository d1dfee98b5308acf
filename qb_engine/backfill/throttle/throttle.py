"""the throttle of one lane: it waits before a batch where a signal says so, and sets its size"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import psycopg

from qb_engine.backfill import pace, records
from qb_engine.backfill.batches.batch import Halted
from qb_engine.backfill.pace import Pace
from qb_engine.backfill.throttle import bucket, holds, settings, watcher
from qb_engine.backfill.throttle.look import Look
from qb_engine.backfill.throttle.signal import GO, Reading
from qb_engine.backfill.throttle.signals.lock_waiters import LockWaiters
from qb_engine.report import format_seconds

if TYPE_CHECKING:
    from qb_engine.backfill.batches.batch import Batch, Held
    from qb_engine.backfill.spec import Spec

Connection = psycopg.Connection[Any]
Wait = Callable[[float], bool]

log = logging.getLogger("qb.worker")

POLL_S = 0.5  # pause, cancel and tune are heard within this
LEAST_S = 0.05  # a slow batch is followed by at least this
LONGEST_S = 30.0  # ... and at most this
WAITERS_GROW = 1.1  # for each batch behind which nobody waited, up to where somebody did


class Throttle:
    """How many keys the next batch takes, and when it may begin.

    One for each lane, which calls `begin` for each segment and closes it at its end. `size` is in
    keys. `waited_ms`, `held_by` and `lag_s` tell of the wait before the last batch.
    """

    def __init__(self, spec: Spec, size: int = 0) -> None:
        self.waited_ms = 0.0
        self.held_by = ""
        self.lag_s: float | None = None
        self._pace = Pace()
        self._look = Look(())
        self._waiters: LockWaiters | None = None
        self._watcher: tuple[str, watcher.Watcher] | None = None
        self._blind = ""  # why the watcher cannot see
        self._watched = 0  # the session whose batch is watched; 0: none
        self._ceiling: float | None = None  # keys, since somebody waited for a batch
        self._too_many = 0  # keys of the batch that somebody waited for
        self._waited_for = GO  # what was seen then
        self._cancelled = False
        self._hold: tuple[int, Held, str, str] | None = None  # id, segment, signal, says
        self._said: set[tuple[str, str]] = set()
        self._segment: tuple[int, int] | None = None
        self._fresh = True  # nothing was said of this segment yet
        self._tuned: int | None = None
        self._owed: tuple[int, float] = 0, 0.0  # rows not charged yet; until when it waits
        self._ms = 0.0
        self._keys = 0
        self.spec = spec
        self.begin(spec, size)

    def close(self, conn: Connection) -> None:
        """End what it holds, in the ledger too, and let the watcher go."""
        self._unwatch()
        if not conn.closed:
            try:
                self._release(conn)
            except psycopg.Error as error:  # whoever claims the segment next ends it
                log.warning("a hold was not ended: %s", type(error).__name__)
        if self._watcher:
            watcher.give_back(self._watcher[0])
            self._watcher = None

    def begin(self, spec: Spec, size: int = 0, tuned: int | None = None) -> None:
        """Begin a segment, with the size that its batches had; what the lane knows is kept.

        `tuned` counts the changes of the options that `spec` has taken over.
        """
        self._tuned = tuned
        self._take(spec, changed=self.spec.options != spec.options or not self._look.signals)
        if size and not self._pace.key_ms:
            self._pace = Pace(size)
        self._pace = self._pace.within(spec.batch_limit)

    def tuned(self, spec: Spec) -> None:
        """Take over what was changed while it runs."""
        self._take(spec, changed=self.spec.options != spec.options)
        self._pace = self._pace.within(spec.batch_limit)

    @property
    def size(self) -> int:
        """Keys of the next batch."""
        size = float(self._pace.size)
        if self._ceiling is not None:
            size = min(size, self._ceiling)
        if rate := self.spec.options.max_rate:
            size = min(size, bucket.keys(rate, self.spec.parallel, self._pace.share))
        return pace.bounded(size, self.spec.batch_limit)

    def before(self, conn: Connection, held: Held, wait: Wait) -> bool:
        """Wait until a batch may begin; False when told to stop.

        Raise Halted or Fenced when the ledger wants something else while it waits, or psycopg's
        error. Nothing is locked and no transaction is open meanwhile.
        """
        self._unwatch()  # the last batch failed
        self.waited_ms, self.held_by, began = 0.0, "", time.monotonic()
        if not wait(0):
            return False
        if self._segment != (held.segment, held.epoch):
            self._release(conn)
            self._segment, self._fresh = (held.segment, held.epoch), True
        if self._blind:
            self._say_unread(conn, held, LockWaiters.name, self._blind)
        try:
            if not (self._give_way(conn, held, wait) and self._pay(conn, held, wait)):
                self._hold = None  # whoever goes on with the segment is held since then, too
                return False
        except Halted:
            self._release(conn)
            raise
        if self.held_by:
            self.waited_ms = (time.monotonic() - began) * 1000
        self._keys = self.size
        self._watch(conn)
        return True

    def after(self, batch: Batch) -> None:
        """Learn from a batch that was committed."""
        self._unwatch()
        self._ms = batch.ms
        self._owed = self._owed[0] + batch.rows, self._owed[1]
        self._pace = self._pace.after(
            self._keys,
            batch.seen,
            batch.rows,
            batch.ms,
            apart_ms=batch.prepared_ms,
            target_ms=self.spec.options.target_ms,
            largest=self.spec.batch_limit,
        )

    def fewer(self) -> None:
        """The batch took too long: try fewer rows."""
        self._pace = self._pace.within(self.size).fewer()

    def gave_way(self, error: BaseException) -> bool:
        """Whether a batch failed because it was cancelled here, for those who waited behind it.

        Then it is tried again with fewer keys; it is no fault of anybody's.
        """
        self._cancelled = False
        self._unwatch()
        if not (self._cancelled and isinstance(error, psycopg.errors.QueryCanceled)):
            return False
        self.fewer()
        return True

    # -- signals -------------------------------------------------------------------------------

    def _take(self, spec: Spec, *, changed: bool) -> None:
        self.spec = spec
        if not changed:
            return
        made = settings.build(spec.options.throttle, spec.options.window)
        self._look = Look(made)
        found = [each for each in made if isinstance(each, LockWaiters)]
        useful = found and (found[0].slow is not None or found[0].cancel is not None)
        self._waiters = found[0] if useful else None
        self._owed = self._owed[0], 0.0  # the rate may be another one

    def _give_way(self, conn: Connection, held: Held, wait: Wait) -> bool:
        """Wait for the signals; False when told to stop."""
        while True:
            if self._look.due:
                self._look.read(conn, self.spec)
                self.lag_s = self._look.value("replica_lag")
                for each in self._look.unread:
                    self._say_unread(conn, held, each.signal, each.why)
            signal, reading = self._look.worst()
            if reading.says == "go" and self._ceiling is not None:
                self._note(conn, held, LockWaiters.name, self._waited_for)
                return True
            self._note(conn, held, signal, reading)
            if reading.says == "go":
                return True
            if reading.says == "slow":
                pause = min(max(self._ms / 1000, LEAST_S), LONGEST_S)
                return self._wait(conn, held, wait, pause, signal)
            if not self._wait(conn, held, wait, POLL_S, signal):
                return False

    def _note(self, conn: Connection, held: Held, signal: str, reading: Reading) -> None:
        """Have the ledger say what holds the segment up, or that nothing does any more."""
        if self._hold and (self._hold[2], self._hold[3]) == (signal, reading.says):
            holds.tell(conn, held, holds.told(signal, reading))
            return
        self._release(conn)
        if reading.says != "go":
            self._hold = holds.begin(conn, held, signal, reading), held, signal, reading.says
        if self._fresh:
            self._fresh = False
            holds.forget(conn, held, self._hold[0] if self._hold else None)

    def _release(self, conn: Connection) -> None:
        if self._hold:
            number, held, _, _ = self._hold
            self._hold = None
            holds.end(conn, held, number)

    def _say_unread(self, conn: Connection, held: Held, signal: str, why: str) -> None:
        if (signal, why) not in self._said:
            self._said.add((signal, why))
            holds.say_unread(conn, held, signal, why)

    # -- the rate ------------------------------------------------------------------------------

    def _pay(self, conn: Connection, held: Held, wait: Wait) -> bool:
        """Wait until the rows of the last batch are paid for; False when told to stop."""
        rows, until = self._owed
        rate = self.spec.options.max_rate
        if not rate:
            self._owed = 0, 0.0
            return True
        if rows:
            until = time.monotonic() + bucket.charge(conn, held.backfill, rows, rate)
            self._owed = 0, until
        while (left := self._owed[1] - time.monotonic()) > 0:
            if not self._wait(conn, held, wait, min(left, POLL_S), "rate", look=left > POLL_S):
                return False
        return True

    # -- waiting -------------------------------------------------------------------------------

    def _wait(
        self,
        conn: Connection,
        held: Held,
        wait: Wait,
        seconds: float,
        signal: str,
        *,
        look: bool = True,
    ) -> bool:
        """Wait, and look at the ledger in between; False when told to stop."""
        began = time.monotonic()
        self.held_by = signal
        while (left := seconds - (time.monotonic() - began)) > 0:
            if not wait(min(left, POLL_S)):
                return False
            if look:
                self._reload(conn, held)
        return True

    def _reload(self, conn: Connection, held: Held) -> None:
        """See what the ledger wants, and take over what was tuned."""
        tuned = holds.standing(conn, held)
        if self._tuned is None:
            self._tuned = tuned
        if tuned != self._tuned and (row := records.read(conn, held.backfill)):
            self._tuned = tuned
            self.tuned(row.spec)

    # -- who waits for us ----------------------------------------------------------------------

    def _watch(self, conn: Connection) -> None:
        if self._waiters is None:
            return
        if self._watcher is None:
            self._watcher = watcher.take(conn)
            # a pooler gives each transaction a session of its choice
            if conn.execute("SELECT pg_backend_pid()").fetchall()[0][0] != conn.info.backend_pid:
                self._blind = "through a pooler, who waits behind a batch is not seen"
                self._waiters = None
                return
        self._watched = conn.info.backend_pid
        self._watcher[1].begin(self._watched, self._waiters, may_cancel=self._keys > pace.SMALLEST)

    def _unwatch(self) -> None:
        """The batch is over: smaller ones follow where somebody waited for it."""
        if not self._watched or self._watcher is None:
            return
        seen = self._watcher[1].end(self._watched)
        self._watched = 0
        self._blind = seen.blind or self._blind
        slow = self._waiters.slow if self._waiters else None
        if seen.cancelled or (slow is not None and seen.waited_s >= slow):
            self._ceiling = max(1.0, self._keys / (4 if seen.cancelled else 2))
            self._too_many = self._keys
            self._cancelled = seen.cancelled
            self._waited_for = _waited_for(seen)
        elif self._ceiling is not None:
            self._ceiling *= WAITERS_GROW
            if self._ceiling >= self._too_many:
                self._ceiling = None


def _waited_for(seen: watcher.Seen) -> Reading:
    who = "1 session" if seen.sessions == 1 else f"{seen.sessions} sessions"
    reason = f"{who} waited up to {format_seconds(seen.waited_s)} behind a batch"
    if seen.cancelled:
        reason += ", which was cancelled"
    return Reading("slow", reason, "batches have grown back with nobody behind them", seen.waited_s)
