"""what a run that goes on asks again, and what it must not: rules, ways back, checksums, the end"""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from qb_engine.commands import Session, invoke
from qb_engine.commands._place import place_of
from qb_engine.constraints.rules import RuleBroken
from qb_engine.errors import InterruptedRun, QbError
from qb_engine.execution import StepFailed
from qb_engine.project import Project
from qb_engine.runner.crew import at_work
from qb_engine.runner.recording import Recording
from qb_engine.runner.run import run
from qb_engine.runner.status import status

Connection = psycopg.Connection[Any]


def test_a_late_choice_of_isolation_does_not_split_the_migration(
    qb: Any, write: Any, tables: Any
) -> None:
    """The server refuses it with the code of what must stand outside a transaction."""
    write(
        "20240101_a.sql",
        "CREATE TABLE a ();\nCREATE TABLE b ();\nSELECT 1;\n"
        "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE;\nCREATE TABLE c ();\n",
    )
    with pytest.raises(StepFailed) as failed:
        qb("run")
    assert "before any query" in failed.value.why
    assert "nothing of 20240101_a was kept" in failed.value.why
    assert tables() == []


def test_a_block_that_cannot_do_its_work_anywhere_does_not_split_the_migration(
    qb: Any, write: Any, tables: Any
) -> None:
    write(
        "20240101_a.sql",
        "CREATE TABLE a ();\nDO $$ BEGIN EXECUTE 'VACUUM a'; END $$;\nCREATE TABLE b ();\n",
    )
    with pytest.raises(StepFailed) as failed:
        qb("run")
    assert "nothing of 20240101_a was kept" in failed.value.why
    assert tables() == []


def test_what_had_to_hold_before_a_migration_is_not_asked_in_the_middle_of_it(
    qb: Any, write: Any, connection: Connection
) -> None:
    """Its own first half has changed what the rule speaks of."""
    connection.execute("CREATE TABLE users (id int); INSERT INTO users VALUES (1), (2)")
    text = (
        "-- qb:expect\n"
        "-- - {{sql: SELECT count(*) FROM users, equals: 2, when: before}}\n"
        "-- - row_count_change: {{table: users, equals: 1}}\n"
        "-- qb:up\nINSERT INTO users VALUES (3);\nVACUUM users;\nALTER TABLE {} ADD x int;\n"
    )
    write("20240101_a.sql", text.format("nowhere"))
    with pytest.raises(StepFailed):
        qb("run")
    write("20240101_a.sql", text.format("users"))
    assert qb("run").ok
    assert qb("status").migrations[0].state == "applied"


def test_a_rule_that_is_asked_outside_a_transaction_does_not_wait_for_ever(
    session: Session, project: Project, write: Any, database: Any
) -> None:
    write("20240101_a.sql", "CREATE TABLE users (id int);\nCREATE TABLE other ();\n")
    invoke(session, ["run"])
    project.file.write_text(project.file.read_text() + '\n[timeouts]\nlock_deadline = "500ms"\n')
    session.project = Project(project.root)
    write(
        "20240102_b.sql",
        "-- qb:expect [{sql: SELECT id FROM users, when: before}]\n-- qb:up\nVACUUM other;\n",
    )
    with psycopg.connect(database.conninfo) as holder:
        holder.execute("LOCK TABLE users")
        with pytest.raises(RuleBroken) as broken:
            invoke(session, ["run"])
    assert "lock timeout" in broken.value.why


def test_a_rollback_that_stopped_goes_on_with_the_parts_it_was_about(
    qb: Any, write: Any, tables: Any
) -> None:
    """Only the first of two files is applied: the way back is that of this file alone."""
    folder = "20240101_two"
    pre = "-- qb:up\nCREATE TABLE p ();\n-- qb:down\nSELECT 1;\nVACUUM p;\nDROP TABLE {};\n"
    write(f"{folder}/pre.sql", pre.format("nowhere"))
    write(
        f"{folder}/migration.sql",
        "-- qb:up\nCREATE TABLE m (id nowhere);\n-- qb:down\nDROP TABLE m;\n",
    )
    with pytest.raises(StepFailed):
        qb("run")
    assert tables() == ["p"]
    with pytest.raises(StepFailed):
        qb("rollback", "--edited")
    write(f"{folder}/pre.sql", pre.format("p"))
    assert [step.state for step in qb("repair").found.cases[0].steps][:2] == ["committed"] * 2
    assert qb("rollback").ok
    assert tables() == []
    assert qb("status").migrations[0].state == "pending"


