"""the worker: polls one queue for one target, until it is stopped or idle for long"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING

import psycopg
from temporalio.worker import Worker

from qb_engine.backfill import loop, names, temporal
from qb_engine.backfill.activities import Activities
from qb_engine.backfill.batch import Limits
from qb_engine.backfill.temporal import Place
from qb_engine.backfill.workflow import BackfillWorkflow
from qb_engine.database.connect import connect
from qb_engine.errors import QbError
from qb_engine.project import seconds

if TYPE_CHECKING:
    from qb_engine.database.target import Target
    from qb_engine.project import Project

THREADS = 16  # segments and looks at the ledger that run at once
GRACE_S = 30.0  # as long as a statement of a batch may run
TICK_S = 0.5
START_POLL_S = 0.05

LIVE = """
SELECT EXISTS (SELECT FROM qb.backfill
WHERE state IN ('pending', 'running', 'verifying') AND wanted = 'run')
"""

log = logging.getLogger("qb.worker")


def serve(
    project: Project,
    target: Target,
    where: Place,
    *,
    idle_s: float | None = None,
    may_leave: Callable[[], contextlib.AbstractContextManager[object]] = contextlib.nullcontext,
    ready: Callable[[], None] = lambda: None,
) -> str:
    """Work until interrupted, or (with `idle_s`) idle for that long; say why it ended.

    `ready` is called when it polls. `may_leave` is entered before an idle worker looks a last time
    and leaves, so that nobody takes it for one that stays.
    """
    stop = asyncio.Event()
    with _signals(stop):
        return loop.run(_serve(project, target, where, stop, idle_s, may_leave, ready))


async def _serve(
    project: Project,
    target: Target,
    where: Place,
    stop: asyncio.Event,
    idle_s: float | None,
    may_leave: Callable[[], contextlib.AbstractContextManager[object]],
    ready: Callable[[], None],
) -> str:
    lock_ms = int(seconds(project.config.timeouts.lock) * 1000)
    activities = Activities(target, Limits(lock_ms=max(1, lock_ms)))
    queue = names.task_queue(project, target)
    with ThreadPoolExecutor(THREADS, thread_name_prefix="qb-segment") as threads:
        worker = Worker(
            await temporal.client(where),
            task_queue=queue,
            workflows=[BackfillWorkflow],
            activities=[activities.advance, activities.lane],
            activity_executor=threads,
            max_concurrent_activities=THREADS,
            identity=temporal.identity(),
            graceful_shutdown_timeout=timedelta(seconds=GRACE_S),
            max_heartbeat_throttle_interval=timedelta(seconds=2),
            default_heartbeat_throttle_interval=timedelta(seconds=2),
            # a killed worker's cached workflows are given to others after this
            sticky_queue_schedule_to_start_timeout=timedelta(seconds=2),
        )
        running = asyncio.create_task(worker.run())
        waits: list[asyncio.Task[object]] = [running, asyncio.create_task(stop.wait())]
        if idle_s is not None:
            waits.append(asyncio.create_task(_idle(activities, target, idle_s, may_leave)))
        try:
            while not running.done() and temporal.identity() not in await temporal.pollers(
                where, queue
            ):
                await asyncio.sleep(START_POLL_S)
            log.info("polling %s at %s", queue, where.address)
            ready()
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            activities.stop()
            for task in waits[1:]:
                task.cancel()
            if not running.done():
                await worker.shutdown()
        await running  # raises what it ended with
        return "stopped" if stop.is_set() else "idle"


async def _idle(
    activities: Activities,
    target: Target,
    limit: float,
    may_leave: Callable[[], contextlib.AbstractContextManager[object]],
) -> None:
    """Return when nothing was done for `limit` seconds, and nothing in the ledger is to be done."""
    while True:
        await asyncio.sleep(min(TICK_S, limit))
        if activities.idle_s < limit:
            continue
        leaving = contextlib.ExitStack()
        leaving.enter_context(may_leave())
        if activities.idle_s >= limit and not await asyncio.to_thread(_live, target):
            _left.append(leaving)
            return
        leaving.close()
        await asyncio.sleep(limit)


# What an idle worker holds while it leaves: released by its end, not a moment before, so that who
# waits for it then sees that the process is gone.
_left: list[contextlib.ExitStack] = []


def _live(target: Target) -> bool:
    """Whether the ledger has something for a worker. One that is gone, with its server, has not."""
    try:
        with closing(connect(target, application_name="qb worker")) as conn:
            return bool(conn.execute(LIVE).fetchall()[0][0])
    except psycopg.errors.UndefinedTable:
        return False
    except (psycopg.Error, QbError) as error:
        log.warning("the ledger cannot be asked: %s", type(error).__name__)
        return False


@contextlib.contextmanager
def _signals(stop: asyncio.Event) -> Iterator[None]:
    """Have SIGINT and SIGTERM end the worker after its batches, where signals can be caught."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def told(*_: object) -> None:
        loop.loop().call_soon_threadsafe(stop.set)

    before = {number: signal.signal(number, told) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
