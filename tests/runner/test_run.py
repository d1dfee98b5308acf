"""a migration is applied, or rolled back, or recorded with the statement at which it stopped"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from qb_engine.commands import Session, invoke
from qb_engine.errors import InputError, RefusedError
from qb_engine.execution import StepFailed
from qb_engine.project import Project

Connection = psycopg.Connection[tuple[Any, ...]]
Tables = Callable[[], list[str]]


def test_pending_migrations_run_in_order_and_are_recorded(qb, write, tables: Tables) -> None:
    write("20240101_a.sql", "CREATE TABLE a (id int)")
    write("20240102_b.sql", "CREATE TABLE b (id int); INSERT INTO b VALUES (1), (2)")
    report = qb("run")
    assert [(r.migration, r.status) for r in report.ran] == [
        ("20240101_a", "applied"),
        ("20240102_b", "applied"),
    ]
    assert report.ran[1].seen[1].rows == 2
    assert tables() == ["a", "b"]
    assert [s.state for s in qb("status").migrations] == ["applied", "applied"]
    assert qb("run").ran == ()
    assert [r.status for r in qb("history").runs] == ["applied", "applied"]


def test_a_failed_statement_keeps_nothing_and_names_its_line(qb, write, tables: Tables) -> None:
    write("20240101_a.sql", "CREATE TABLE a (id int);\nINSERT INTO nowhere\n  VALUES (1);")
    with pytest.raises(StepFailed) as caught:
        qb("run")
    error = caught.value
    assert error.exit_code == 3
    assert "20240101_a.sql:2, statement 2" in error.where
    assert 'relation "nowhere" does not exist' in error.why
    assert "INSERT INTO nowhere" in error.why
    assert "nothing of 20240101_a was kept" in error.why
    assert error.todo
    assert tables() == []
    assert [s.state for s in qb("status").migrations] == ["pending"]


def test_the_good_ones_before_a_failed_one_stay(qb, write, tables: Tables) -> None:
    write("20240101_a.sql", "CREATE TABLE a (id int)")
    write("20240102_b.sql", "SELECT 1/0")
    with pytest.raises(StepFailed):
        qb("run")
    assert tables() == ["a"]
    assert [s.state for s in qb("status").migrations] == ["applied", "pending"]


def test_a_concurrent_index_runs_between_two_transactions(qb, write, connection) -> None:
    write(
        "20240101_a.sql",
        "CREATE TABLE a (id int); CREATE INDEX CONCURRENTLY i ON a (id);"
        " ALTER TABLE a ADD COLUMN b int",
    )
    report = qb("run")
    assert [o.transaction for o in report.ran[0].seen] == [1, None, 3]
    assert connection.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = 'i'::regclass")


def test_a_migration_that_stopped_half_way_continues(qb, write, tables: Tables) -> None:
    first = "CREATE TABLE a (id int); INSERT INTO a VALUES (1), (1);"
    write("20240101_a.sql", first + " CREATE UNIQUE INDEX CONCURRENTLY i ON a (id)")
    with pytest.raises(StepFailed) as caught:
        qb("run")
    assert "2 of 3 statements are committed" in caught.value.why
    assert "dropped what was left invalid: public.i" in caught.value.why
    assert [s.state for s in qb("status").migrations] == ["partial"]
    write("20240101_a.sql", first + " CREATE INDEX CONCURRENTLY i ON a (id)")
    report = qb("run")
    assert [o.number for o in report.ran[0].seen] == [3]
    assert [s.state for s in qb("status").migrations] == ["applied"]


def test_a_committed_statement_of_a_half_applied_migration_cannot_change(qb, write) -> None:
    write("20240101_a.sql", "CREATE TABLE a (id int); VACUUM nowhere")
    with pytest.raises(StepFailed):
        qb("run")
    write("20240101_a.sql", "CREATE TABLE a (id bigint); VACUUM a")
    with pytest.raises(RefusedError, match="edited while it was half applied"):
        qb("run")


def test_an_edited_migration_is_refused_and_shown(qb, write) -> None:
    write("20240101_a.sql", "CREATE TABLE a (id int)")
    qb("run")
    write("20240101_a.sql", "-- only a comment\nCREATE TABLE a (id int);")
    assert qb("run").ran == ()
    write("20240101_a.sql", "CREATE TABLE a (id bigint)")
    status = qb("status")
    assert [s.state for s in status.migrations] == ["edited"]
    assert status.exit_code == 1
    with pytest.raises(RefusedError, match="edited after it was applied") as caught:
        qb("run")
    assert caught.value.exit_code == 4


def test_a_missing_file_is_shown(qb, write, project: Project) -> None:
    write("20240101_a.sql", "CREATE TABLE a (id int)")
    qb("run")
    (project.migrations / "20240101_a.sql").unlink()
    assert [s.state for s in qb("status").migrations] == ["missing"]


def test_a_new_enum_value_may_be_used_as_without_qb(qb, write, connection: Connection) -> None:
    write(
        "20240101_mood.sql",
        "CREATE TYPE mood AS ENUM ('sad'); ALTER TYPE mood ADD VALUE 'ok';"
        " CREATE TABLE t (m mood DEFAULT 'ok'); INSERT INTO t DEFAULT VALUES",
    )
    if connection.info.server_version < 170000:  # as without qb: refused, even with its type
        with pytest.raises(StepFailed, match="unsafe use of new value"):
            qb("run")
        return
    qb("run")
    assert connection.execute("SELECT m::text FROM t").fetchone() == ("ok",)


def test_settings_do_not_leak_into_the_next_migration(qb, write, tables: Tables) -> None:
    write("20240101_a.sql", "CREATE SCHEMA other; SET search_path = other; CREATE TABLE a ()")
    write("20240102_b.sql", "CREATE TABLE b ()")
    qb("run")
    assert tables() == ["b"]


def test_deferred_constraints_are_checked_while_it_is_known_whose_they_are(qb, write) -> None:
    write(
        "20240101_a.sql",
        "CREATE TABLE p (id int PRIMARY KEY);"
        " CREATE TABLE c (p int REFERENCES p DEFERRABLE INITIALLY DEFERRED);"
        " INSERT INTO c VALUES (7)",
    )
    with pytest.raises(StepFailed, match="deferred constraints") as caught:
        qb("run")
    assert "violates foreign key" in caught.value.why
    assert "nothing of 20240101_a was kept" in caught.value.why


def test_a_lock_wait_is_retried_until_the_other_lets_go(
    session: Session, write, project: Project, database, connection: Connection
) -> None:
    connection.execute("CREATE TABLE a (id int)")
    write("20240101_a.sql", "ALTER TABLE a ADD COLUMN b int")
    config = project.file.read_text()
    project.file.write_text(config + '\n[timeouts]\nlock = "500ms"\nlock_deadline = "60s"\n')
    said: list[str] = []
    waited = threading.Event()

    def say(text: str) -> None:
        said.append(text)
        waited.set()

    session.face.say = say  # type: ignore[method-assign]
    with psycopg.connect(database.conninfo, application_name="long reader") as blocker:
        blocker.execute("SELECT * FROM a")
        thread = threading.Thread(target=lambda: (waited.wait(30), blocker.rollback()), daemon=True)
        thread.start()
        session.project = Project(project.root)
        report: Any = invoke(session, ["run"])
        thread.join()
    assert report.ran[0].seen[0].attempts > 1
    assert "long reader" in said[0]
    assert "rolled back, trying again" in said[0]


def test_the_wait_for_a_lock_has_a_deadline_that_names_the_holder(
    session: Session, write, project: Project, database, connection: Connection
) -> None:
    connection.execute("CREATE TABLE a (id int)")
    write("20240101_a.sql", "ALTER TABLE a ADD COLUMN b int")
    config = project.file.read_text()
    project.file.write_text(config + '\n[timeouts]\nlock = "500ms"\nlock_deadline = "600ms"\n')
    session.project = Project(project.root)
    with psycopg.connect(database.conninfo, application_name="long reader") as blocker:
        blocker.execute("SELECT * FROM a")
        with pytest.raises(StepFailed, match="no lock for statement 1") as caught:
            invoke(session, ["run"])
    assert "long reader" in caught.value.todo
    assert "nothing of 20240101_a was kept" in caught.value.why


def test_unmet_constraints_stop_before_anything_runs(qb, write, tables: Tables) -> None:
    write(
        "20240101_a.sql",
        "-- qb:constraints\n-- users: {must_exist: true}\n-- qb:up\nCREATE TABLE a ()",
    )
    report = qb("run")
    assert report.exit_code == 1
    assert report.ran[0].status == "not met"
    assert tables() == []
    assert not qb("verify").ok


def test_a_rollback_undoes_the_last_one(qb, write, tables: Tables) -> None:
    write("20240101_a.sql", "-- qb:up\nCREATE TABLE a ();\n-- qb:down\nDROP TABLE a")
    write("20240102_b.sql", "-- qb:up\nCREATE TABLE b ();\n-- qb:down\nDROP TABLE b")
    qb("run")
    assert qb("rollback").ran.migration == "20240102_b"
    assert tables() == ["a"]
    assert [s.state for s in qb("status").migrations] == ["applied", "pending"]
    assert [r.migration for r in qb("run").ran] == ["20240102_b"]
    assert tables() == ["a", "b"]


def test_an_irreversible_migration_says_why(qb, write) -> None:
    write(
        "20240101_a.sql",
        "-- qb:irreversible because the rows are gone\n-- qb:up\nCREATE TABLE a ()",
    )
    qb("run")
    with pytest.raises(RefusedError) as caught:
        qb("rollback")
    assert "because the rows are gone" in caught.value.why


def test_there_is_nothing_to_roll_back_on_an_empty_database(qb) -> None:
    with pytest.raises(InputError, match="nothing is applied"):
        qb("rollback")


def test_a_broken_file_stops_a_run_before_it_starts(qb, write, tables: Tables) -> None:
    write("20240101_a.sql", "CREATE TABLE a ()")
    write("20240102_b.sql", "SELCT")
    with pytest.raises(InputError, match="syntax error"):
        qb("run")
    assert tables() == []


def test_production_needs_its_alias_typed_back(
    session: Session, write, project: Project, tables: Tables
) -> None:
    text = project.file.read_text()
    url = text.split('test = "')[1].split('"')[0]
    project.file.write_text(
        text.split("[aliases]")[0].replace('"test"', '"prod"')
        + f'[aliases]\nprod = {{ url = "{url}", production = true }}\n'
    )
    session.project = Project(project.root)
    write("20240101_a.sql", "CREATE TABLE a ()")
    with pytest.raises(RefusedError) as caught:
        invoke(session, ["run"])
    assert caught.value.exit_code == 4
    assert "--confirm prod" in caught.value.todo
    with pytest.raises(RefusedError, match="production"):
        invoke(session, ["dryrun"])
    assert invoke(session, ["dryrun", "--here"]).ok  # type: ignore[union-attr]
    assert tables() == []
    assert invoke(session, ["rehearse"]).ok  # type: ignore[union-attr]
    assert invoke(session, ["run", "--confirm", "prod"]).ok  # type: ignore[union-attr]
    assert tables() == ["a"]


def test_a_reader_without_privileges_is_told_what_to_grant(
    session: Session, write, project: Project, connection: Connection
) -> None:
    role = f"reader_{connection.info.dbname}"
    connection.execute(f"CREATE ROLE {role} LOGIN")
    try:
        write("20240101_a.sql", "CREATE TABLE a ()")
        text = project.file.read_text().replace("user=postgres", f"user={role}", 2)
        lines = [line for line in text.splitlines() if not line.startswith("shadow")]
        shadow = next(x for x in project.file.read_text().splitlines() if x.startswith("shadow"))
        project.file.write_text("\n".join([lines[0], shadow, *lines[1:]]))
        session.project = Project(project.root)
        with pytest.raises(Exception, match="cannot make its ledger") as caught:
            invoke(session, ["run"])
        assert f"GRANT CREATE ON DATABASE {connection.info.dbname} TO {role}" in str(caught.value)
        assert invoke(session, ["plan"]).ok  # type: ignore[union-attr]
    finally:
        connection.execute(f"DROP ROLE {role}")


def test_a_scan_is_the_migrations_that_made_it_and_not_the_next_ones(
    qb, write, connection: Connection
) -> None:
    """The server counts scans by session, and tells them to all only once a second."""
    connection.execute("CREATE TABLE users (email text)")
    connection.execute("INSERT INTO users VALUES ('a'), ('b')")
    write("20240101_a.sql", "ALTER TABLE users ALTER email SET NOT NULL")
    write("20240102_b.sql", "COMMENT ON TABLE users IS 'people'; DELETE FROM users")
    first, second = qb("run").ran
    assert [scan.rows for scan in first.seen[0].scans] == [2]
    assert [len(o.scans) for o in second.seen] == [0, 1]
