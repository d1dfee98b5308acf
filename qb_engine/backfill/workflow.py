"""the workflow: asks the ledger what comes next, has it done, and keeps no state of its own

Everything that matters is in the ledger, so a run that ends, is reset or starts anew loses nothing.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from qb_engine.backfill.payloads import ENDED, Job, Lane, Next

NAME = "qb-backfill"
ADVANCE = "qb-backfill-advance"
LANE = "qb-backfill-lane"

# Errors that time heals are tried for ever; the others say so themselves (non-retryable).
RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(seconds=15),
)
LONGEST = timedelta(days=365)  # a lane may take as long as it needs; the heartbeat watches it


@workflow.defn(name=NAME)
class BackfillWorkflow:
    """Drive one backfill to its end; wait while it is paused."""

    def __init__(self) -> None:
        self._wakes = 0

    @workflow.run
    async def run(self, job: Job) -> str:
        while True:
            if workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new(job)
            heard = self._wakes  # a wake during the look at the ledger makes it look again
            step = await self._advance(job)
            if step.lanes:
                await self._run(job, step)
            elif step.state not in ENDED:
                await workflow.wait_condition(lambda seen=heard: self._wakes > seen)  # type: ignore[misc]
            elif self._wakes == heard:  # else somebody has started it again meanwhile
                return _ended(step.state)

    @workflow.signal
    def wake(self) -> None:
        """The ledger has changed: look again."""
        self._wakes += 1

    async def _advance(self, job: Job) -> Next:
        step: Next = await workflow.execute_activity(
            ADVANCE,
            job,
            result_type=Next,
            start_to_close_timeout=LONGEST,
            heartbeat_timeout=timedelta(seconds=job.heartbeat_s),
            retry_policy=RETRY,
        )
        return step

    async def _run(self, job: Job, step: Next) -> None:
        """Run the lanes to their end; one that fails has written it down, which ends the rest."""
        lanes = (
            workflow.execute_activity(
                LANE,
                Lane(job, number),
                start_to_close_timeout=LONGEST,
                heartbeat_timeout=timedelta(seconds=job.heartbeat_s),
                retry_policy=RETRY,
            )
            for number in range(step.lanes)
        )
        for outcome in await asyncio.gather(*lanes, return_exceptions=True):
            if isinstance(outcome, BaseException) and (
                not isinstance(outcome, ActivityError) or is_cancelled_exception(outcome)
            ):
                raise outcome


def _ended(state: str) -> str:
    """The workflow's result; a failure ends it as failed. Why is in the ledger, not here."""
    if state == "failed":
        raise ApplicationError(
            "the backfill failed; qb backfill status says why",
            type="BackfillFailed",
            non_retryable=True,
        )
    return state
