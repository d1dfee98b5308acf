"""what fails is mended and gone on with: by real workers, through the commands"""

from __future__ import annotations

import json
from typing import Any

import pytest

from qb_engine import backfill
from qb_engine.backfill import records
from qb_engine.backfill.driving import loop, temporal
from qb_engine.commands import Session, invoke
from qb_engine.errors import InputError, RefusedError
from tests.backfill.conftest import ID, Case, until

RAISE = """
CREATE OR REPLACE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF new.id IN {bad} THEN RAISE 'not row %', new.id; END IF; RETURN new; END $$;
CREATE OR REPLACE TRIGGER f BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f()
"""


def asked(case: Case, *words: str) -> Any:
    report = invoke(Session(root=case.project.root), ["backfill", *words])
    assert report is not None
    return report


def retried(case: Case, **given: Any) -> backfill.Done:
    from qb_engine.migrations import load_one

    migration = load_one(case.project.migrations / ID)
    return backfill.retry(case.project, case.target, migration, conn=case.conn, **given)


def test_rows_in_quarantine_are_shown_mended_and_written_to_the_end(driven: Case) -> None:
    driven.counted(1_000)
    driven.sql(RAISE.format(bad="(3, 500)"))
    migration = driven.filling(on_error="quarantine", where="v IS NULL", parallel=2)
    driven.start(migration)
    assert driven.ended().state == "failed"
    shown = asked(driven, "quarantine", "fill", "--rows")
    assert "2 rows are in quarantine" in shown.headline()
    assert "id = 500" in str(shown)
    assert "not row 3" in str(shown)
    assert "retry" in shown.notes()[0]
    facts = json.loads(shown.to_json())
    assert facts["open"] == 2
    assert {each["key"]["id"] for each in facts["rows"]} == {"3", "500"}
    assert facts["rows"][0]["row"]["writes"] == 0

    driven.sql(RAISE.format(bad="(500)"))
    half = retried(driven, quarantined=True)
    assert half.progress.state == "failed"
    assert "1 row of the quarantine is written" in half.notes
    assert any("not row 500" in note for note in half.notes)

    driven.sql("DROP TRIGGER f ON t")
    report = asked(driven, "retry", "--quarantined", "--wait")
    assert "1 row of the quarantine is written" in str(report)
    assert driven.progress().state == "completed"
    assert driven.writes() == {1: 1_000}
    assert driven.one("SELECT sum(rows)::int FROM qb.batch") == 1_000
    assert "0 rows are in quarantine" in asked(driven, "quarantine").headline()
    with pytest.raises(RefusedError, match="completed, not failed"):
        retried(driven)


def test_a_failed_one_goes_on_from_the_ledger_edited_only_when_somebody_says_why(
    driven: Case,
) -> None:
    """Also when Temporal knows nothing of it: its server is new, or its history is gone."""
    driven.counted(300)
    driven.sql(RAISE.format(bad="(250)"))
    driven.start(driven.filling(batch_size=100))
    assert "row id = 250" in driven.ended().error
    report = str(asked(driven, "status"))
    assert "class data" in report
    assert "then: qb backfill retry" in report
    assert driven.one("SELECT error_code FROM qb.backfill") == "P0001"

    driven.sql("DROP TRIGGER f ON t; UPDATE qb.backfill SET workflow_id = 'of another server'")
    driven.filling(batch_size=100, set={"v": "'new' || id", "writes": "writes + 1"})
    with pytest.raises(RefusedError, match="was edited") as raised:
        retried(driven)
    assert "--edited-ok" in raised.value.todo
    with pytest.raises(InputError, match="no reason"):
        retried(driven, edited_ok=" ")
    done = retried(driven, edited_ok="the old one was wrong")
    assert any("is accepted" in note for note in done.notes)
    assert any("does not know its workflow of another server" in note for note in done.notes)
    assert driven.ended().state == "completed"
    assert driven.writes() == {1: 300}
    assert driven.one("SELECT count(*) FROM t WHERE v = 'new' || id") == 51
    assert driven.sql("SELECT what, migration, reason FROM qb.event WHERE what LIKE 'edited%'") == [
        ("edited backfill accepted", ID, "the old one was wrong")
    ]


def test_a_workflow_can_be_left_behind_for_a_new_one(driven: Case) -> None:
    driven.counted(200)
    driven.start(driven.filling(slow=0.01, batch_size=20))
    until("rows are written", lambda: driven.progress().rows_done > 0)
    with pytest.raises(RefusedError, match="not failed") as raised:
        retried(driven)
    assert "watch" in raised.value.todo
    done = retried(driven, from_ledger=True)
    assert any("was ended, and a new one" in note for note in done.notes)
    assert driven.ended().state == "completed"
    assert driven.writes() == {1: 200}


def test_another_key_cannot_be_accepted(driven: Case) -> None:
    driven.counted(100)
    driven.sql("ALTER TABLE t ADD other int NOT NULL GENERATED ALWAYS AS IDENTITY UNIQUE")
    migration = driven.filling()
    driven.written_down(migration)
    records.fail(driven.conn, ID, "somehow", "42501")
    driven.filling(key="other")
    with pytest.raises(RefusedError, match="another table or key"):
        retried(driven, edited_ok="why not")


def test_what_was_never_started_is_told(case: Case) -> None:
    case.counted(1)
    case.filling()
    for words in (["retry"], ["quarantine"]):
        with pytest.raises(InputError, match="never started"):
            asked(case, *words)


def test_a_session_that_is_killed_in_mid_batch_is_not_noticed_by_temporal(driven: Case) -> None:
    driven.counted(160)
    driven.start(driven.filling(slow=0.01, batch_size=20))
    writing = (
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
        " AND wait_event = 'PgSleep'"
    )
    for _ in range(2):
        until("a batch sleeps", lambda: driven.sql(writing))
        driven.sql(f"SELECT pg_terminate_backend(pid) FROM ({writing}) AS w")
    assert driven.ended().state == "completed"
    assert driven.writes() == {1: 160}
    assert driven.one("SELECT sum(retries)::int FROM qb.segment") >= 1
    where = temporal.place(driven.project, start=False)
    assert where is not None
    assert loop.run(_attempts(where, driven.progress().workflow)) == {1}


async def _attempts(where: temporal.Place, workflow: str) -> set[int]:
    """How often each activity of a workflow was tried."""
    handle = (await temporal.client(where)).get_workflow_handle(workflow)
    return {
        event.activity_task_started_event_attributes.attempt
        async for event in handle.fetch_history_events()
        if event.HasField("activity_task_started_event_attributes")
    }
