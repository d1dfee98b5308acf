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
from typing import TYPE_CHECKING, Any, TypedDict

import psycopg
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.worker import Worker, WorkerDeploymentConfig

import qb_engine
from qb_engine.backfill.batches.batch import Limits
from qb_engine.backfill.driving import loop, metrics, names, temporal
from qb_engine.backfill.driving.activities import Activities
from qb_engine.backfill.driving.resources import Pulse
from qb_engine.backfill.driving.temporal import Place
from qb_engine.backfill.driving.workflow import LANES, BackfillWorkflow
from qb_engine.database.connect import connect
from qb_engine.database.pool import Pool
from qb_engine.errors import QbError
from qb_engine.project import seconds

if TYPE_CHECKING:
    from temporalio.client import Client
    from temporalio.runtime import Runtime

    from qb_engine.database.target import Target
    from qb_engine.project import Project

CONCURRENCY = 16  # lanes that run at once, unless the user says otherwise
CONTROL = 4  # looks at the ledger and orders at once: lanes never keep them waiting
DEPLOYMENT = "qb"  # whose versions `[temporal] build_id` tells apart
GRACE_S = 30.0  # as long as a statement of a batch may run
TICK_S = 0.5
START_POLL_S = 0.05

LIVE = """
SELECT EXISTS (SELECT FROM qb.backfill
WHERE state IN ('pending', 'running', 'verifying') AND wanted = 'run'
OR then_post AND state = 'completed' AND post_state IN ('waiting', 'running'))
"""

log = logging.getLogger("qb.worker")


def serve(
    project: Project,
    target: Target,
    where: Place,
    *,
    queue: str = "",
    concurrency: int = CONCURRENCY,
    metrics_port: int | None = None,
    idle_s: float | None = None,
    may_leave: Callable[[], contextlib.AbstractContextManager[object]] = contextlib.nullcontext,
    ready: Callable[[], None] = lambda: None,
    serving: Callable[[int], None] = lambda port: None,
) -> str:
    """Work until interrupted, or (with `idle_s`) idle for that long; say why it ended.

    `queue` is that of the project and the target, unless it is given. `ready` is called when it
    polls, `serving` with the port of its figures. `may_leave` is entered before an idle worker
    looks a last time and leaves, so that nobody takes it for one that stays.
    """
    stop = asyncio.Event()
    limits = Limits(lock_ms=max(1, int(seconds(project.config.timeouts.lock) * 1000)))
    queue = queue or names.task_queue(project, target)
    with contextlib.ExitStack() as held:
        held.enter_context(_signals(stop))
        pool = held.enter_context(closing(Pool(target, concurrency + CONTROL)))
        activities = Activities(
            *(project, target, pool, queue),
            limits=limits,
            answers=lambda: loop.run(temporal.answers(where)),
        )
        runtime = None
        if metrics_port is not None:
            runtime, theirs = metrics.exporting()
            serving(held.enter_context(metrics.page(activities.meter, metrics_port, theirs)))
        held.enter_context(
            Pulse(activities.meter, pool, concurrency, busy=lambda: bool(activities.meter.lanes))
        )
        return loop.run(
            _serve(
                *(project, target, where, queue, activities, concurrency, stop),
                *(idle_s, runtime, may_leave, ready),
            )
        )


async def _serve(
    project: Project,
    target: Target,
    where: Place,
    queue: str,
    activities: Activities,
    concurrency: int,
    stop: asyncio.Event,
    idle_s: float | None,
    runtime: Runtime | None,
    may_leave: Callable[[], contextlib.AbstractContextManager[object]],
    ready: Callable[[], None],
) -> str:
    with ThreadPoolExecutor(concurrency + CONTROL, thread_name_prefix="qb-lane") as threads:
        common = Common(
            client=await temporal.client(where, runtime),
            activity_executor=threads,
            identity=temporal.identity(),
            graceful_shutdown_timeout=timedelta(seconds=GRACE_S),
            max_heartbeat_throttle_interval=timedelta(seconds=2),
            default_heartbeat_throttle_interval=timedelta(seconds=2),
            deployment_config=_version(project),
        )
        worker = Worker(
            **common,
            task_queue=queue,
            workflows=[BackfillWorkflow],
            activities=[activities.advance, activities.order, activities.finish],
            max_concurrent_activities=CONTROL,
            # a killed worker's cached workflows are given to others after this
            sticky_queue_schedule_to_start_timeout=timedelta(seconds=2),
        )
        lanes = Worker(
            **common,
            task_queue=queue + LANES,
            activities=[activities.lane],
            max_concurrent_activities=concurrency,
        )
        running = asyncio.ensure_future(asyncio.gather(worker.run(), lanes.run()))
        waits: list[asyncio.Future[Any]] = [running, asyncio.create_task(stop.wait())]
        if idle_s is not None:
            waits.append(asyncio.create_task(_idle(activities, target, idle_s, may_leave)))
        try:
            while not running.done() and temporal.identity() not in await temporal.pollers(
                where, queue
            ):
                await asyncio.sleep(START_POLL_S)
            log.info("polling %s at %s", queue, where.address)
            build = project.config.temporal.build_id
            if build and await temporal.current_build(where, DEPLOYMENT) != build:
                log.warning(
                    "version %s gets no work until it is made the current one:"
                    " temporal worker deployment set-current-version"
                    " --deployment-name %s --build-id %s",
                    *(build, DEPLOYMENT, build),
                )
            ready()
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            activities.stop()
            for task in waits[1:]:
                task.cancel()
            if not running.done():
                await asyncio.gather(worker.shutdown(), lanes.shutdown())
        await running  # raises what it ended with
        return "stopped" if stop.is_set() else "idle"


class Common(TypedDict):
    """What the worker of the workflows and that of the lanes have in common."""

    client: Client
    activity_executor: ThreadPoolExecutor
    identity: str
    graceful_shutdown_timeout: timedelta
    max_heartbeat_throttle_interval: timedelta
    default_heartbeat_throttle_interval: timedelta
    deployment_config: WorkerDeploymentConfig


def _version(project: Project) -> WorkerDeploymentConfig:
    """Which code this is; with `[temporal] build_id` the server sends it only what is for it.

    Said in any case, for the SDK would hash every module to name it.
    """
    build = project.config.temporal.build_id
    return WorkerDeploymentConfig(
        version=WorkerDeploymentVersion(DEPLOYMENT, build or qb_engine.__version__),
        use_worker_versioning=bool(build),
        default_versioning_behavior=(
            VersioningBehavior.AUTO_UPGRADE if build else VersioningBehavior.UNSPECIFIED
        ),
    )


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
