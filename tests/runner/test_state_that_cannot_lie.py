"""after a crash, a lost answer or a mended file, the ledger says what is, and both ways go on"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from qb_engine import ledger
from qb_engine.commands import Session, invoke
from qb_engine.database import Target
from qb_engine.errors import RefusedError
from qb_engine.execution import Observation, StepFailed
from qb_engine.project import Project
from qb_engine.runner.lock import WORKING, only_runner

Connection = psycopg.Connection[tuple[Any, ...]]
QB = [sys.executable, "-m", "qb_engine.commands"]
BACKFILL = (
    "from qb_engine import Backfill\n"
    "class Fill(Backfill):\n    table = 'a'\n    set = {'b': \"'x'\"}\n    where = 'b IS NULL'\n"
)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.01)  # between two looks at a condition


def one(connection: Connection, query: str) -> Any:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def test_a_commit_whose_answer_was_lost_stays_a_commit(qb, write, connection: Connection) -> None:
    write("20240101_a.sql", "CREATE TABLE a (id int)")
    qb("run")
    (run,) = ledger.history(connection)
    step = Observation(1, "CREATE TABLE a (id int)", "", "m", 1, error="connection lost")
    ledger.record_steps(connection, run.run, [step], "failed")
    ledger.finish(connection, run.run, "failed", "connection lost")
    assert ledger.status_of(connection, run.run) == "applied"
    assert [s.status for s in ledger.steps(connection, run.run)] == ["done"]


@pytest.mark.crash
def test_a_first_concurrent_build_that_was_killed_is_seen_and_finished(
    qb, write, project: Project, database: Target, connection: Connection
) -> None:
    connection.execute("CREATE TABLE a (id int); INSERT INTO a SELECT generate_series(1, 100)")
    write("20240101_a.sql", "CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON a (id)")
    with psycopg.connect(database.conninfo) as blocker:
        blocker.execute("UPDATE a SET id = id")
        process = subprocess.Popen([*QB, "run"], cwd=project.root, stderr=subprocess.DEVNULL)
        here = (
            "FROM pg_stat_progress_create_index WHERE datname = current_database()"
            " AND command = 'CREATE INDEX CONCURRENTLY'"
        )
        building = f"SELECT count(*) {here}"
        wait_for(lambda: one(connection, building) == 1)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        connection.execute(f"SELECT pg_terminate_backend(pid) {here}")
        wait_for(lambda: one(connection, building) == 0)
        (state,) = qb("status").migrations
        assert state.state == "partial"
        assert "cut off" in state.note
    assert qb("run").ok
    assert one(connection, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'i'::regclass")
    assert qb("validate").ok


def test_a_statement_whose_end_is_unknown_is_asked_about(qb, write, connection) -> None:
    write("20240101_a.py", (
        "from qb_engine import Migration\n"
        "class M(Migration):\n    transaction = False\n    up = 'DO $$ BEGIN END $$'\n"
    ))  # fmt: skip
    with pytest.raises(Exception, match="no migration"):
        qb("validate")
    qb("run")
    connection.execute("UPDATE qb.step SET status = 'running'")
    connection.execute("UPDATE qb.history SET status = 'running'")
    with pytest.raises(RefusedError, match="nobody knows whether it finished") as caught:
        qb("run")
    assert "--cut-off" in caught.value.todo
    assert qb("run", "--cut-off", "skip").ran[0].status == "applied"
    assert [s.state for s in qb("status").migrations] == ["applied"]


def test_a_half_applied_part_is_not_rolled_back_blindly(qb, write, connection) -> None:
    connection.execute("CREATE TABLE a (id int, email text)")
    write(
        "20240101_a.sql",
        "-- qb:up\nCREATE INDEX CONCURRENTLY i ON a (id); ALTER TABLE a ADD COLUMN email text;\n"
        "-- qb:down\nALTER TABLE a DROP COLUMN email; DROP INDEX i",
    )
    with pytest.raises(StepFailed):
        qb("run")
    with pytest.raises(RefusedError, match="half applied"):
        qb("rollback", "a")
    assert one(connection, "SELECT count(*) FROM pg_attribute WHERE attname = 'email'") == 1


def test_an_expanded_migration_is_rolled_back_without_what_waited(qb, write, connection) -> None:
    connection.execute("CREATE TABLE a (id int PRIMARY KEY, old int)")
    folder = "20240101000000_fill"
    write(f"{folder}/migration.sql", "-- qb:up\nALTER TABLE a ADD b text;\n"
          "-- qb:down\nALTER TABLE a DROP b")  # fmt: skip
    write(f"{folder}/post.sql", "-- qb:irreversible the rows are gone\n-- qb:up\n"
          "ALTER TABLE a DROP old")  # fmt: skip
    write(f"{folder}/backfill.py", BACKFILL)
    qb("run")
    assert qb("rollback").ran.status == "rolled back"
    assert one(connection, "SELECT count(*) FROM pg_attribute WHERE attname = 'old'") == 1
    assert [s.state for s in qb("status").migrations] == ["pending"]


def test_a_way_back_that_stopped_goes_on_with_rollback(qb, write, tables) -> None:
    down = "-- qb:up\nCREATE TABLE one (); CREATE TABLE two ();\n-- qb:down\nDROP TABLE two; VACUUM"
    write("20240101_a.sql", f"{down} nowhere; DROP TABLE one")
    qb("run")
    with pytest.raises(StepFailed) as caught:
        qb("rollback")
    assert "qb rollback continues" in caught.value.why
    (state,) = qb("status").migrations
    assert state.state == "partial"
    with pytest.raises(RefusedError, match="half rolled back"):
        qb("run")
    assert qb("validate").ok
    write("20240101_a.sql", f"{down}; DROP TABLE one")
    assert [o.number for o in qb("rollback").ran.seen] == [2, 3]
    assert tables() == []
    assert [s.state for s in qb("status").migrations] == ["pending"]


def test_a_mended_statement_is_recorded_as_it_ran(qb, write, connection) -> None:
    write("20240101_a.sql", "VACUUM; CREATE TABLE b (x nosuch)")
    with pytest.raises(StepFailed):
        qb("run")
    write("20240101_a.sql", "VACUUM; CREATE TABLE b (x int)")
    qb("run")
    (run,) = ledger.history(connection)
    assert [s.sql for s in ledger.steps(connection, run.run)][1] == "CREATE TABLE b (x int)"


def test_settings_of_finished_statements_hold_when_going_on(qb, write, connection) -> None:
    connection.execute("CREATE SCHEMA app; CREATE TABLE t (id int); CREATE TABLE app.t (id int)")
    start = "SET search_path = app; ALTER TABLE t ADD a int; "
    write("20240101_a.sql", f"{start} VACUUM nowhere; ALTER TABLE t ADD b int")
    with pytest.raises(StepFailed):
        qb("run")
    write("20240101_a.sql", f"{start} VACUUM t; ALTER TABLE t ADD b int")
    qb("run")
    columns = "SELECT count(*) FROM pg_attribute WHERE attrelid = 'app.t'::regclass AND attnum > 0"
    assert one(connection, columns) == 3


def test_a_role_holds_until_the_end_of_the_migration(qb, write, connection: Connection) -> None:
    role = f"owner_{connection.info.dbname}"
    connection.execute(f"CREATE ROLE {role}; GRANT ALL ON SCHEMA public TO {role}")
    write("20240101_a.sql", f"SET ROLE {role}; CREATE TABLE t (); VACUUM t; CREATE TABLE u ()")
    qb("run")
    owners = "SELECT count(DISTINCT tableowner) FROM pg_tables WHERE tablename IN ('t', 'u')"
    assert one(connection, owners) == 1
    assert one(connection, "SELECT tableowner::text FROM pg_tables WHERE tablename = 'u'") == role
    connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_what_only_the_server_refuses_in_a_transaction_runs_alone(qb, write, connection) -> None:
    connection.execute("CREATE TABLE p (id int) PARTITION BY RANGE (id)")
    connection.execute("CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (9)")
    connection.execute("CREATE INDEX ON p (id)")
    write("20240101_a.sql", "CREATE TABLE x (); REINDEX TABLE p; CREATE TABLE y ()")
    assert qb("plan").ok
    report = qb("run")
    assert [o.transaction is None for o in report.ran[0].seen] == [False, True, False] or (
        len(report.ran[0].seen) == 3
    )
    assert [s.state for s in qb("status").migrations] == ["applied"]


def test_a_folder_with_only_a_backfill_waits_for_it(qb, write, connection: Connection) -> None:
    connection.execute("CREATE TABLE a (id int PRIMARY KEY, b text)")
    write("20240101000000_fill/backfill.py", BACKFILL)
    write("20240102000000_next.sql", "ALTER TABLE a ALTER b SET NOT NULL")
    assert [r.status for r in qb("run").ran] == ["expanded"]
    assert [s.state for s in qb("status").migrations] == ["expanded", "pending"]


def test_the_plan_of_a_half_applied_one_starts_where_it_stands(qb, write) -> None:
    write("20240101_a.sql", "CREATE TABLE a (); VACUUM nowhere; CREATE TABLE b ()")
    with pytest.raises(StepFailed):
        qb("run")
    write("20240101_a.sql", "CREATE TABLE a (); VACUUM a; CREATE TABLE b ()")
    report = qb("plan")
    assert report.ok
    assert [o.number for o in report.planned[0].seen] == [2, 3]
    assert qb("dryrun").ok


def test_the_isolation_level_may_be_chosen(qb, write, connection) -> None:
    write(
        "20240101_a.sql",
        "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; CREATE TABLE a AS"
        " SELECT current_setting('transaction_isolation') AS level",
    )
    qb("run")
    assert one(connection, "SELECT level FROM a") == "serializable"


def test_a_lock_is_waited_for_outside_transactions_too(
    session: Session, write, project: Project, database: Target, connection: Connection
) -> None:
    connection.execute("CREATE TABLE a (id int)")
    write("20240101_a.sql", "VACUUM FULL a")
    project.file.write_text(project.file.read_text() + '\n[timeouts]\nlock = "100ms"\n')
    session.project = Project(project.root)
    waited = threading.Event()
    session.face.say = lambda text: waited.set()  # type: ignore[method-assign]
    with psycopg.connect(database.conninfo) as blocker:
        blocker.execute("SELECT * FROM a")
        thread = threading.Thread(target=lambda: (waited.wait(30), blocker.rollback()))
        thread.start()
        report: Any = invoke(session, ["run"])
        thread.join()
    assert report.ran[0].seen[0].attempts > 1


def test_the_next_runner_waits_for_what_a_killed_one_left_at_work(database: Target) -> None:
    with (
        psycopg.connect(database.conninfo, autocommit=True, application_name="orphan") as orphan,
        psycopg.connect(database.conninfo, autocommit=True) as conn,
    ):
        orphan.execute("SELECT pg_advisory_lock_shared(%s)", [WORKING])
        with pytest.raises(RefusedError) as caught, only_runner(conn, 0.2, print):
            pass
        assert "orphan" in caught.value.why
        orphan.execute("SELECT pg_advisory_unlock_all()")
        with only_runner(conn, 5, print):
            assert one(orphan, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") >= 1


def test_a_password_in_a_statement_is_not_kept(qb, write, connection: Connection) -> None:
    role = f"login_{connection.info.dbname}"
    write("20240101_a.sql", f"CREATE ROLE {role} PASSWORD 'canary-99'; DROP ROLE {role}")
    text = str(qb("plan")) + str(qb("run"))
    kept = str(connection.execute("SELECT sql FROM qb.step").fetchall())
    assert "canary-99" not in text + kept
    assert "DROP ROLE" in kept


def test_an_edited_way_back_is_not_run_unasked(qb, write, connection: Connection) -> None:
    connection.execute("CREATE TABLE t (n int)")
    up = "-- qb:up\nALTER TABLE t ADD e int;\n-- qb:down\nALTER TABLE t DROP "
    write("20240101_a.sql", f"{up} e")
    qb("run")
    write("20240101_a.sql", f"{up} n")
    with pytest.raises(RefusedError, match="way back of 20240101_a was edited") as caught:
        qb("rollback")
    assert "--edited" in caught.value.todo
    assert one(connection, "SELECT count(*) FROM pg_attribute WHERE attname = 'n'") >= 1
    assert qb("rollback", "--edited").ok


def test_what_later_ones_may_stand_on_is_not_rolled_back_unasked(qb, write) -> None:
    write("20240101_a.sql", "-- qb:up\nCREATE TABLE a (x int);\n-- qb:down\nDROP TABLE a")
    write("20240102_b.sql", "-- qb:up\nCREATE INDEX i ON a (x);\n-- qb:down\nDROP INDEX i")
    qb("run")
    with pytest.raises(RefusedError, match="20240102_b was applied after"):
        qb("rollback", "20240101_a")
    assert qb("rollback").ran.migration == "20240102_b"
    assert qb("rollback").ran.migration == "20240101_a"


def test_what_ran_between_expand_and_post_is_replayed_in_its_place(
    qb, write, connection: Connection
) -> None:
    connection.execute("CREATE TABLE a (id int PRIMARY KEY, s text)")
    folder = "20240101000000_slow"
    write(f"{folder}/migration.sql", "ALTER TABLE a ADD b text")
    write(f"{folder}/backfill.py", BACKFILL)
    write(f"{folder}/post.sql", "ALTER TABLE a RENAME s TO s2")
    qb("run")
    write("20240102000000_other.sql", "CREATE INDEX ON a (s)")
    qb("run", "20240102000000_other")
    connection.execute(
        "INSERT INTO qb.backfill (id, checksum, schema_name, table_name, key_columns, key_types,"
        " set_columns, set_types, set_sql, batch_size, batch_limit, parallel, state) VALUES"
        " ('20240101000000_slow', '', 'public', 'a', '{id}', '{integer}', '{b}', '{text}', '{x}',"
        " 1, 1, 1, 'completed')"
    )
    assert [r.status for r in qb("run").ran] == ["contracted"]
    report = qb("validate")
    assert report.ok, report.validation


def test_a_run_without_anything_to_do_leaves_no_ledger(qb, connection: Connection, write) -> None:
    qb("run")
    write("20240101_a.sql", "-- qb:constraints\n-- nowhere: {must_exist: true}\n-- qb:up\nSELECT 1")
    assert not qb("run").ok
    assert one(connection, "SELECT to_regclass('qb.meta') IS NULL")


def test_a_plan_refuses_what_a_run_refuses(qb, write) -> None:
    write("20240101_a.sql", "CREATE TABLE a ()")
    qb("run")
    assert qb("dryrun").headline() == qb("verify").headline() == "nothing is pending on test"
    write("20240101_a.sql", "CREATE TABLE a (x int)")
    with pytest.raises(RefusedError, match="edited after it was applied"):
        qb("plan")


def test_a_file_that_is_gone_is_said_to_be(qb, write, project: Project) -> None:
    write("20240101_a.sql", "-- qb:up\nCREATE TABLE a ();\n-- qb:down\nDROP TABLE a")
    qb("run")
    (project.migrations / "20240101_a.sql").unlink()
    for command in ("rollback", "validate"):
        with pytest.raises(Exception, match="the file of 20240101_a is gone"):
            qb(command)


def test_a_failure_names_what_was_applied_before_it_and_history_why(qb, write) -> None:
    write("20240101_a.sql", "CREATE TABLE a ()")
    write("20240102_b.sql", "SELECT 1/0")
    with pytest.raises(StepFailed) as caught:
        qb("run")
    assert "applied before it, and kept: 20240101_a" in caught.value.why
    assert "division by zero" in qb("history").runs[0].error
