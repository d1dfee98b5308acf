"""before, backfill and after as one flow: what comes after waits until every row is verified"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest

from qb_engine import backfill, ledger
from qb_engine.backfill import finish, records
from qb_engine.errors import RefusedError
from qb_engine.execution import Place
from qb_engine.runner import Request, run
from qb_engine.runner.rollback import roll_back
from tests.backfill.conftest import ID, Case, until

PRE = "-- qb:up\nALTER TABLE f ADD COLUMN loud text;\n-- qb:down\nALTER TABLE f DROP COLUMN loud;\n"
POST = (
    "-- qb:up\nALTER TABLE f ALTER loud SET NOT NULL;\n"
    "-- qb:down\nALTER TABLE f ALTER loud DROP NOT NULL;\n"
)


@pytest.fixture
def expanded(case: Case) -> Callable[..., Any]:
    """Run a migration up to its backfill; return its place in the engine."""

    def made(post: str = POST, **given: Any) -> Place:
        case.sql("CREATE TABLE f (id int PRIMARY KEY, name text)")
        case.sql("INSERT INTO f SELECT i, 'n' || i FROM generate_series(1, 100) i")
        declared = {"table": "f", "set": {"loud": "upper(name)"}, "where": "loud IS NULL", **given}
        case.declare(**declared)
        folder = case.project.migrations / ID
        (folder / "migration.sql").write_text(PRE)
        (folder / "post.sql").write_text(post)
        place = finish._place(case.project, case.target, threading.Event())
        (ran,) = run(place)
        assert ran.status == "expanded"
        return place

    return made


def fill(case: Case, place: Place) -> None:
    case.driven_here(place.migrations.get(ID))
    finish.want(case.conn, ID)
    row = records.read(case.conn, ID)
    assert row is not None
    assert finish.due(case.conn, row) == (row.state == "completed")


def standing(case: Case) -> tuple[str, str, str]:
    """How the migration stands, and what is said of what comes after its backfill."""
    ((post, error),) = case.sql("SELECT post_state, post_error FROM qb.backfill")
    return ledger.standing(case.conn)[ID].status, post, error


def test_what_comes_after_is_run_by_the_runner_and_the_trigger_goes(
    case: Case, expanded: Callable[..., Place]
) -> None:
    place = expanded(keep_in_sync=True)
    fill(case, place)
    case.sql("INSERT INTO f (id, name) VALUES (101, 'late')")
    step = finish.finish(case.project, case.target, ID, lambda: True)
    assert step is not None
    assert step.state == "completed"
    assert standing(case) == ("contracted", "done", "")
    assert case.one("SELECT count(*) FROM pg_trigger WHERE tgname ~ 'qb_in_sync'") == 0
    row = records.read(case.conn, ID)
    assert row is not None
    assert not finish.due(case.conn, row)


def test_a_failure_is_recorded_and_run_goes_on(case: Case, expanded: Callable[..., Place]) -> None:
    place = expanded(
        post="-- qb:up\nALTER TABLE f ADD CHECK (loud <> 'N7');\n-- qb:down\nSELECT 1;"
    )
    fill(case, place)
    finish.finish(case.project, case.target, ID, lambda: True)
    status, post, error = standing(case)
    assert (status, post) == ("expanded", "failed")
    assert "is violated by some row" in error
    case.sql("UPDATE f SET loud = 'n7' WHERE id = 7")
    (ran,) = run(place)
    assert ran.status == "contracted"
    assert standing(case) == ("contracted", "done", "")


def test_nothing_comes_after_a_backfill_that_is_not_verified(
    case: Case, expanded: Callable[..., Place]
) -> None:
    place = expanded(validate="SELECT id FROM f WHERE id = 3")
    fill(case, place)
    assert case.progress().state == "failed"
    assert [each.status for each in run(place, Request(only=ID))] == ["expanded"]
    with pytest.raises(RefusedError, match="still waits"):
        finish._run(case.project, case.target, ID, place.stop)
    assert standing(case)[0] == "expanded"


def test_what_was_called_off_is_not_run(case: Case, expanded: Callable[..., Place]) -> None:
    place = expanded()
    fill(case, place)
    done = backfill.cancel(case.project, case.target, place.migrations.get(ID), conn=case.conn)
    assert any("not run by itself any more" in note for note in done.notes)
    finish.finish(case.project, case.target, ID, lambda: True)
    assert standing(case) == ("expanded", "", "")


def test_a_rollback_takes_the_trigger_with_it(case: Case, expanded: Callable[..., Place]) -> None:
    place = expanded(keep_in_sync=True)
    fill(case, place)
    assert case.one("SELECT count(*) FROM pg_trigger WHERE tgname ~ 'qb_in_sync'") == 1
    roll_back(place)
    assert case.one("SELECT count(*) FROM pg_trigger WHERE tgname ~ 'qb_in_sync'") == 0
    assert case.one("SELECT count(*) FROM pg_proc WHERE proname ~ 'in_sync'") == 0
    case.sql("INSERT INTO f VALUES (102, 'x')")


def test_one_command_runs_all_of_it_and_what_is_pending_after_it(driven: Case, qb: Any) -> None:
    driven.sql("CREATE TABLE f (id int PRIMARY KEY, name text)")
    driven.sql("INSERT INTO f SELECT i, 'n' || i FROM generate_series(1, 100) i")
    driven.declare(table="f", set={"loud": "upper(name)"}, where="loud IS NULL", keep_in_sync=True)
    folder = driven.project.migrations / ID
    (folder / "migration.sql").write_text(PRE)
    (folder / "post.sql").write_text(POST)
    after = driven.project.migrations / "20240317090000_after.sql"
    after.write_text("-- qb:up\nCREATE TABLE g ();\n-- qb:down\nDROP TABLE g;\n")

    report = qb("run", "--with-backfill", "--wait")
    assert report.ok, report.notes()
    (flow,) = report.as_dict()["backfills"]
    assert (flow["state"], flow["post"]) == ("completed", "done")
    shown = {row[0]: (row[1], row[4]) for row in report.tables()[0].rows}
    assert shown[ID] == ("contracted", "its backfill is completed")
    assert driven.one("SELECT count(*) FROM f WHERE loud = upper(name)") == 100
    known = ledger.standing(driven.conn)
    assert known[ID].status == "contracted"
    assert known["20240317090000_after"].status == "applied"
    assert driven.one("SELECT count(*) FROM pg_trigger WHERE tgname ~ 'qb_in_sync'") == 0
    assert driven.one("SELECT count(*) FROM qb.event WHERE what = 'run with backfill'") == 1


def test_a_worker_that_is_killed_in_what_comes_after_is_followed_by_another(
    driven: Case, qb: Any
) -> None:
    driven.sql("CREATE TABLE f (id int PRIMARY KEY, name text)")
    driven.sql("INSERT INTO f SELECT i, 'n' || i FROM generate_series(1, 100) i")
    driven.declare(table="f", set={"loud": "upper(name)"}, where="loud IS NULL")
    folder = driven.project.migrations / ID
    with (folder / "backfill.py").open("a") as file:
        file.write(
            "\n    def validate(self, q):\n"
            "        return q.rows('SELECT count(*) FROM f WHERE loud IS NULL') == [(0,)]\n"
        )
    (folder / "migration.sql").write_text(PRE)
    slow = POST.replace(
        "ALTER TABLE f ALTER loud SET", "SELECT pg_sleep(2);\nALTER TABLE f ALTER loud SET"
    )
    (folder / "post.sql").write_text(slow)

    started = qb("run", "--with-backfill")
    assert any("without this session" in note for note in started.notes())
    asleep = (
        "SELECT pid FROM pg_stat_activity WHERE query ~ '^SELECT pg_sleep' AND state = 'active'"
    )

    def runs() -> bool:
        assert standing(driven)[1] in ("waiting", "running"), standing(driven)
        return bool(driven.sql(asleep))

    until("what comes after runs", runs)
    (record,) = (driven.project.root / ".qb" / "worker").glob("*.json")
    os.kill(json.loads(record.read_text())["pid"], signal.SIGKILL)

    qb("backfill", "start", ID)
    until("it is done", lambda: standing(driven)[1] == "done")
    assert standing(driven)[0] == "contracted"
    assert driven.one("SELECT checked ->> 'validate' FROM qb.backfill") == "met"
