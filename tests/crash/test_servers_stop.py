"""PostgreSQL or Temporal stops in the middle of a backfill: nothing is lost, nothing done twice"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from qb_engine import backfill
from qb_engine.database import Target
from qb_engine.database.embedded import EmbeddedPostgres, EmbeddedTemporal
from qb_engine.project import Project
from tests.backfill.conftest import Case, until

ROWS = 3_000


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Case]:
    """A backfill that runs, on servers of its own that a test may stop."""
    monkeypatch.setenv("QB_BACKFILL_HEARTBEAT_S", "3")
    project = Project.create(tmp_path / "project")
    postgres = EmbeddedPostgres(project.home)
    target = Target("embedded", postgres.ensure(), origin="embedded")
    case = Case(project, target, psycopg.connect(target.conninfo, autocommit=True))
    try:
        case.counted(ROWS)
        migration = case.filling(slow=0.002, batch_size=25, parallel=2, where="v IS NULL")
        case.start(migration)
        until("rows are written", lambda: case.progress().rows_done > 0)
        yield case
    finally:
        case.conn.close()
        backfill.stop_worker(project)
        EmbeddedTemporal(project.home).purge()
        postgres.purge()


@pytest.mark.crash
@pytest.mark.slow
def test_a_crash_of_postgresql_loses_no_row_and_writes_none_twice(own: Case) -> None:
    postgres = EmbeddedPostgres(own.project.home)
    pid = postgres.status().pid
    assert pid
    os.kill(pid, signal.SIGQUIT)  # an immediate shutdown: what was not yet on disk is lost
    until("PostgreSQL is down", lambda: not postgres.status().running)
    with pytest.raises(psycopg.OperationalError):
        own.conn.execute("SELECT 1")
    postgres.ensure()
    own.conn = psycopg.connect(own.target.conninfo, autocommit=True)
    ended = own.ended()
    assert (ended.state, ended.error, ended.rows_done) == ("completed", "", ROWS)
    assert own.writes() == {1: ROWS}


@pytest.mark.crash
@pytest.mark.slow
def test_without_temporal_it_goes_on_or_waits_and_ends_when_temporal_is_back(own: Case) -> None:
    temporal = EmbeddedTemporal(own.project.home)
    assert temporal.stop()
    migration = own.filling(slow=0.002, batch_size=25, parallel=2, where="v IS NULL")
    told = backfill.status(own.project, own.target, migration, conn=own.conn)
    assert told.progress.state in ("running", "verifying")
    assert any("Temporal does not run" in note for note in told.notes)
    until("more rows are written", lambda: own.progress().rows_done > told.progress.rows_done)
    temporal.ensure()
    ended = own.ended()
    assert (ended.state, ended.error, ended.rows_done) == ("completed", "", ROWS)
    assert own.writes() == {1: ROWS}
