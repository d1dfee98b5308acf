"""which migrations a run takes, in which transactions, and what it refuses before it starts"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from qb_engine.commands import Session, invoke
from qb_engine.errors import InputError, RefusedError
from qb_engine.execution import StepFailed
from qb_engine.project import Project

Connection = psycopg.Connection[Any]
Tables = Callable[[], list[str]]
NAMES = ("20240101_a", "20240102_b", "20240103_c")


@pytest.fixture
def three(write: Any) -> None:
    for name in NAMES:
        table = name[-1]
        write(
            f"{name}.sql", f"-- qb:up\nCREATE TABLE {table} ();\n-- qb:down\nDROP TABLE {table};\n"
        )


def states(qb: Any) -> list[str]:
    return [s.state for s in qb("status").migrations]


# -- which ones --------------------------------------------------------------------------------


@pytest.mark.usefixtures("three")
def test_to_stops_after_the_one_that_is_named(qb: Any, tables: Tables) -> None:
    qb("run", "--to", "20240102_b")
    assert tables() == ["a", "b"]
    qb("run", "--to", "20240102_b")
    assert tables() == ["a", "b"]


@pytest.mark.usefixtures("three")
def test_steps_counts_migrations(qb: Any, tables: Tables) -> None:
    qb("run", "--steps", "1")
    assert tables() == ["a"]
    qb("run", "--steps", "2")
    assert tables() == ["a", "b", "c"]


@pytest.mark.usefixtures("three")
def test_what_is_older_than_the_newest_runs_only_when_told(qb: Any, tables: Tables) -> None:
    qb("run", "--only", "20240102_b")
    assert tables() == ["b"]
    with pytest.raises(RefusedError, match="20240101_a"):
        qb("run")
    assert tables() == ["b"]
    qb("run", "--allow-out-of-order")
    assert tables() == ["a", "b", "c"]


@pytest.mark.usefixtures("three")
def test_one_migration_and_an_end_contradict_each_other(qb: Any, tables: Tables) -> None:
    with pytest.raises(InputError, match="together"):
        qb("run", "20240101_a", "--to", "20240102_b")
    with pytest.raises(InputError, match="no migration"):
        qb("run", "--to", "20240102_x")
    assert tables() == []


@pytest.mark.usefixtures("three")
def test_if_pending_takes_no_lock_when_everything_is_applied(
    qb: Any, database: Any, tables: Tables
) -> None:
    from qb_engine.runner.lock import KEY

    with psycopg.connect(database.conninfo, autocommit=True) as other:
        qb("run")
        other.execute("SELECT pg_advisory_lock(%s)", [KEY])
        report = qb("run", "--if-pending", "--wait-lock", "0")
        assert report.exit_code == 0
        with pytest.raises(RefusedError, match="another qb") as caught:
            qb("run", "--wait-lock", "0")
        assert caught.value.exit_code == 4
    assert tables() == ["a", "b", "c"]


# -- in which transactions ---------------------------------------------------------------------


def test_all_in_one_transaction_is_one(qb: Any, write: Any, connection: Connection) -> None:
    write(
        "20240101_a.sql", "CREATE TABLE log (x xid8);\nINSERT INTO log SELECT pg_current_xact_id()"
    )
    write("20240102_b.sql", "INSERT INTO log SELECT pg_current_xact_id()")
    write(
        "20240103_c.sql", "SET search_path = nowhere;\nINSERT INTO public.log SELECT 0::text::xid8"
    )
    write("20240104_d.sql", "INSERT INTO log SELECT pg_current_xact_id()")
    report = qb("run", "--atomic", "all")
    assert [r.status for r in report.ran] == ["applied"] * 4
    assert [len(r.seen) for r in report.ran] == [2, 1, 2, 1]
    assert states(qb) == ["applied"] * 4
    rows = connection.execute("SELECT count(*), count(DISTINCT x) FROM log").fetchone()
    assert rows == (4, 2)


def test_all_in_one_transaction_keeps_none_when_one_fails(
    qb: Any, write: Any, tables: Tables
) -> None:
    write("20240101_a.sql", "CREATE TABLE a ()")
    write("20240102_b.sql", "CREATE TABLE b ();\nSELECT 1 / 0;")
    write("20240103_c.sql", "CREATE TABLE c ()")
    with pytest.raises(StepFailed, match="statement 2 failed") as caught:
        qb("run", "--atomic", "all")
    assert "nothing of any migration" in caught.value.why
    assert "20240102_b.sql:2" in caught.value.where
    assert tables() == []
    assert states(qb) == ["pending"] * 3
    history = {r.migration: (r.status, r.error) for r in qb("history").runs}
    assert history["20240101_a"] == ("stopped", "rolled back with another migration")
    assert history["20240102_b"][0] == "failed"


def test_all_in_one_transaction_verifies_what_the_one_before_has_made(
    qb: Any, write: Any, tables: Tables
) -> None:
    write("20240101_a.sql", "CREATE TABLE a (id int NOT NULL)")
    write(
        "20240102_b.sql",
        "-- qb:constraints\n-- a: {columns: {id: {type: integer, nullable: false}}}\n"
        "-- qb:up\nCREATE TABLE b ()",
    )
    write(
        "20240103_c.sql",
        "-- qb:constraints\n-- a: {columns: {id: {nullable: true}}}\n-- qb:up\nCREATE TABLE c ()",
    )
    with pytest.raises(RefusedError, match="constraints of 20240103_c") as caught:
        qb("run", "--atomic", "all")
    assert "nullability of a.id" in caught.value.why
    assert tables() == []
    qb("run", "--atomic", "all", "--to", "20240102_b")
    assert tables() == ["a", "b"]


def test_what_cannot_be_in_a_transaction_is_refused_before_all_run(
    qb: Any, write: Any, tables: Tables
) -> None:
    write("20240101_a.sql", "CREATE TABLE a (id int)")
    write("20240102_b.sql", "SELECT 1;\nCREATE INDEX CONCURRENTLY i ON a (id)")
    with pytest.raises(RefusedError, match="20240102_b") as caught:
        qb("run", "--atomic", "all")
    assert "20240102_b.sql:2" in caught.value.where
    assert tables() == []


def test_deferred_constraints_of_one_migration_are_not_left_to_another(
    qb: Any, write: Any, tables: Tables
) -> None:
    write(
        "20240101_a.sql",
        "CREATE TABLE p (id int PRIMARY KEY);"
        " CREATE TABLE c (p int REFERENCES p DEFERRABLE INITIALLY DEFERRED)",
    )
    write("20240102_b.sql", "INSERT INTO c VALUES (7)")
    write("20240103_c.sql", "INSERT INTO p VALUES (7)")
    with pytest.raises(StepFailed, match="deferred constraints") as caught:
        qb("run", "--atomic", "all")
    assert "20240102_b" in caught.value.where
    assert tables() == []


def test_in_none_each_statement_stands_by_itself(qb: Any, write: Any, tables: Tables) -> None:
    write("20240101_a.sql", "CREATE TABLE a ();\nCREATE TABLE b ();\nSELECT 1 / 0;")
    with pytest.raises(StepFailed, match="statement 3 failed") as caught:
        qb("run", "--atomic", "none")
    assert "2 of 3 statements are committed" in caught.value.why
    assert tables() == ["a", "b"]
    assert states(qb) == ["partial"]


# -- before it runs ----------------------------------------------------------------------------


@pytest.mark.usefixtures("three")
def test_a_dry_run_of_several_runs_one_on_top_of_the_other(qb: Any, tables: Tables) -> None:
    report = qb("run", "--dry-run")
    assert report.ok
    assert [len(d.seen) for d in report.dries] == [1, 1, 1]
    assert tables() == []
    assert states(qb) == ["pending"] * 3


@pytest.mark.usefixtures("three")
def test_a_plan_is_run_as_it_was_agreed(
    qb: Any, write: Any, tables: Tables, tmp_path: Path, connection: Connection
) -> None:
    kept = tmp_path / "plan.json"
    qb("plan", "--out", str(kept))
    assert [m["id"] for m in json.loads(kept.read_text())["migrations"]] == list(NAMES)
    write("20240104_d.sql", "CREATE TABLE d ()")
    with pytest.raises(RefusedError, match="not what was planned") as caught:
        qb("run", "--plan-file", str(kept))
    assert "20240104_d is pending, and not in the plan" in caught.value.why
    connection.execute("CREATE TABLE by_hand ()")
    with pytest.raises(RefusedError) as caught:
        qb("run", "--plan-file", str(kept), "--to", "20240103_c")
    assert "schema of the target has changed" in caught.value.why
    connection.execute("DROP TABLE by_hand")
    write("20240103_c.sql", "CREATE TABLE cc ()")
    with pytest.raises(RefusedError, match="not what was planned"):
        qb("run", "--plan-file", str(kept), "--to", "20240103_c")
    assert tables() == []
    qb("plan", "--out", str(kept))
    qb("run", "--plan-file", str(kept))
    assert tables() == ["a", "b", "cc", "d"]


@pytest.mark.parametrize("text", ["", "{}", '{"qb_plan": 1}', "[1]", '{"qb_plan": 99}'])
def test_a_file_without_a_plan_is_refused(qb: Any, tmp_path: Path, text: str) -> None:
    kept = tmp_path / "plan.json"
    kept.write_text(text)
    with pytest.raises(InputError, match="holds no plan"):
        qb("run", "--plan-file", str(kept))


def test_events_are_appended_to_a_log(qb: Any, write: Any, tmp_path: Path) -> None:
    log = tmp_path / "qb.log"
    write("20240101_a.sql", "CREATE TABLE a ()")
    qb("run", "--log-file", str(log))
    write("20240102_b.sql", "SELECT 1 / 0")
    with pytest.raises(StepFailed):
        qb("run", "--log-file", str(log))
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    said = [line["event"] for line in lines]
    assert said[:6] == [
        "run_started", "migration_started", "statement_started", "statement_ended",
        "migration_ended", "run_ended",
    ]  # fmt: skip
    assert "error" in said[6:]
    assert [line["code"] for line in lines if line["event"] == "error"]


# -- rules -------------------------------------------------------------------------------------


def test_a_rule_that_is_broken_rolls_its_migration_back(
    qb: Any, write: Any, tables: Tables, connection: Connection
) -> None:
    connection.execute("CREATE TABLE users (email text); INSERT INTO users VALUES (NULL)")
    write(
        "20240101_a.sql",
        "-- qb:expect\n-- - not_null: users.email\n-- qb:up\nCREATE TABLE a ();\n",
    )
    with pytest.raises(RefusedError, match="rule") as caught:
        qb("run")
    assert "nothing of 20240101_a was kept" in caught.value.why
    assert tables() == ["users"]
    assert states(qb) == ["pending"]
    connection.execute("DELETE FROM users")
    qb("run")
    assert tables() == ["a", "users"]


def test_a_rule_after_statements_outside_a_transaction_says_that_they_stay(
    qb: Any, write: Any, connection: Connection
) -> None:
    connection.execute("CREATE TABLE users (email text); INSERT INTO users VALUES (NULL)")
    write(
        "20240101_a.sql",
        "-- qb:expect\n-- - not_null: users.email\n"
        "-- qb:up\nCREATE INDEX CONCURRENTLY i ON users (email);\n",
    )
    with pytest.raises(RefusedError, match="rule") as caught:
        qb("run")
    assert "nothing was rolled back" in caught.value.why
    assert states(qb) == ["partial"]
    with pytest.raises(RefusedError, match="rule"):
        qb("run")
    connection.execute("DELETE FROM users")
    qb("run")
    assert states(qb) == ["applied"]


# -- back --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("three")
def test_back_to_a_migration_undoes_what_came_after_it(qb: Any, tables: Tables) -> None:
    qb("run")
    report = qb("rollback", "--to", "20240101_a")
    assert [r.migration for r in report.rans] == ["20240103_c", "20240102_b"]
    assert tables() == ["a"]
    assert qb("rollback", "--to", "20240101_a").rans == ()
    qb("run")
    qb("rollback", "--steps", "3")
    assert tables() == []


def test_nothing_is_undone_when_one_of_them_cannot_be(qb: Any, write: Any, tables: Tables) -> None:
    write("20240101_a.sql", "-- qb:up\nCREATE TABLE a ();\n-- qb:irreversible its rows are gone\n")
    write("20240102_b.sql", "-- qb:up\nCREATE TABLE b ();\n-- qb:down\nDROP TABLE b;\n")
    qb("run")
    with pytest.raises(RefusedError, match="20240101_a cannot be rolled back"):
        qb("rollback", "--steps", "2")
    assert tables() == ["a", "b"]


@pytest.mark.usefixtures("three")
def test_redo_undoes_and_applies_again(qb: Any, tables: Tables, connection: Connection) -> None:
    qb("run")
    before = connection.execute("SELECT 'c'::regclass::oid").fetchone()
    report = qb("redo")
    assert (report.down.migration, report.up.status) == ("20240103_c", "applied")
    assert tables() == ["a", "b", "c"]
    assert connection.execute("SELECT 'c'::regclass::oid").fetchone() != before
    assert [r.direction for r in qb("history").runs][:2] == ["up", "down"]


# -- whom it ends ------------------------------------------------------------------------------


def test_blockers_are_ended_only_with_a_yes(
    session: Session, write: Any, project: Project, database: Any, connection: Connection
) -> None:
    connection.execute("CREATE TABLE a (id int)")
    write("20240101_a.sql", "ALTER TABLE a ADD COLUMN b int")
    config = project.file.read_text()
    project.file.write_text(config + '\n[timeouts]\nlock = "300ms"\nlock_deadline = "60s"\n')
    session.project = Project(project.root)
    with pytest.raises(RefusedError, match="without a yes"):
        invoke(session, ["run", "--terminate-blockers-older-than", "0s"])
    role = f"visitor_{secrets.token_hex(4)}"
    connection.execute(f"CREATE ROLE {role} LOGIN; GRANT SELECT ON a TO {role}".encode())
    visitor = make_conninfo(database.conninfo, user=role, application_name="forgotten")
    blocker = psycopg.connect(visitor)
    blocker.execute("SELECT * FROM a")
    report: Any = invoke(session, ["run", "--terminate-blockers-older-than", "10ms", "--yes"])
    assert report.ran[0].seen[0].attempts > 1
    with pytest.raises(psycopg.OperationalError):
        blocker.execute("SELECT 1")
    blocker.close()
    connection.execute(f"REVOKE ALL ON a FROM {role}; DROP ROLE {role}".encode())


# -- what is said, and refused, of sessions and transactions ------------------------------------


def test_a_set_local_that_nothing_shares_its_transaction_with_is_told(
    session: Session, write: Any, tables: Tables
) -> None:
    said: list[str] = []
    session.face.say = said.append  # type: ignore[method-assign]
    write("20240101_a.sql", "SET LOCAL work_mem = '8MB';\nCREATE TABLE a (id int);\n")
    invoke(session, ["run"])
    assert said == []
    write("20240102_b.sql", "SET LOCAL work_mem = '8MB';\nCREATE TABLE b (id int);\n")
    invoke(session, ["run", "--atomic", "none"])
    assert [text.partition(",")[0] for text in said] == ["statement 1"]
    assert "SET LOCAL ends with its transaction" in said[0]
    assert tables() == ["a", "b"]


READS = """
from qb_engine import Migration

