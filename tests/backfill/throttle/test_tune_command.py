"""`qb backfill tune` while a worker runs: what it says, and what becomes of it"""

from __future__ import annotations

import json
from typing import Any

import pytest

from qb_engine import backfill
from qb_engine.backfill import records
from qb_engine.commands import Session, invoke
from qb_engine.errors import InputError
from tests.backfill.conftest import ID, Case, until


def said(case: Case, *words: str) -> list[str]:
    """The notes of a `qb backfill` command, run in this process."""
    report = invoke(Session(root=case.project.root), ["backfill", *words])
    assert report is not None
    json.loads(report.to_json())
    return list(report.notes())


def options(case: Case) -> Any:
    row = records.read(case.conn, ID)
    assert row is not None
    return row.spec.options


def test_it_is_tuned_while_it_runs_and_stays_so(driven: Case) -> None:
    """Slowed at its start, tuned to full speed and a second lane, paused, edited, and resumed.

    Beginning anew forgets what was tuned.
    """
    driven.counted(2_000)
    driven.sql("ANALYZE t")
    given = {"slow": 0.001, "batch_size": 20, "parallel": 1}
    migration = driven.filling(**given)
    notes = said(driven, "start", "fill", "--max-rate", "50", "--off", "archive_queue")
    assert options(driven).max_rate == 50
    assert options(driven).throttle["archive_queue"] is False
    until("rows are written", lambda: driven.progress().rows_done)
    notes = said(driven, "tune", "fill", "--max-rate", "off", "--parallel", "2")
    assert any(note.startswith("max rate: 50 rows/s -> off") for note in notes)
    assert any(note.startswith("parallel: 1 -> 2") for note in notes)
    until(
        "a second lane runs",
        lambda: driven.one("SELECT count(DISTINCT lane) FROM qb.segment WHERE lane >= 0") == 2,
    )
    backfill.pause(driven.project, driven.target, migration, conn=driven.conn)
    migration = driven.filling(**given, max_rate=1, target_ms=100)
    backfill.resume(driven.project, driven.target, migration, conn=driven.conn)
    assert options(driven).max_rate is None  # tuned
    assert options(driven).target_ms == 100  # declared
    assert driven.ended().state == "completed"
    assert driven.writes() == {1: 2_000}
    driven.start(driven.filling(max_rate=1_000_000), restart=True)
    assert options(driven).max_rate == 1_000_000
    assert options(driven).tuning == {}
    assert driven.ended().state == "completed"


def test_the_signals_are_listed_with_what_they_say_now(case: Case) -> None:
    case.counted(10)
    case.filling(throttle={"sql": {"query": "SELECT 'stop', 'a sale is on', 'it is over'"}})
    report = invoke(Session(root=case.project.root), ["backfill", "signals", "fill"])
    assert report is not None
    assert "sql says stop" in report.headline()
    assert "sql: a sale is on; goes on when it is over" in report.notes()
    (table,) = report.tables()
    says = {row[0]: row[1] for row in table.rows}
    assert says["wal_rate"] == says["window"] == says["rate"] == "off"
    assert says["replica_lag"] == "go"


def test_a_tune_that_says_nothing_is_refused(case: Case) -> None:
    case.counted(10)
    case.filling()
    with pytest.raises(InputError, match="nothing is to be changed"):
        said(case, "tune", "fill")
    with pytest.raises(InputError, match="never started"):
        said(case, "tune", "fill", "--max-rate", "5")


def test_a_signal_that_is_not_there_is_told_before_anything_is_written(case: Case) -> None:
    case.counted(10)
    migration = case.filling(throttle={"replica_lagg": {"stop": 5}})
    with pytest.raises(InputError, match="no signal named replica_lagg") as raised:
        case.start(migration)
    assert raised.value.where.endswith("backfill.py")
    assert case.one("SELECT count(*) FROM qb.backfill") == 0
