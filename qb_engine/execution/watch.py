"""a run watched from outside: what it holds, who waits for it, for whom it waits

A thread with a connection of its own looks several times a second. When somebody has waited for the
run longer than `max_blocked`, the running statement is cancelled: a migration may hurt the
application for a bounded time only. A run that is shorter than the first look costs nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psycopg

from qb_engine.errors import QbError
from qb_engine.execution.blockers import Blocker, blockers
from qb_engine.execution.progress import Progress, progress
from qb_engine.execution.sample import Sample, Seen, Waiting, look, thinned

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection

EVERY_S = 0.2
LEAST_S = 0.02  # between two looks, however short the limits are
LONGEST_PAUSE_S = 5.0  # between two tries to reach a server that does not let the watch in
SETTLE_S = 1.0  # the look after a transaction's end is waited for this long
CLOSE_S = 5.0  # the thread is waited for this long; then it is left to end by itself
KEPT_EVERY_S = 2.0  # what does not change is kept this often
MOST_SAMPLES = 2_000  # between two calls of `taken`

# The watch shall never wait for what it watches.
LIMITS = "SET lock_timeout = '1s'; SET statement_timeout = '5s'"

OnSample = Callable[[Sample], None]


class Watch:
    """Looks at one backend while it works, and cancels its statement when others wait too long.

    `wanted` is the table lock (schema, table, mode) that the running step was seen to wait for,
    `blockers` are those seen last of the running step. `over` says who waited too long; it stays
    until the next `begin`. Without an opener nothing is watched. `ours` are the run's other
    sessions: they do not count as kept waiting. `tell` and `on_sample` are called in the watch's
    own thread.
    """

    def __init__(
        self,
        opener: Callable[[], Connection] | None,
        cancel: Callable[[], None],
        *,
        lock_timeout: float,
        max_blocked: float = 0.0,
        pooled: bool = False,
        ours: Sequence[int] = (),
        tell: Callable[[str], None] | None = None,
        on_sample: OnSample | None = None,
    ) -> None:
        self._opener = opener
        self._cancel_otherwise = cancel
        self._max_blocked = max_blocked
        self._pooled = pooled
        self._ours = tuple(ours)
        self._tell = tell or (lambda text: None)
        self._on_sample = on_sample
        shortest = min(EVERY_S, lock_timeout * 0.4 or EVERY_S, max_blocked * 0.5 or EVERY_S)
        self._every = max(shortest, LEAST_S)
        self._gate = threading.Lock()  # held while what is watched may change, and while cancelling
        self._working = threading.Event()
        self._nudge = threading.Event()  # do not wait for the next look
        self._settled = threading.Event()
        self._settled.set()
        self._closed = False
        self._thread: threading.Thread | None = None
        self._pid = 0
        self._step = 0
        self._epoch = 0  # counts transactions
        self._statement_runs = False
        self._seen_epoch = 0  # the last one that was looked at
        self._origin = 0.0
        self._first: dict[int, Seen] = {}  # by process: what later looks are compared with
        self._since: float | None = None  # somebody has been waiting since then without a break
        self._waits: dict[int, float] = {}  # of the running step: the longest wait of each session
        self._samples: list[Sample] = []
        self.blockers: tuple[Blocker, ...] = ()
        self.wanted: tuple[str, str, str] | None = None
        self.over = ""
        self.let_wait = ""  # schema.name: nothing is cancelled for those who wait for this table

    # -- called by who runs the statements -----------------------------------------------------

    def begin(self, pid: int) -> None:
        """Watch this backend from now on: a transaction starts, or a statement outside any."""
        with self._gate:
            self._epoch += 1
            self._pid, self.over, self._since = pid, "", None
            self._origin = self._origin or time.monotonic()
        if self._opener is None:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._look_on, name="qb watch", daemon=True)
            self._thread.start()
        self._working.set()

    def step(self, number: int, at: float) -> None:
        """The next statement starts, at this monotonic time; the first one's is the origin."""
        with self._gate:
            self._origin = at if not self._step else self._origin
            self._step, self.blockers, self._waits = number, (), {}
            self.wanted = None

    @contextmanager
    def cancellable(self) -> Iterator[None]:
        """A statement runs inside, which may be cancelled; nothing that follows it can be hit."""
        with self._gate:
            self._statement_runs = True
        try:
            yield
        finally:
            with self._gate:  # a cancel that is on its way has arrived when this is free
                self._statement_runs = False

    def kept_waiting(self) -> tuple[float, int]:
        """The longest wait for the running step so far in seconds, and how many sessions waited."""
        with self._gate:
            return max(self._waits.values(), default=0.0), len(self._waits)

    def end(self) -> None:
        """Nothing is held any more."""
        with self._gate:
            if self._working.is_set() and self._seen_epoch == self._epoch:
                self._settled.clear()  # one more look: the server has now counted its I/O
                self._nudge.set()
            self._working.clear()

    def close(self) -> None:
        """Stop the thread."""
        self._closed = True
        self._nudge.set()
        self._working.set()
        if self._thread is not None:
            self._thread.join(CLOSE_S)
            self._thread = None

    def taken(self) -> tuple[Sample, ...]:
        """The samples since the last call."""
        self._settled.wait(SETTLE_S)
        self._settled.set()
        with self._gate:
            found, self._samples = tuple(self._samples), []
        return found

    # -- in the watch's own thread ---------------------------------------------------------------

    def _look_on(self) -> None:
        conn: Connection | None = None
        # with short limits the first look would come too late if it still had to connect
        pause, failed = self._every if self._every >= EVERY_S else 0.0, 0
        try:
            while not self._closed:
                if self._settled.is_set():
                    self._working.wait()
                self._nudge.wait(pause)
                self._nudge.clear()
                if self._closed or not (self._working.is_set() or not self._settled.is_set()):
                    continue
                try:
                    if conn is None or conn.closed:
                        conn = self._opened()
                    pause = self._look(conn)
                    if failed > 1:
                        self._tell("the run is watched again")
                    failed = 0
                except (psycopg.Error, QbError) as error:
                    pause, failed = self._lost(error, failed), failed + 1
        except Exception as error:  # noqa: BLE001 - told, whatever it is
            # whatever it is, the run goes on; but nobody bounds the waits of others any more
            self._tell(f"the run is not watched any more: {type(error).__name__}: {error}")
        finally:
            self._settled.set()
            if conn is not None:
                conn.close()

    def _opened(self) -> Connection:
        assert self._opener is not None
        conn = self._opener()
        if not self._pooled:  # a pooler would hand the settings on to somebody else
            try:
                conn.execute(LIMITS)
            except BaseException:
                conn.close()
                raise
            conn.prepare_threshold = 0  # the same few queries, again and again
        return conn

    def _lost(self, error: Exception, failed: int) -> float:
        """Say that nobody watches, once; how long to wait before the next try."""
        self._settled.set()
        if (
            failed == 1 and not self._closed
        ):  # not at once: when the server is gone, the run says so
            said = error.what if isinstance(error, QbError) else " ".join(str(error).split())
            self._tell(f"the run is not watched, so the waits of others have no limit: {said}")
        return min(self._every * 2.0**failed, LONGEST_PAUSE_S)

    def _look(self, conn: Connection) -> float:
        """Look once, and act on it; seconds until the next look."""
        with self._gate:
            epoch, pid, step, waits = self._epoch, self._pid, self._step, self._waits
            afterwards = not self._settled.is_set()
        seen = look(conn, pid, self._ours)
        ahead = blockers(conn, pid) if seen.waits else ()
        done = None if afterwards else progress(conn, pid)
        with self._gate:
            now = time.monotonic()
            sample = self._sample(seen, step, now, ahead, done)
            if afterwards:
                self._keep(sample)
                self._settled.set()
                return self._every
            self._seen_epoch = epoch
            for each in seen.blocked:
                waits[each.pid] = max(each.seconds, waits.get(each.pid, 0.0))
            left = self._every
            if epoch == self._epoch and self._working.is_set():
                self.blockers = ahead or (self.blockers if step == self._step else ())
                self.wanted = seen.wanted or (self.wanted if step == self._step else None)
                before = self.over
                left = self._judge(conn, seen, now)
                sample = replace(sample, cancelled=bool(self.over) and not before)
            self._keep(sample)
        self._show(sample)
        return left

    def _judge(self, conn: Connection, seen: Seen, now: float) -> float:
        """Cancel the statement when others have waited for too long; when to look again."""
        blocked = [each for each in seen.blocked if not self._may_wait(each)]
        if not blocked:
            self._since = None
            return self._every
        longest = blocked[0]
        began = now - longest.seconds
        self._since = min(began, began if self._since is None else self._since)
        waited = now - self._since
        if not self._max_blocked:
            return self._every
        if waited < self._max_blocked:
            return max(min(self._every, self._max_blocked - waited), LEAST_S)
        self.over = f"{longest} waited {longest.seconds:.1f} s for it"
        if waited - longest.seconds > self._every:
            self.over = f"others waited for it without a break for {waited:.1f} s, last {longest}"
        self.over += f"; {self._max_blocked:g} s are allowed"
        if self._statement_runs:
            try:
                conn.execute("SELECT pg_catalog.pg_cancel_backend(%s)", [self._pid])
            except psycopg.Error:
                self._cancel_otherwise()
        return self._every

    def _may_wait(self, each: Waiting) -> bool:
        return bool(self.let_wait) and each.wants.endswith(f" on {self.let_wait}")

    def _sample(
        self,
        seen: Seen,
        step: int,
        now: float,
        ahead: Sequence[Blocker],
        done: Progress | None,
    ) -> Sample:
        first = self._first.setdefault(self._pid, seen)
        of, read, written = seen.io
        io: dict[str, Any] = {"of": of, "read": read - first.io[1]}
        if written is not None:
            io["written"] = written - (first.io[2] or 0)
        if seen.at:
            io["at"] = seen.at
        return Sample(
            round(now - self._origin, 3),
            step,
            seen.held,
            tuple(Waiting(b.pid, b.application, b.age_s or 0.0, b.query) for b in ahead),
            seen.blocked,
            seen.wal - next(iter(self._first.values())).wal,
            io,
            done,
        )

    def _keep(self, sample: Sample) -> None:
        """Keep the first and the last of looks that show the same, and one now and then between."""
        kept = self._samples
        if (
            len(kept) > 1
            and kept[-1].like(sample)
            and kept[-2].like(sample)
            and sample.at - kept[-2].at < KEPT_EVERY_S
        ):
            kept[-1] = sample
        else:
            kept.append(sample)
        if len(kept) > MOST_SAMPLES:
            self._samples = list(thinned(kept, MOST_SAMPLES // 2))

    def _show(self, sample: Sample) -> None:
        if self._on_sample is None:
            return
        try:
            self._on_sample(sample)
        except Exception as error:  # noqa: BLE001 - told, whatever it is
            self._on_sample = None
            self._tell(f"what the run does cannot be shown: {type(error).__name__}: {error}")
