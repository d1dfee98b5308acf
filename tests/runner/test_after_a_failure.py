"""a run that goes on after a failure: what it had stopped at, and how long it worked"""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from qb_engine.execution import StepFailed

Connection = psycopg.Connection[Any]

HALF = "CREATE TABLE a (id int);\nVACUUM a;\nALTER TABLE {} ADD x int;\n"


@pytest.fixture
def stopped(qb: Any, write: Any, tables: Any) -> Any:
    """A migration that has stopped after its second statement, and was mended."""
    write("20240101_a.sql", HALF.format("nowhere"))
    with pytest.raises(StepFailed):
        qb("run")
    write("20240101_a.sql", HALF.format("a"))
    return qb


def test_what_a_run_had_stopped_at_stays_in_the_history(stopped: Any) -> None:
    assert stopped("run").ok
    report = stopped("history", "a")
    assert report.runs[0].status == "applied"
    (went_on,) = report.decisions
    assert went_on.what == "went on"
    assert 'relation "nowhere" does not exist' in went_on.detail["stopped_at"]
    assert 'relation "nowhere" does not exist' in str(report)


def test_the_time_that_a_run_lay_half_applied_is_not_its_own(
    stopped: Any, connection: Connection
) -> None:
    connection.execute(
        "UPDATE qb.history SET started_at = started_at - interval '3 hours',"
        " finished_at = finished_at - interval '3 hours'"
    )
    (ran,) = stopped("run").ran
    (run,) = stopped("history", "a").runs
    assert ran.seconds == run.seconds
    assert run.seconds < 3600
    before = connection.execute("SELECT worked FROM qb.history").fetchone()
    assert before is not None
    assert 0 < before[0] < run.seconds


def test_the_time_of_a_try_that_nobody_saw_end_is_that_of_its_statements(
    stopped: Any, connection: Connection
) -> None:
    connection.execute(
        "UPDATE qb.history SET started_at = started_at - interval '3 hours', status = 'running',"
        " finished_at = NULL, seconds = NULL"
    )
    assert stopped("run").ok
    (run,) = stopped("history", "a").runs
    assert 0 < run.seconds < 3600


def test_a_file_that_was_finished_by_a_second_run_was_not_in_one_transaction(
    qb: Any, write: Any, stopped: Any
) -> None:
    assert stopped("run").ok
    assert [p.transaction for p in qb("history", "a").parts] == ["mixed"]
    write("20240102_b.sql", "CREATE TABLE b ();\nCREATE TABLE b2 (id nowhere);\n")
    with pytest.raises(StepFailed):
        qb("run", "--atomic", "none")
    write("20240102_b.sql", "CREATE TABLE b ();\nCREATE TABLE b2 (id int);\n")
    assert qb("run").ok
    assert [p.transaction for p in qb("history", "b").parts] == ["each statement"]


def test_a_repair_that_stops_again_keeps_both_errors(qb: Any, write: Any, stopped: Any) -> None:
    write("20240101_a.sql", HALF.format("elsewhere"))
    with pytest.raises(StepFailed):
        qb("repair", "--continue", "--reason", "incident 8")
    report = qb("history", "a")
    (again,) = report.decisions
    assert again.reason == "incident 8"
    assert 'relation "nowhere" does not exist' in again.detail["stopped_at"]
    assert 'relation "elsewhere" does not exist' in report.runs[0].error
