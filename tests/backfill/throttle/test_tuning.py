"""how a backfill goes on is changed in the ledger, said, and kept"""

from __future__ import annotations

from typing import Any

import pytest

from qb_engine.backfill import pace, records
from qb_engine.backfill.options import Options
from qb_engine.backfill.spec import Spec
from qb_engine.backfill.throttle import settings, tuning
from qb_engine.backfill.walk.keys import KeyColumn
from qb_engine.commands import Session, invoke
from qb_engine.errors import InputError, RefusedError
from qb_engine.project import FILE, Project
from tests.backfill.conftest import ID, Case

SPEC = Spec("m", "", "public", "t", (KeyColumn("id", "integer"),), ())


def tuned(spec: Spec = SPEC, **given: Any) -> tuple[Spec, list[str]]:
    after = tuning.applied(spec, tuning.changes(**given))
    return after, [str(each) for each in tuning.differences(spec, after)]


def test_what_changes_is_said_from_what_to_what() -> None:
    _, said = tuned(
        max_rate="20_000", parallel=4, target_ms=100, batch_size="1000", window="22:00-06:00",
        sets=["replica_lag.stop=1min", "wal_rate.slow=50MB"], off=["archive_queue"],
    )  # fmt: skip
    assert said[:5] == [
        "max rate: off -> 20,000 rows/s",
        "parallel: 1 -> 4",
        "target: 250 ms -> 100 ms",
        "batch size: by time -> 1,000",
        "window: always -> 22:00-06:00",
    ]
    assert "archive_queue: on -> off" in said
    assert "replica_lag.stop: 15.0 -> 60.0" in said
    assert "wal_rate: off -> on" in said
    assert "wal_rate.slow: off -> 52428800" in said


def test_what_is_not_named_stays() -> None:
    first, _ = tuned(max_rate=5, sets=["replica_lag.stop=60"])
    second, said = tuned(first, parallel=2, sets=["replica_lag.slow=30"])
    assert said == ["parallel: 1 -> 2", "replica_lag.slow: 5.0 -> 30.0"]
    assert second.options.max_rate == 5
    assert second.options.tuning["throttle"] == {"replica_lag": {"stop": "60", "slow": "30"}}


def test_a_limit_is_taken_away() -> None:
    limited, _ = tuned(max_rate=5, window="22:00-06:00", batch_size=10, off=["replica_lag"])
    free, _ = tuned(
        limited, max_rate="off", window="off", batch_size="auto", sets=["replica_lag=on"]
    )
    assert free.options.max_rate is None
    assert free.options.window == ""
    assert free.batch_limit == pace.LARGEST
    built = {each.name for each in settings.build(free.options.throttle)}
    assert "replica_lag" in built


@pytest.mark.parametrize(
    "given",
    [
        {"max_rate": "fast"}, {"max_rate": "0"}, {"max_rate": "-1"}, {"max_rate": "inf"},
        {"parallel": "0"}, {"parallel": "many"}, {"parallel": "1000"}, {"target_ms": "off"},
        {"batch_size": "0"}, {"window": "at night"}, {"sets": ["replica_lag"]},
        {"sets": ["replica_lag.stop=soon"]}, {"sets": ["replica_lag.stopp=1"]},
        {"sets": ["nothing.stop=1"]}, {"sets": ["replica_lag=maybe"]}, {"off": ["nothing"]},
        {"sets": ["window.hours=22:00-06:00"]}, {"off": ["rate"]}, {"sets": ["=3"]},
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_in_four_parts(given: dict[str, Any]) -> None:
    with pytest.raises(InputError) as raised:
        tuning.changes(**given)
    error = raised.value
    assert error.what
    assert error.where
    assert error.why
    assert error.todo
    assert error.code == "bad-option"


@pytest.mark.parametrize("word", ["start", "tune"])
def test_a_refusal_names_the_command_that_was_typed(case: Case, word: str) -> None:
    case.filling()
    with pytest.raises(InputError, match="300") as raised:
        invoke(Session(root=case.project.root), ["backfill", word, "fill", "--parallel", "300"])
    assert raised.value.where == f"qb backfill {word}"


def test_the_nearest_name_is_offered() -> None:
    with pytest.raises(InputError, match="replica_lag") as raised:
        tuning.changes(sets=["replica_lg.stop=5"])
    assert raised.value.todo == "did you mean replica_lag?"


def test_a_backfills_own_options_come_before_the_projects(project: Project) -> None:
    with (project.root / FILE).open("a", encoding="utf-8") as file:
        file.write(
            "\n[backfill.throttle]\nautovacuum = false\n"
            'replica_lag = { slow = "1s", stop = "2s" }\n'
        )
    options = Options(throttle={"replica_lag": {"stop": 9}})
    found = tuning.settled(Project(project.root), "backfill.py", SPEC).options.throttle
    assert found == {"autovacuum": False, "replica_lag": {"slow": "1s", "stop": "2s"}}
    found = settings.settled(Project(project.root), options, "backfill.py").throttle
    assert found["replica_lag"] == {"slow": "1s", "stop": 9}


@pytest.mark.parametrize(
    ("line", "code"),
    [("nonsense = false", "bad-config"), ("replica_lag = { stop = true }", "bad-config")],
)
def test_what_the_project_says_wrongly_is_told_with_its_place(
    project: Project, line: str, code: str
) -> None:
    with (project.root / FILE).open("a", encoding="utf-8") as file:
        file.write(f"\n[backfill.throttle]\n{line}\n")
    with pytest.raises(InputError) as raised:
        settings.settled(Project(project.root), Options(), "backfill.py")
    assert raised.value.code == code
    assert FILE in raised.value.where


def test_what_a_declaration_says_wrongly_is_told(project: Project) -> None:
    with pytest.raises(InputError, match="no signal named replicas") as raised:
        settings.settled(project, Options(throttle={"replicas": False}), "backfill.py")
    assert raised.value.where == "backfill.py"
    with pytest.raises(InputError, match=r"window\.hours"):
        settings.settled(project, Options(window="nights"), "backfill.py")


def test_in_a_place_of_its_own_a_backfill_gives_way_to_nobody() -> None:
    options = settings.unthrottled(Options(max_rate=1, window="22:00-06:00"))
    assert options.max_rate is None
    assert settings.build(options.throttle, options.window) == []


def test_a_tune_is_counted_and_kept_in_the_ledger(case: Case) -> None:
    case.counted(10)
    case.written_down(case.filling())
    changes = tuning.changes(max_rate="100", parallel=3)
    assert len(tuning.tune(case.conn, ID, changes)) == 2
    row = records.read(case.conn, ID)
    assert row is not None
    assert (row.tuned, row.spec.parallel, row.spec.options.max_rate) == (1, 3, 100.0)
    assert tuning.tune(case.conn, ID, changes) == ()
    records.move(case.conn, ID, "completed")
    with pytest.raises(RefusedError):
        tuning.tune(case.conn, ID, changes)