def test_a_file_that_was_mended_half_way_is_the_one_that_was_applied(
    qb: Any, write: Any, tables: Any
) -> None:
    text = "-- qb:up\nCREATE TABLE a (id int);\nVACUUM a;\nCREATE TABLE b {};\n-- qb:down\n{};\n"
    write("20240101_a.sql", text.format("(id nowhere)", "DROP TABLE a"))
    with pytest.raises(StepFailed):
        qb("run")
    write("20240101_a.sql", text.format("()", "DROP TABLE b;\nDROP TABLE a"))
    assert qb("run").ok
    assert qb("rollback").ok  # its way back is the one that it was applied with
    assert tables() == []


def test_an_interruption_after_the_commit_does_not_deny_it(
    session: Session, write: Any, tables: Any
) -> None:
    """Whoever presses Ctrl-C while the COMMIT is on its way hears what became of it."""
    write("20240101_a.sql", "CREATE TABLE a ();")
    here = place_of(session, session.migrations())
    (applied,) = run(here)
    with at_work(here) as crew:
        row = crew.control.execute("SELECT max(run) FROM qb.history").fetchone()
        assert row is not None
        migration = here.migrations.get(applied.migration)
        recording = Recording(crew, migration, row[0], "applied", (0, 1), all_or_none=True)
        with pytest.raises(InterruptedRun) as interrupted, recording.recorded():
            raise KeyboardInterrupt
        assert [s.state for s in status(crew.control, here.migrations)] == ["applied"]
    assert "nothing" not in interrupted.value.why
    assert "applied" in interrupted.value.why
    assert tables() == ["a"]


def test_a_broken_rule_leaves_no_run_behind(qb: Any, write: Any, connection: Connection) -> None:
    write("20240101_a.sql", "CREATE TABLE a ();")
    write("20240102_b.sql", "-- qb:expect\n-- - nonsense: 1\n-- qb:up\nCREATE TABLE b ();")
    with pytest.raises(QbError):
        qb("run", "--atomic", "all")
    row = connection.execute("SELECT to_regclass('qb.history')").fetchone()
    if row and row[0]:
        assert connection.execute("SELECT status FROM qb.history").fetchall() == []


def test_a_backfill_of_an_earlier_life_does_not_fill_a_column_that_is_new(
    qb: Any, write: Any, connection: Connection
) -> None:
    """Taken as undone by a person, it is undone with its backfill."""
    connection.execute("CREATE TABLE t (id int PRIMARY KEY)")
    folder = "20240101_fill"
    write(
        f"{folder}/migration.sql",
        "-- qb:up\nALTER TABLE t ADD x int;\n"
        "-- qb:down\nSELECT 1;\nVACUUM t;\nALTER TABLE nowhere DROP x;\n",
    )
    write(
        f"{folder}/backfill.py",
        "from qb_engine import Backfill\n\n\nclass Fill(Backfill):\n"
        '    table = "t"\n    set = {"x": "1"}\n    where = "x IS NULL"\n',
    )
    assert qb("run").ran[0].status == "expanded"
    connection.execute(
        "INSERT INTO qb.backfill (id, checksum, schema_name, table_name, key_columns, key_types,"
        " set_columns, set_types, set_sql, batch_size, batch_limit, parallel, state)"
        " VALUES (%s, '', 'public', 't', '{id}', '{int4}', '{x}', '{int4}', '{1}', 1, 1, 1,"
        " 'completed')",
        [folder],
    )
    with pytest.raises(StepFailed):
        qb("rollback")
    connection.execute("ALTER TABLE t DROP x")
    assert qb("repair", folder, "--accept", "--as", "undone", "--reason", "by hand")
    assert qb("run", "--atomic", "all").ran[0].status == "expanded"
    assert qb("status").migrations[0].state == "expanded"
