"""a plan is seen on a shadow, a dry run on the target; neither leaves a trace"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qb_engine.errors import InputError
from qb_engine.schema import snapshot


def test_a_plan_shows_locks_and_rewrites_and_changes_nothing(qb, write, connection) -> None:
    connection.execute("CREATE TABLE a (id int); INSERT INTO a SELECT generate_series(1, 1000)")
    before = snapshot(connection).fingerprint
    write(
        "20240101_a.sql",
        "ALTER TABLE a ADD COLUMN b text; ALTER TABLE a ALTER id TYPE bigint;"
        " CREATE TABLE fresh (x int); CREATE INDEX ON fresh (x)",
    )
    report = qb("plan")
    steps = json.loads(report.to_json())["steps"]
    assert steps[0]["locks"] == {"public.a": "AccessExclusiveLock"}
    assert steps[0]["rewrites"] == []
    assert steps[1]["rewrites"] == ["public.a"]
    assert steps[2]["locks"] == steps[3]["locks"] == {}
    assert {s["transaction"] for s in steps} == {1}
    assert snapshot(connection).fingerprint == before
    assert connection.execute("SELECT count(*) FROM a").fetchone() == (1000,)


def test_locks_of_statements_outside_a_transaction_are_seen(qb, write, connection) -> None:
    connection.execute("CREATE TABLE a (id int)")
    write("20240101_a.sql", "CREATE INDEX CONCURRENTLY i ON a (id); VACUUM a")
    steps = json.loads(qb("plan").to_json())["steps"]
    assert [s["transaction"] for s in steps] == [None, None]
    assert [s["locks"] for s in steps] == [{"public.a": "ShareUpdateExclusiveLock"}] * 2


def test_what_only_the_server_knows_to_refuse_a_transaction_is_cut_out(qb, write) -> None:
    write(
        "20240101_a.sql",
        "CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$; CALL p()",
    )
    report = qb("plan")
    assert not report.ok  # invalid transaction termination: said, not hidden
    assert "invalid transaction termination" in report.planned[0].error


def test_a_plan_of_a_file_needs_no_timestamp(qb, tmp_path: Path, connection) -> None:
    connection.execute("CREATE TABLE a (id int)")
    file = tmp_path / "idea.sql"
    file.write_text("ALTER TABLE a ADD COLUMN b int")
    assert qb("plan", str(file)).ok
    assert qb("verify", str(file)).ok


def test_a_plan_that_fails_says_where_and_shows_the_rest(qb, write) -> None:
    write("20240101_a.sql", "CREATE TABLE a (); ALTER TABLE nowhere ADD b int; SELECT 1")
    report = qb("plan")
    assert report.exit_code == 1
    assert [bool(o.error) for o in report.planned[0].seen] == [False, True, False]
    assert report.planned[0].seen[2].skipped


def test_a_dry_run_observes_and_rolls_back(qb, write, connection) -> None:
    connection.execute("CREATE TABLE a (id int); INSERT INTO a SELECT generate_series(1, 1000)")
    before = snapshot(connection).fingerprint
    write(
        "20240101_a.sql",
        "ALTER TABLE a ADD COLUMN b int; UPDATE a SET b = id WHERE id <= 10;"
        " ALTER TABLE a ALTER id TYPE bigint; CREATE INDEX CONCURRENTLY i ON a (id)",
    )
    report = qb("dryrun")
    seen = report.dry.seen
    assert report.ok
    assert seen[1].rows == 10
    assert seen[1].explain is not None
    assert seen[1].buffers
    assert seen[2].rewrites == ("public.a",)
    assert any("rewriting table" in text for text in seen[2].messages)
    assert [s.relation for s in seen[2].scans] == ["public.a"]
    assert seen[3].skipped
    assert snapshot(connection).fingerprint == before
    assert connection.execute("SELECT to_regclass('qb.meta')").fetchone() == (None,)
    assert len(report.charts()) == 3


def test_a_table_made_from_a_query_shows_its_plan(qb, write, connection) -> None:
    connection.execute("CREATE TABLE a (id int)")
    write("20240101_a.sql", "CREATE TABLE b AS SELECT id FROM a")
    seen = qb("dryrun").dry.seen
    assert seen[0].explain is not None
    assert "Seq Scan on a" in seen[0].explain.label


def test_what_waits_for_the_backfill_is_listed_and_not_run(qb, write, connection) -> None:
    connection.execute("CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1)")
    folder = "20240101000000_fill"
    write(f"{folder}/migration.sql", "ALTER TABLE a ADD b text")
    write(f"{folder}/post.sql", "ALTER TABLE a ALTER b SET NOT NULL")
    write(
        f"{folder}/backfill.py",
        "from qb_engine import Backfill\n"
        "class Fill(Backfill):\n    table = 'a'\n    set = {'b': \"'x'\"}\n",
    )
    report = qb("dryrun")
    assert report.ok
    assert [o.skipped for o in report.dry.seen] == ["", "comes after the backfill"]
    assert [r.status for r in qb("run").ran] == ["expanded"]
    assert [r.status for r in qb("run").ran] == ["expanded"]
    assert [s.state for s in qb("status").migrations] == ["expanded"]


def test_a_failing_dry_run_is_a_report_with_the_place(qb, write) -> None:
    write("20240101_a.sql", "CREATE TABLE a ();\nSELECT 1/0;")
    report = qb("dryrun")
    assert report.exit_code == 1
    assert "20240101_a.sql:2" in report.dry.failure.where
    assert any("division by zero" in note for note in report.notes())


def test_names_with_quotes_and_spaces(qb, write, connection) -> None:
    connection.execute('CREATE TABLE "Order Items" ("naïve""quote" int)')
    write("20240101_a.sql", 'ALTER TABLE "Order Items" ALTER "naïve""quote" TYPE bigint')
    assert qb("plan").planned[0].seen[0].table_locks == {
        "public.Order Items": "AccessExclusiveLock"
    }
    assert qb("dryrun").dry.seen[0].rewrites == ("public.Order Items",)
    assert qb("run").ok
    assert qb("validate").ok


def test_an_empty_folder_has_nothing_to_plan(qb) -> None:
    assert qb("plan").headline().startswith("nothing is pending")
    with pytest.raises(InputError, match="no migration yet"):
        qb("dryrun")
