"""the activities: threads with a connection each, a heartbeat on a timer, errors without secrets"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import psycopg
from temporalio import activity
from temporalio.exceptions import ApplicationError

from qb_engine.backfill import finish, orders, records
from qb_engine.backfill.advance import advance
from qb_engine.backfill.batches import failures, segment
from qb_engine.backfill.batches.batch import Limits
from qb_engine.backfill.driving.beat import Beat, cancelled
from qb_engine.backfill.driving.metrics import Meter
from qb_engine.backfill.driving.payloads import Job, Lane, Look, Next, Order
from qb_engine.backfill.driving.workflow import ADVANCE, FINISH, LANE, ORDER, SLICE
from qb_engine.database.connect import Connection, connect
from qb_engine.errors import InputError, QbError, RefusedError
from qb_engine.secrets import mask

if TYPE_CHECKING:
    from qb_engine.backfill.spec import Spec
    from qb_engine.database.pool import Pool
    from qb_engine.database.target import Target
    from qb_engine.migrations.declaration import Backfill
    from qb_engine.project import Project

ELSEWHERE_S = 3  # until it is offered again, to whichever worker asks first
NAME = "qb backfill"  # of the connections
POST = "SELECT post_state FROM qb.backfill WHERE id = %s"

log = logging.getLogger("qb.worker")


class Activities:
    """What a worker does for its target. Counts what it does, so that idleness can be told."""

    def __init__(
        self,
        project: Project,
        target: Target,
        pool: Pool,
        queue: str,
        *,
        limits: Limits | None = None,
        answers: Callable[[], bool] = lambda: True,
    ) -> None:
        self._project = project
        self._target = target
        self._pool = pool
        self._queue = queue
        self._limits = limits or Limits()
        self._answers = answers
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.meter = Meter(f"{socket.gethostname()}:{os.getpid()}")
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
    def advance(self, look: Look) -> Next:
        """Decide what comes next, and do what stands in between."""
        job = look.job
        with self._working(job, NAME) as conn, Beat(self._stop) as beat:
            step = advance(conn, job.backfill, lambda: beat.wait(0), look.busy, code=self._declared)
        if step is None:
            raise _handed_back()
        log.info("%s: %s %s", job.backfill, step.state, f"{step.lanes} lanes" if step.lanes else "")
        return step

    @activity.defn(name=LANE, no_thread_cancel_exception=True)
    def lane(self, lane: Lane) -> str:
        """Run segments until none is left, the time is over, or something stops it."""
        job, name = lane.job, f"{NAME} lane {lane.number}"
        with (
            self._working(job, name) as conn,
            Beat(self._stop, job.slice_s, self._answers) as beat,
            self.meter.lane(),
        ):
            means = segment.Means(
                self.meter.worker,
                beat.wait,
                self._limits,
                code=self._code(conn, job),
                reconnect=lambda: connect(self._target, application_name=name),
                told=self.meter.batch,
                aside=self.meter.aside,
            )
            ended = segment.run_lane(conn, job.backfill, lane.number, means)
            if ended == "stopped" and beat.over:
                ended = SLICE
            elif ended == "stopped" and not cancelled():
                raise _handed_back()
        log.info("%s: lane %d: %s", job.backfill, lane.number, ended)
        return ended

    @activity.defn(name=ORDER, no_thread_cancel_exception=True)
    def order(self, order: Order) -> str:
        """Write down what somebody wants, where the batches see it; give the state."""
        with self._working(order.job, NAME, ends=False) as conn:
            try:
                return orders.obey(conn, order.job.backfill, order.wanted, order.changes)
            except (RefusedError, InputError) as error:  # of the order's own words, no secret
                raise ApplicationError(
                    error.what, type=type(error).__name__, non_retryable=True
                ) from None

    @activity.defn(name=FINISH, no_thread_cancel_exception=True)
    def finish(self, job: Job) -> str:
        """Do what comes after the rows; say whether it is done or failed."""

        with self._working(job, NAME) as conn, Beat(self._stop) as beat:
            if finish.finish(self._project, self._target, job.backfill, lambda: beat.wait(0)):
                return str(conn.execute(POST, [job.backfill]).fetchall()[0][0])
        raise _handed_back()

    # -- parts ---------------------------------------------------------------------------------

    @contextmanager
    def _working(self, job: Job, name: str, *, ends: bool = True) -> Iterator[Connection]:
        """A connection for one activity; what goes wrong on it is judged, and told without words.

        The server's words may quote rows: they go to the ledger, never to Temporal. With `ends`,
        what trying again cannot mend ends the backfill.
        """
        with self._lock:
            self.busy += 1
        try:
            with self._pool.connection(name) as conn:
                self._mine(conn, job)
                yield conn
        except ApplicationError:
            raise
        except segment.Stopped as stopped:
            log.warning("%s: %s", job.backfill, mask(str(stopped)))
            self._fail(job, str(stopped), stopped.sqlstate)
            raise _told(stopped.error, final=True) from None
        except (psycopg.Error, QbError) as error:
            raise self._judged(job, error, ends=ends) from None
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

    def _mine(self, conn: Connection, job: Job) -> None:
        """Refuse a job of another database: the ledger here does not have it on our queue."""
        if job.target == self._target.name:
            return
        row = records.read(conn, job.backfill) if records.there(conn) else None
        if row is None or row.task_queue != self._queue:
            raise ApplicationError("this worker serves another target", type="WrongTarget")

    def _code(self, conn: Connection, job: Job) -> Backfill | None:
        """The user's Python, where it takes part."""
        row = records.read(conn, job.backfill)
        if row is None or not row.spec.calls:
            return None
        return self._declared(row.spec)

    def _declared(self, spec: Spec) -> Backfill:
        """The declaration; without the project's files it is left to a worker that has them."""
        from qb_engine.backfill import code

        try:
            return code.load(self._project, spec)
        except RefusedError as error:
            if (self._project.migrations / spec.id / "backfill.py").is_file():
                raise
            log.warning("%s: %s", spec.id, error.what)
            with self._pool.connection(NAME) as conn:
                records.note(conn, spec.id, f"{error.what} ({self.meter.worker}): {error.todo}")
            raise ApplicationError(
                "this worker has not the user's Python",
                type="NoPython",
                next_retry_delay=timedelta(seconds=ELSEWHERE_S),
            ) from None

    def _judged(self, job: Job, error: psycopg.Error | QbError, *, ends: bool) -> ApplicationError:
        final = failures.final(error)
        told = failures.told(error)
        log.warning("%s: %s", job.backfill, mask(told))
        if final and ends:
            self._fail(job, told, failures.code(error))
        return _told(error, final=final)

    def _fail(self, job: Job, text: str, sqlstate: str = "") -> None:
        """Write the end down, on a connection of its own; when even that fails, the log has it."""
        try:
            with closing(connect(self._target, application_name=NAME)) as conn:
                records.fail(conn, job.backfill, mask(text), sqlstate)
        except (psycopg.Error, QbError) as error:
            log.warning("%s: not written down: %s", job.backfill, mask(failures.told(error)))


def _told(error: BaseException, *, final: bool) -> ApplicationError:
    return ApplicationError(failures.named(error), type=type(error).__name__, non_retryable=final)


def _handed_back() -> ApplicationError:
    """The worker ends: another one shall take this over at once."""
    return ApplicationError(
        "the worker was stopped", type="WorkerStopped", next_retry_delay=timedelta(seconds=1)
    )