class C(Migration):
    def up(self, q):
        for (name,) in q.rows("SELECT relname::text FROM pg_class WHERE relname = 'b'"):
            q(f"COMMENT ON TABLE {name} IS 'seen'")
        q("CREATE TABLE c ()")
"""


@pytest.fixture
def reads(write: Any) -> None:
    """A migration whose SQL depends on what the one before it makes."""
    write("20240101_b.sql", "CREATE TABLE b ();\n")
    write("20240102_c.py", READS)


@pytest.mark.usefixtures("reads")
def test_what_reads_the_target_is_not_part_of_a_transaction_with_what_it_reads(
    qb: Any, tables: Tables, connection: Connection
) -> None:
    with pytest.raises(RefusedError, match="made from what the target holds"):
        qb("run", "--atomic", "all")
    assert tables() == []
    assert qb("run").ok
    row = connection.execute("SELECT obj_description('b'::regclass)").fetchone()
    assert row == ("seen",)


@pytest.mark.usefixtures("reads")
def test_what_is_read_again_must_still_be_what_was_planned(
    qb: Any, tables: Tables, project: Project
) -> None:
    plan = str(project.root / "plan.json")
    qb("plan", "--out", plan)
    with pytest.raises(RefusedError, match="20240102_c would run is not what was planned"):
        qb("run", "--plan-file", plan)
    assert tables() == ["b"]
    qb("plan", "--out", plan)
    assert qb("run", "--plan-file", plan).ok
    assert tables() == ["b", "c"]


@pytest.mark.usefixtures("three")
def test_a_redo_that_fails_says_that_the_way_back_stays(
    qb: Any, write: Any, tables: Tables, connection: Connection
) -> None:
    qb("run")
    write("20240103_c.sql", "-- qb:up\nCREATE TABLE c (id nowhere);\n-- qb:down\nDROP TABLE c;\n")
    with pytest.raises(StepFailed, match="20240103_c was rolled back"):
        qb("redo")
    assert tables() == ["a", "b"]
    assert states(qb) == ["applied", "applied", "pending"]
    kept = connection.execute("SELECT snapshot FROM qb.snapshot ORDER BY run DESC").fetchone()
    assert kept is not None
    assert '"table","public","c"' not in kept[0]
    assert '"table","public","b"' in kept[0]


def test_a_run_that_goes_on_has_the_settings_of_its_session_again(
    qb: Any, write: Any, connection: Connection
) -> None:
    text = (
        "SELECT set_config('qb_test.name', 'kept', false);\n"
        "PREPARE p AS SELECT current_setting('qb_test.name') AS name;\n"
        "CREATE TABLE a (name text);\nVACUUM a;\nINSERT INTO a SELECT {};\n"
    )
    write("20240101_a.sql", text.format("nowhere"))
    with pytest.raises(StepFailed):
        qb("run")
    write("20240101_a.sql", text.format("current_setting('qb_test.name')") + "EXECUTE p;\n")
    assert qb("run").ok
    assert connection.execute("SELECT name FROM a").fetchall() == [("kept",)]
