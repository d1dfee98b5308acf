"""the activities: threads with a connection each, a heartbeat on a timer, errors without secrets"""

from __future__ import annotations

import contextvars
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import psycopg
from temporalio import activity
from temporalio.exceptions import ApplicationError

from qb_engine.backfill import failures, records, segment
from qb_engine.backfill.advance import advance
from qb_engine.backfill.batch import Limits
from qb_engine.backfill.payloads import Job, Lane, Next
from qb_engine.backfill.workflow import ADVANCE, LANE
from qb_engine.database.connect import Connection, connect
from qb_engine.errors import QbError
from qb_engine.secrets import mask

if TYPE_CHECKING:
    from qb_engine.database.target import Target

BEAT_S = 2.0  # the server hears of life, and we of a cancellation, this often

log = logging.getLogger("qb.worker")


class Activities:
    """What a worker does for its target. Counts what it does, so that idleness can be told."""

    def __init__(self, target: Target, limits: Limits | None = None) -> None:
        self._target = target
        self._limits = limits or Limits()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.busy = 0
        self._ended = time.monotonic()

    @property
    def idle_s(self) -> float:
        """Seconds since the last one ended; 0 while one runs."""
        return 0.0 if self.busy else time.monotonic() - self._ended

    def stop(self) -> None:
        """Have the running segments end after their batch."""
        self._stop.set()

    @activity.defn(name=ADVANCE, no_thread_cancel_exception=True)
    def advance(self, job: Job) -> Next:
        """Decide what comes next, and do what stands in between."""
        with self._working(job) as conn, _beating(self._stop) as wait:
            step = advance(conn, job.backfill, lambda: wait(0))
        if step is None:
            raise _handed_back()
        log.info("%s: %s %s", job.backfill, step.state, f"{step.lanes} lanes" if step.lanes else "")
        return step

    @activity.defn(name=LANE, no_thread_cancel_exception=True)
    def lane(self, lane: Lane) -> str:
        """Run segments until none is left, or until the ledger or the worker stops it."""
        job = lane.job
        with self._working(job) as conn, _beating(self._stop) as wait:
            me = f"{socket.gethostname()}:{os.getpid()}"
            means = segment.Means(me, wait, self._limits, reconnect=self._connect)
            ended = segment.run_lane(conn, job.backfill, lane.number, means)
        log.info("%s: lane %d: %s", job.backfill, lane.number, ended)
        if ended == "stopped":
            raise _handed_back()
        return ended

    @contextmanager
    def _working(self, job: Job) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
        """A connection for one activity; what goes wrong on it is judged, and told without words.

        The server's words may quote rows: they go to the ledger, never to Temporal.
        """
        if job.target != self._target.name:
            raise ApplicationError("this worker serves another target", type="WrongTarget")
        with self._lock:
            self.busy += 1
        try:
            with closing(self._connect()) as conn:
                yield conn
        except ApplicationError:
            raise
        except segment.Stopped as stopped:
            log.warning("%s: %s", job.backfill, mask(str(stopped)))
            self._fail(job, str(stopped), stopped.sqlstate)
            raise ApplicationError(
                failures.named(stopped.error),
                type=type(stopped.error).__name__,
                non_retryable=True,
            ) from None
        except (psycopg.Error, QbError) as error:
            raise self._judged(job, error) from None
        except Exception as error:
            log.exception("%s: a defect of qb", job.backfill)
            self._fail(job, f"qb failed in a way it did not foresee: {failures.told(error)}")
            raise ApplicationError(
                failures.named(error), type="Defect", non_retryable=True
            ) from None
        finally:
            with self._lock:
                self.busy -= 1
                self._ended = time.monotonic()

    def _connect(self) -> Connection:
        return connect(self._target, application_name="qb backfill")

    def _judged(self, job: Job, error: psycopg.Error | QbError) -> ApplicationError:
        final = failures.final(error)
        told = failures.told(error)
        log.warning("%s: %s", job.backfill, mask(told))
        if final:
            self._fail(job, told, failures.code(error))
        return ApplicationError(
            failures.named(error), type=type(error).__name__, non_retryable=final
        )

    def _fail(self, job: Job, text: str, sqlstate: str = "") -> None:
        """Write the end down, on a connection of its own; when even that fails, the log has it."""
        try:
            with closing(self._connect()) as conn:
                records.fail(conn, job.backfill, mask(text), sqlstate)
        except (psycopg.Error, QbError) as error:
            log.warning("%s: not written down: %s", job.backfill, mask(failures.told(error)))


def _handed_back() -> ApplicationError:
    """The worker ends: another one shall take this over at once."""
    from datetime import timedelta

    return ApplicationError(
        "the worker was stopped", type="WorkerStopped", next_retry_delay=timedelta(seconds=1)
    )


def _called_off() -> bool:
    """Whether Temporal ended this activity: not when it only was not heard of, for that is safe.

    While Temporal is away the rows go on being written; when it is back and gives the lane to
    somebody else, the epoch fences this one off.
    """
    details = activity.cancellation_details()
    missed = details is not None and details.timed_out and not details.cancel_requested
    return activity.is_cancelled() and not missed


@contextmanager
def _beating(stop: threading.Event) -> Iterator[Callable[[float], bool]]:
    """Heartbeat on a timer, however long a batch takes; give the wait that hears of a stop."""
    ended = threading.Event()
    inside = contextvars.copy_context()

    def beat() -> None:
        while not ended.wait(BEAT_S):
            inside.run(activity.heartbeat)

    def wait(seconds: float) -> bool:
        if seconds:
            stop.wait(seconds)
        return not (stop.is_set() or _called_off() or activity.is_worker_shutdown())

    timer = threading.Thread(target=beat, name="qb-heartbeat", daemon=True)
    timer.start()
    try:
        yield wait
    finally:
        ended.set()
        timer.join()
