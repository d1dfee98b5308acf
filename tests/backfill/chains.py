"""a backfill whose workflow goes about it as a test wants, and what its runs have left behind

With QB_RECORD_HISTORIES=1 the histories of the tests that name one are written to histories/, for
test_replay: do that after a change of the workflow that went behind `patched`, under a new name.
"""

from __future__ import annotations

import base64
import json
import os
import socket
from pathlib import Path
from typing import Any

from temporalio.client import Client, WorkflowHandle, WorkflowHistory

from qb_engine.backfill.driving import loop, names, temporal, worker_process
from qb_engine.backfill.driving.payloads import Job
from qb_engine.migrations import LoadedMigration
from tests.backfill.conftest import ID, Case

HISTORIES = Path(__file__).parent / "histories"
RECORD = "QB_RECORD_HISTORIES"


class Chain:
    """The workflow of a case, and the runs that it continued as."""

    def __init__(self, case: Case) -> None:
        self.case = case
        where = temporal.place(case.project, start=False)
        assert where is not None
        self.where = where
        self.id = names.workflow_id(case.project, case.target, ID)
        self.queue = names.task_queue(case.project, case.target)

    def begin(self, migration: LoadedMigration, **job: Any) -> int:
        """Start the backfill with a job of the test's own; the pid of the worker."""
        case = self.case
        case.written_down(migration)
        case.sql(f"UPDATE qb.backfill SET workflow_id = '{self.id}'")
        found = worker_process.ensure(case.project, case.target, self.where)
        given = Job(case.target.name, ID, **{"heartbeat_s": 3.0, **job})
        loop.run(temporal.wake(self.where, self.id, self.queue, given, "public.t"))
        assert found.pid is not None
        return found.pid

    def wake(self) -> None:
        """Have the workflow look at the ledger."""
        given = Job(self.case.target.name, ID)
        loop.run(temporal.wake(self.where, self.id, self.queue, given))

    def update(self, name: str, *given: Any) -> Any:
        """What an update answers."""

        async def asked() -> Any:
            return await (await self._handle()).execute_update(name, *given)

        return loop.run(asked())

    def state(self) -> dict[str, Any]:
        """What the query answers."""

        async def asked() -> Any:
            return await (await self._handle()).query("state")

        found: dict[str, Any] = loop.run(asked())
        return found

    def described(self) -> Any:
        async def asked() -> Any:
            return await (await self._handle()).describe()

        return loop.run(asked())

    def result(self) -> Any:
        async def asked() -> Any:
            return await (await self._handle()).result()

        return loop.run(asked())

    def runs(self) -> list[WorkflowHistory]:
        """The histories of all runs, in order."""

        async def asked() -> list[WorkflowHistory]:
            client = await temporal.client(self.where)
            found: list[WorkflowHistory] = []
            before: str | None = None
            while before != "":
                history = await client.get_workflow_handle(self.id, run_id=before).fetch_history()
                found.insert(0, history)
                started = history.events[0].workflow_execution_started_event_attributes
                before = started.continued_execution_run_id
            return found

        return loop.run(asked())

    async def _handle(self) -> WorkflowHandle[Any, Any]:
        client: Client = await temporal.client(self.where)
        return client.get_workflow_handle(self.id)


def kept(name: str, runs: list[WorkflowHistory]) -> None:
    """Write histories for test_replay, where that was asked for; nobody's name is in them."""
    if not os.environ.get(RECORD):
        return
    HISTORIES.mkdir(exist_ok=True)
    for number, run in enumerate(runs):
        text = json.dumps(_nameless(run.to_json_dict()), separators=(",", ":"))
        text = text.replace(socket.gethostname(), "host")
        (HISTORIES / f"{name}-{number}.json").write_text(text + "\n")


def _nameless(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: "worker" if k == "identity" else _nameless(v) for k, v in value.items()}
    return [_nameless(each) for each in value] if isinstance(value, list) else value


def payloads(value: Any) -> list[bytes]:
    """Every payload of a history as JSON, decoded from its base64."""
    if isinstance(value, dict):
        own = [base64.b64decode(value["data"])] if "data" in value and "metadata" in value else []
        return own + [found for each in value.values() for found in payloads(each)]
    if isinstance(value, list):
        return [found for each in value for found in payloads(each)]
    return []
