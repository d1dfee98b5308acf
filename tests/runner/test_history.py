"""history says what ran, statement by statement, what was said, and what was decided"""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from qb_engine.errors import InputError
from qb_engine.report import Bars, Line, Timeline

FIRST = """
CREATE TABLE users (id int PRIMARY KEY, name text);
INSERT INTO users SELECT g, 'n' FROM generate_series(1, 3) g;
DO $$ BEGIN RAISE NOTICE 'hello from the server'; END $$;
ALTER TABLE users ADD COLUMN email text
"""


@pytest.fixture
def ran(qb, write) -> Any:
    """Two migrations that ran, the second one twice: it failed first."""
    write("20240101_first.sql", FIRST)
    write("20240102_second.sql", "ALTER TABLE users ADD COLUMN age int NOT NULL")
    with pytest.raises(Exception, match="contains null values"):
        qb("run", "--no-verify")
    write("20240102_second.sql", "ALTER TABLE users ADD COLUMN age int")
    qb("run", "--no-verify")
    return qb


def test_before_anything_ran_history_is_empty(qb) -> None:
    report = qb("history")
    assert report.runs == ()
    assert "nothing ran here yet" in str(report)
    assert report.df.empty


def test_runs_are_a_data_frame_the_newest_first(ran) -> None:
    frame = ran("history").df
    assert list(frame["migration"]) == ["20240102_second", "20240102_second", "20240101_first"]
    assert list(frame["status"]) == ["applied", "failed", "applied"]
    assert frame["time"].dtype == float
    assert "contains null values" in frame["error"][1]


def test_one_migration_shows_its_statements_with_what_they_did(ran) -> None:
    report = ran("history", "first")
    assert [s.status for s in report.steps] == ["done"] * 4
    frame = report.statements
    assert frame["rows"][1] == 3
    assert (frame["wal_bytes"][:2] > 0).all()
    assert list(frame["attempts"]) == [1, 1, 1, 1]
    assert frame["messages"][2] == ["NOTICE: hello from the server"]
    text = str(report)
    assert f"statements of run {report.run}" in text
    assert "NOTICE: hello from the server" in text


def test_the_parts_of_a_run_are_shown(qb, write) -> None:
    write("20240103_folder/pre.sql", "CREATE TABLE a (id int)")
    write("20240103_folder/migration.sql", "CREATE TABLE b (id int)")
    qb("run")
    report = qb("history", "folder")
    assert [p.file for p in report.parts] == ["pre.sql", "migration.sql"]
    assert f"parts of run {report.run}" in str(report)


def test_a_run_is_shown_by_its_number(ran) -> None:
    failed = next(r for r in ran("history").runs if r.status == "failed")
    report = ran("history", "--run", str(failed.run))
    assert report.runs == (failed,)
    assert [s.status for s in report.steps] == ["failed"]
    assert "contains null values" in report.steps[0].error


def test_a_number_that_is_no_run_is_said(ran) -> None:
    with pytest.raises(InputError, match="there is no run 4711") as raised:
        ran("history", "--run", "4711")
    assert raised.value.todo == "see them with: qb history"


def test_a_name_that_several_migrations_have_is_said(ran) -> None:
    with pytest.raises(InputError, match="names 2 migrations") as raised:
        ran("history", "2024010")
    assert raised.value.code == "ambiguous-name"


def test_decisions_are_shown_with_who_and_why(
    ran, connection: psycopg.Connection[tuple[Any, ...]]
) -> None:
    connection.execute(
        "INSERT INTO qb.event (what, migration, run, reason, detail) VALUES"
        " ('accepted', '20240101_first', 1, 'only a comment', %s),"
        " ('adopted', '20240102_second', NULL, '', '{}')",
        [json.dumps({"from": "a1", "to": "b2"})],
    )
    (one,) = ran("history", "first").decisions
    assert (one.what, one.reason, one.detail) == (
        "accepted",
        "only a comment",
        {"from": "a1", "to": "b2"},
    )
    whole = ran("history")
    assert [d.what for d in whole.decisions] == ["adopted", "accepted"]
    assert "from: a1" in str(whole)


def test_times_and_locks_are_drawn(ran) -> None:
    (bars,) = (c for c in ran("history", "first").charts() if isinstance(c, Bars))
    assert len(bars.values) == 4
    (locks,) = (c for c in ran("history", "second").charts() if isinstance(c, Timeline))
    assert {(span.lane, span.label) for span in locks.spans} == {
        ("public.users", "ACCESS EXCLUSIVE"),
    }
    assert all(span.end >= span.start for span in locks.spans)


def test_samples_are_drawn_as_they_were_seen(
    ran, connection: psycopg.Connection[tuple[Any, ...]]
) -> None:
    run = ran("history", "second").run
    connection.execute("DELETE FROM qb.sample WHERE run = %s", [run])
    held = json.dumps({"public.users": "AccessExclusiveLock"})
    for at, locks, blocked in ((0.0, "{}", 0), (0.2, held, 1), (0.4, held, 2), (0.6, "{}", 0)):
        connection.execute(
            "INSERT INTO qb.sample (run, at, step, held, blocked) VALUES (%s, %s, 1, %s, %s)",
            [run, at, locks, blocked],
        )
    charts = ran("history", "second").charts()
    (timeline,) = (c for c in charts if isinstance(c, Timeline))
    (span,) = timeline.spans
    assert (span.lane, span.start, span.end, span.label) == (
        *("public.users", 0.2, 0.6, "ACCESS EXCLUSIVE"),
    )
    (waiting,) = (c for c in charts if isinstance(c, Line))
    assert waiting.ys == (0.0, 1.0, 2.0, 0.0)


def test_thousands_of_runs_are_not_all_listed(
    ran, connection: psycopg.Connection[tuple[Any, ...]]
) -> None:
    connection.execute(
        "INSERT INTO qb.history (migration, name, checksum, direction, status, qb_version)"
        " SELECT 'm' || g, 'm' || g, '', 'up', 'applied', '1' FROM generate_series(1, 100) g"
    )
    report = ran("history")
    assert len(report.tables()[0].rows) == 50
    assert len(report.df) == 103
    assert report.notes() == ["53 older ones: qb history --all lists them"]
    assert len(ran("history", "--all").tables()[0].rows) == 103


def test_history_as_json_holds_the_statements(ran) -> None:
    whole = json.loads(ran("history", "first").to_json())
    assert whole["steps"][2]["messages"] == ["NOTICE: hello from the server"]
    assert whole["run"] == whole["runs"][0]["run"]
