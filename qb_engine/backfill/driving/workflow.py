"""the workflow: asks the ledger what comes next, has it done, and keeps no state of its own

Everything that matters is in the ledger, so a run that ends, is reset or starts anew loses nothing.

A workflow that runs is replayed by the code of the day. So a change of what it does, or of the
order in which it does it, goes behind `workflow.patched("<what changes>-<yyyymmdd>")`: the old way
stays in the other branch until no workflow that took it is left, then `deprecate_patch` takes its
place for a release. An id is never used twice. tests/backfill/histories holds what older versions
did; test_replay tells when the code would do otherwise.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy, SearchAttributeKey
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.workflow import ActivityCancellationType

with workflow.unsafe.imports_passed_through():
    from qb_engine.backfill.driving.payloads import ENDED, Job, Lane, Look, Next, Order, Standing

NAME = "qb-backfill"
ADVANCE = "qb-backfill-advance"
LANE = "qb-backfill-lane"
ORDER = "qb-backfill-order"
FINISH = "qb-backfill-finish"
LANES = "-lanes"  # the queue of the lanes: these many minutes long must not keep the rest waiting
SLICE = "slice"  # a lane ended because its time was over, with rows left

# Errors that time heals are tried for ever; the others say so themselves (non-retryable).
RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(seconds=15),
)
LONGEST = timedelta(days=365)  # what stands between the segments may wait that long; it beats
STATE = SearchAttributeKey.for_keyword("QbState")


@workflow.defn(name=NAME)
class BackfillWorkflow:
    """Drive one backfill to its end; wait while it is paused."""

    @workflow.init
    def __init__(self, job: Job) -> None:
        self._job = job
        self._step = Next("pending")
        self._shown = ""
        self._due = True  # somebody should look at the ledger
        self._lanes: dict[int, asyncio.Task[None]] = {}
        self._slices = 0

    @workflow.run
    async def run(self, job: Job) -> str:
        while not self._long():
            self._reap()
            if self._due:
                self._due = False  # what comes in during the look makes it look again
                await self._look()
            elif not self._lanes and self._step.state in ENDED and workflow.all_handlers_finished():
                return _ended(self._step.state)
            else:
                await workflow.wait_condition(self._stirs)
        await self._rest()
        workflow.continue_as_new(replace(job, run=job.run + 1))

    @workflow.signal
    def wake(self) -> None:
        """The ledger has changed: look again."""
        self._due = True

    @workflow.update
    async def pause(self) -> Next:
        """Hold it after the batches in flight."""
        return await self._order("pause")

    @workflow.update
    async def resume(self) -> Next:
        """Go on with a paused one."""
        return await self._order("resume")

    @workflow.update
    async def cancel(self) -> Next:
        """End it after the batches in flight; what is written stays."""
        return await self._order("cancel")

    @workflow.update
    async def tune(self, changes: dict[str, Any]) -> Next:
        """Change how it goes, from the next batch on: {"parallel": 4, "max_rate": 20000}."""
        return await self._order("tune", changes)

    @workflow.query
    def state(self) -> Standing:
        """What this workflow knows by itself; the ledger knows more."""
        return Standing(self._step.state, sorted(self._lanes), self._slices, self._job.run)

    # -- parts ---------------------------------------------------------------------------------

    def _long(self) -> bool:
        """Whether the history is long enough to begin a new one."""
        now = workflow.info()
        return (
            now.is_continue_as_new_suggested()
            or now.get_current_history_length() >= self._job.events
        )

    def _stirs(self) -> bool:
        ended = any(task.done() for task in self._lanes.values())
        over = self._step.state in ENDED and workflow.all_handlers_finished() and not self._lanes
        return self._due or ended or over or self._long()

    def _reap(self) -> None:
        """Forget the lanes that ended; each end is a reason to look."""
        for number in [number for number, task in self._lanes.items() if task.done()]:
            self._lanes.pop(number).result()
            self._due = True

    async def _look(self) -> None:
        """Ask the ledger what comes next, and start what it says; what runs goes on."""
        look = Look(self._job, sorted(self._lanes))
        self._step = await workflow.execute_activity(
            ADVANCE,
            look,
            result_type=Next,
            start_to_close_timeout=LONGEST,
            heartbeat_timeout=timedelta(seconds=self._job.heartbeat_s),
            retry_policy=RETRY,
        )
        self._show(self._step.state)
        if self._step.state == "finishing":
            await self._finish()
        free = [number for number in range(self._step.lanes) if number not in self._lanes]
        for number in free[: max(0, self._step.lanes - len(self._lanes))]:
            self._lanes[number] = asyncio.create_task(self._lane(number))

    async def _lane(self, number: int) -> None:
        """Run a lane slice after slice. One that fails has written it down, which ends the rest."""
        again = True
        while again and not self._long():
            try:
                ended = await workflow.execute_activity(
                    LANE,
                    Lane(self._job, number),
                    result_type=str,
                    task_queue=workflow.info().task_queue + LANES,
                    start_to_close_timeout=LONGEST,
                    heartbeat_timeout=timedelta(seconds=self._job.heartbeat_s),
                    retry_policy=RETRY,
                    cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
                )
            except ActivityError:
                return
            self._slices += 1
            again = ended == SLICE

    async def _finish(self) -> None:
        """Have what comes after the rows done, where that was asked for."""
        ended = await workflow.execute_activity(
            FINISH,
            self._job,
            result_type=str,
            start_to_close_timeout=LONGEST,
            heartbeat_timeout=timedelta(seconds=self._job.heartbeat_s),
            retry_policy=RETRY,
        )
        if ended == "failed":
            raise ApplicationError(
                "what comes after the backfill failed; qb backfill status says why",
                type="PostFailed",
                non_retryable=True,
            )
        self._due = True

    async def _order(self, wanted: str, changes: dict[str, Any] | None = None) -> Next:
        """Have it written into the ledger, where the batches see it; then look there, too."""
        try:
            state: str = await workflow.execute_activity(
                ORDER,
                Order(self._job, wanted, changes or {}),
                result_type=str,
                start_to_close_timeout=timedelta(minutes=1),
                retry_policy=RETRY,
            )
        except ActivityError as error:  # who asked is told why, not that something failed
            raise (error.cause if isinstance(error.cause, ApplicationError) else error) from None
        self._due = True
        return Next(state, len(self._lanes))

    async def _rest(self) -> None:
        """Have nothing running: the lanes end after their batch, updates get their answers."""
        for task in self._lanes.values():
            task.cancel()
        await asyncio.gather(*self._lanes.values(), return_exceptions=True)
        await workflow.wait_condition(workflow.all_handlers_finished)

    def _show(self, state: str) -> None:
        """Have the state in the lists of workflows: as an attribute where there is one."""
        if state == self._shown:
            return
        self._shown = state
        if self._job.attributes:
            workflow.upsert_search_attributes([STATE.value_set(state)])
        else:
            workflow.upsert_memo({"state": state})


def _ended(state: str) -> str:
    """The workflow's result; a failure ends it as failed. Why is in the ledger, not here."""
    if state == "failed":
        raise ApplicationError(
            "the backfill failed; qb backfill status says why",
            type="BackfillFailed",
            non_retryable=True,
        )
    return state
