"""Temporal's server is killed: the rows go on, and the workflow after it, with its file or anew"""

from __future__ import annotations

import os
import signal

import pytest

from qb_engine import backfill
from qb_engine.backfill.driving import loop, temporal
from qb_engine.database.embedded import EmbeddedTemporal
from tests.backfill.chains import Chain
from tests.backfill.conftest import Case, until


def test_rows_go_on_without_temporal_and_the_workflow_after_it(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slices are short, so that many would end while nobody could start the next one."""
    monkeypatch.setenv("QB_BACKFILL_HEARTBEAT_S", "3")
    monkeypatch.setenv("QB_BACKFILL_SLICE_S", "2")
    case.counted(2_000)
    migration = case.filling(slow=0.004, batch_size=20)
    done = case.start(migration)
    server = EmbeddedTemporal(case.project.home)
    until("rows are written", lambda: case.progress().rows_done > 0)

    kill(server)
    written = case.progress().rows_done
    told = backfill.status(case.project, case.target, migration, conn=case.conn)
    assert any("this is from the ledger" in note for note in told.notes), told.notes
    until("rows are written without Temporal", lambda: case.progress().rows_done > written + 400)

    server.ensure()
    chain = Chain(case)
    until("the workflow drives it again", lambda: going(chain))
    kill(server)
    server.purge()
    server.ensure()
    told = backfill.status(case.project, case.target, migration, conn=case.conn)
    assert any("unknown to Temporal" in note for note in told.notes), told.notes
    assert not case.progress().ended
    again = case.start(migration)
    assert again.progress.workflow == done.progress.workflow
    assert case.ended().state == "completed"
    assert case.writes() == {1: 2_000}
    assert Chain(case).result() == "completed"


def going(chain: Chain) -> bool:
    """Whether the workflow is there and its slices are counted on."""
    assert loop.run(temporal.workflow_status(chain.where, chain.id)) == "running"
    return bool(chain.state()["lanes"])


def kill(server: EmbeddedTemporal) -> None:
    pid = server.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until("the server is gone", lambda: not server.status().running)
