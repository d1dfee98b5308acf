"""`qb repair` shows what stopped half way, and goes on, goes back, or takes it as it is"""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from qb_engine import ledger
from qb_engine.commands import Session, invoke
from qb_engine.database import Target
from qb_engine.errors import InputError, RefusedError
from qb_engine.execution import StepFailed
from qb_engine.project import Project
from qb_engine.runner.lock import only_runner
from qb_engine.schema import diff, snapshot

Connection = psycopg.Connection[tuple[Any, ...]]

HALF = (
    "-- qb:up\n"
    "CREATE TABLE a (id int, v text);\n"
    "CREATE INDEX CONCURRENTLY a_id ON a (id);\n"
    "ALTER TABLE a ADD CONSTRAINT a_v CHECK (v <> '');\n"
    "VACUUM {where};\n"
    "ALTER TABLE old ADD COLUMN more int;\n"
    "-- qb:down\n"
    "ALTER TABLE old DROP COLUMN more;\n"
    "ALTER TABLE a DROP CONSTRAINT a_v;\n"
    "DROP INDEX CONCURRENTLY a_id;\n"
    "DROP TABLE a\n"
)


@pytest.fixture
def half(qb: Any, write: Any, connection: Connection) -> str:
    """A migration that stopped after three of its five statements; its id."""
    connection.execute("CREATE TABLE old (id int)")
    write("20240101_a.sql", HALF.format(where="nowhere"))
    with pytest.raises(StepFailed):
        qb("run")
    return "20240101_a"


def states(report: Any) -> list[str]:
    return [step.state for step in report.found.cases[0].steps]


def events(connection: Connection) -> list[str]:
    rows = connection.execute("SELECT what FROM qb.event ORDER BY id").fetchall()
    return [what for (what,) in rows]


def test_there_is_nothing_to_repair_where_nothing_ran(qb) -> None:
    report = qb("repair")
    assert report.ok
    assert "nothing to repair" in report.headline()
    with pytest.raises(InputError, match="no migration has stopped"):
        qb("repair", "--continue")


def test_alone_it_shows_and_changes_nothing(qb, half: str, connection: Connection) -> None:
    before = connection.execute("SELECT * FROM qb.history").fetchall()
    schema = snapshot(connection).fingerprint
    report = qb("repair")
    assert report.exit_code == 1
    assert states(report) == ["committed", "committed", "committed", "to run", "to run"]
    (tried,) = report.tried
    assert tried.differences == ()
    assert "index public.a.a_id" in tried.seen[2]
    assert "constraint public.a.a_v" in tried.seen[3]
    assert [s.split("(")[0] for s in tried.way.statements] == [
        "ALTER TABLE a DROP CONSTRAINT a_v",
        "DROP INDEX CONCURRENTLY a_id",
        "DROP TABLE a",
    ]
    assert "more" in tried.way.left_out[0]
    said = json.loads(report.to_json())
    assert said["migrations"][0]["statements"][0]["state"] == "committed"
    assert said["migrations"][0]["tried"]["way_back"]["source"] == "down"
    text = str(report)
    assert "--continue" in text
    assert "--undo" in text
    assert "--accept" in text
    assert connection.execute("SELECT * FROM qb.history").fetchall() == before
    assert snapshot(connection).fingerprint == schema


def test_what_the_catalog_has_otherwise_than_the_ledger_says_is_shown(
    qb, half: str, connection: Connection
) -> None:
    connection.execute("DROP INDEX a_id")
    (tried,) = qb("repair").tried
    assert "a_id is missing" in tried.differences[0]
    assert "a_id is missing" in tried.seen[2]


def test_it_goes_on_with_the_mended_file(qb, half: str, write, connection: Connection) -> None:
    write("20240101_a.sql", HALF.format(where="a"))
    report = qb("repair", "--continue")
    assert report.ok, report
    assert [o.number for o in report.done.ran.seen] == [4, 5]
    assert [s.state for s in qb("status").migrations] == ["applied"]
    assert events(connection) == ["repaired: it went on"]
    assert qb("repair").ok
    assert qb("validate").ok


def test_what_it_had_stopped_at_and_why_it_went_on_stays_in_the_ledger(
    qb, half: str, write
) -> None:
    write("20240101_a.sql", HALF.format(where="a"))
    qb("repair", "--continue", "--reason", "incident 7")
    (decision,) = qb("history", half).decisions
    assert decision.reason == "incident 7"
    assert 'relation "nowhere" does not exist' in decision.detail["stopped_at"]


def test_it_undoes_what_stands(qb, half: str, write, connection: Connection) -> None:
    report = qb("repair", "--undo")
    assert report.ok, report
    assert [s.state for s in qb("status").migrations] == ["pending"]
    assert not connection.execute("SELECT to_regclass('a')").fetchone()[0]
    assert events(connection) == ["undo begun", "repaired: it was undone"]
    write("20240101_a.sql", HALF.format(where="a"))
    assert qb("run").ran[0].status == "applied"
    assert qb("rollback").ok
    assert [s.state for s in qb("status").migrations] == ["pending"]


def test_without_a_written_way_back_one_is_derived(qb, write, connection: Connection) -> None:
    connection.execute("CREATE TABLE old (id int NOT NULL)")
    start = snapshot(connection)
    write(
        "20240101_a.sql",
        "ALTER TABLE old ADD COLUMN b int; ALTER TABLE old ALTER id DROP NOT NULL;"
        " CREATE INDEX CONCURRENTLY ON old (b); VACUUM nowhere",
    )
    with pytest.raises(StepFailed):
        qb("run")
    report = qb("repair", "--undo")
    assert report.tried[0].way.source == "derived"
    assert report.ok, report
    assert diff(start, snapshot(connection), ignore=("comment",)) == ()


def test_rows_that_nobody_can_take_back_are_not_left_in_silence(
    qb, write, connection: Connection
) -> None:
    connection.execute("CREATE TABLE old (id int)")
    write(
        "20240101_a.sql",
        "-- qb:up\nINSERT INTO old VALUES (1); VACUUM old; INSERT INTO old VALUES (2);"
        " VACUUM nowhere; INSERT INTO old VALUES (3);\n-- qb:down\nDELETE FROM old",
    )
    with pytest.raises(StepFailed):
        qb("run")
    with pytest.raises(RefusedError, match="cannot be undone") as caught:
        qb("repair", "--undo")
    assert "only 2 of the 3 statements" in caught.value.why
    assert connection.execute("SELECT count(*) FROM old").fetchone() == (2,)


@pytest.mark.parametrize("command", [("repair", "--continue"), ("rollback",)])
def test_a_way_back_that_is_cut_off_goes_on(
    qb, half: str, connection: Connection, command: tuple[str, ...]
) -> None:
    connection.execute("CREATE VIEW uses_it AS SELECT id FROM a")  # DROP TABLE fails
    with pytest.raises(StepFailed):
        qb("repair", "--undo")
    connection.execute("DROP VIEW uses_it")
    report = qb("repair")
    assert report.found.cases[0].undoing
    assert states(report) == ["committed", "committed", "to run"]
    assert qb(*command).ok
    assert [s.state for s in qb("status").migrations] == ["pending"]


def test_a_half_applied_one_is_accepted_for_a_reason(
    qb, half: str, write, connection: Connection
) -> None:
    with pytest.raises(RefusedError, match="without a reason"):
        qb("repair", "--accept")
    write("20240101_a.sql", HALF.format(where="a"))
    connection.execute("ALTER TABLE old ADD COLUMN more int")  # by hand
    report = qb("repair", "--accept", "--reason", "the rest was done by hand")
    assert report.ok, report
    assert [s.state for s in qb("status").migrations] == ["applied"]
    assert qb("history", half).decisions[0].reason == "the rest was done by hand"
    assert qb("run").ran == ()


def test_one_that_was_undone_by_hand_is_accepted_as_undone(
    qb, half: str, connection: Connection
) -> None:
    connection.execute("DROP TABLE a")
    report = qb("repair", "--accept", "--as", "undone", "--reason", "by hand")
    assert report.ok, report
    assert [s.state for s in qb("status").migrations] == ["pending"]


def test_what_an_acceptance_leaves_different_is_said(qb, half: str, write) -> None:
    write("20240101_a.sql", HALF.format(where="a"))
    report = qb("repair", "--accept", "--reason", "who needs it")
    assert not report.ok
    assert "more is missing" in report.done.wrong[0]


CALLED = """
from qb_engine import Migration
class M(Migration):
    transaction = False
    up = ["CREATE TABLE a (id int)", "DO $$ BEGIN EXECUTE 'CREATE TABLE b ()'; END $$"]
    down = ["DROP TABLE b", "DROP TABLE a"]
"""


@pytest.mark.parametrize("ran", [True, False])
def test_what_nobody_can_know_is_asked_before_it_is_undone(
    qb, write, connection: Connection, ran: bool
) -> None:
    write("20240101_a.py", CALLED)
    qb("run")
    connection.execute("UPDATE qb.history SET status = 'running'")
    connection.execute("UPDATE qb.step SET status = 'running' WHERE number = 2")
    if not ran:
        connection.execute("DROP TABLE b")
    report = qb("repair")
    assert states(report) == ["committed", "unknown"]
    assert "--cut-off redo" in str(report)
    with pytest.raises(RefusedError, match="cannot be undone"):
        qb("repair", "--undo")
    assert qb("repair", "--undo", "--cut-off", "skip" if ran else "redo").ok
    assert connection.execute("SELECT to_regclass('a'), to_regclass('b')").fetchone() == (
        None, None,
    )  # fmt: skip
    assert [s.state for s in qb("status").migrations] == ["pending"]


def test_a_migration_that_somebody_runs_right_now_has_not_stopped(
    qb, half: str, connection: Connection, database: Target
) -> None:
    connection.execute("UPDATE qb.history SET status = 'running'")
    with (
        psycopg.connect(database.conninfo, autocommit=True) as other,
        only_runner(other, 1, print),
    ):
        report = qb("repair")
        assert report.found.cases == ()
        assert "running now" in report.notes()[0]
    assert [case.id for case in qb("repair", "--no-scratch").found.cases] == [half]


def test_a_file_that_was_edited_since_is_said_and_not_run(qb, half: str, write) -> None:
    write("20240101_a.sql", HALF.format(where="a").replace("v text", "v varchar"))
    report = qb("repair", "--no-scratch")
    assert states(report)[0] == "edited"
    assert "was edited after it was committed" in report.found.cases[0].blocked
    with pytest.raises(RefusedError, match="edited while it was half applied") as caught:
        qb("repair", "--continue")
    assert "--accept" in caught.value.todo
    with pytest.raises(RefusedError, match="cannot be undone") as caught:
        qb("repair", "--undo")
    assert "statement 1: was edited" in caught.value.why


def test_a_file_that_is_gone_is_said_and_it_can_be_accepted(
    qb, half: str, project: Project
) -> None:
    (project.migrations / "20240101_a.sql").unlink()
    report = qb("repair")
    assert report.found.cases[0].file == "the file of 20240101_a is gone"
    assert states(report) == ["committed"] * 3
    for way in ("--continue", "--undo"):
        with pytest.raises(RefusedError, match="cannot") as caught:
            qb("repair", way)
        assert "is gone" in caught.value.why
    assert "restore the file" in caught.value.todo or "--accept" in caught.value.todo
    report = qb("repair", "--accept", "--reason", "its author left")
    assert report.done.ran.status == "applied"
    assert "not compared" in report.done.wrong[0]
    assert [s.state for s in qb("status").migrations] == ["missing"]


def test_a_half_rolled_back_one_goes_on_back(qb, write, connection: Connection) -> None:
    write(
        "20240101_a.sql",
        "-- qb:up\nCREATE TABLE a (id int); CREATE TABLE b (id int);\n"
        "-- qb:down\nDROP TABLE b; VACUUM; DROP TABLE a",
    )
    qb("run")
    connection.execute("CREATE VIEW uses_it AS SELECT id FROM a")
    with pytest.raises(StepFailed):
        qb("rollback")
    connection.execute("DROP VIEW uses_it")
    report = qb("repair")
    assert states(report) == ["committed", "committed", "to run"]
    assert qb("repair", "--continue").done.ran.status == "rolled back"
    assert [s.state for s in qb("status").migrations] == ["pending"]


def test_a_half_rolled_back_one_that_was_restored_counts_as_applied(
    qb, write, connection: Connection
) -> None:
    write(
        "20240101_a.sql",
        "-- qb:up\nCREATE TABLE a (id int); CREATE TABLE b (id int);\n"
        "-- qb:down\nDROP TABLE b; VACUUM; DROP TABLE nowhere",
    )
    qb("run")
    with pytest.raises(StepFailed):
        qb("rollback")
    connection.execute("CREATE TABLE b (id int)")
    report = qb("repair", "--accept", "--as", "applied", "--reason", "made it anew")
    assert report.ok, report
    assert [s.state for s in qb("status").migrations] == ["applied"]
    assert qb("repair").ok


def test_a_run_without_a_runner_that_kept_nothing_is_started_again(
    qb, write, connection: Connection
) -> None:
    write("20240101_a.sql", "CREATE TABLE a ()")
    qb("run")
    connection.execute("DROP TABLE a; DELETE FROM qb.step; DELETE FROM qb.part")
    connection.execute("UPDATE qb.history SET status = 'running'")
    report = qb("repair")
    assert [o.migration for o in report.found.orphans] == ["20240101_a"]
    assert qb("repair", "--continue").done.ran.status == "applied"
    assert [r.status for r in qb("history").runs] == ["applied", "stopped"]


def test_invalid_indexes_are_dropped_or_built_anew(qb, connection: Connection) -> None:
    connection.execute(
        "CREATE TABLE a (id int); CREATE INDEX i ON a (id); CREATE INDEX i_ccnew ON a (id);"
        " UPDATE pg_index SET indisvalid = false WHERE indrelid = 'a'::regclass"
    )
    report = qb("repair")
    assert [left.name for left in report.found.left] == ["public.i", "public.i_ccnew"]
    assert "DROP INDEX CONCURRENTLY public.i_ccnew" in str(report)
    assert qb("repair", "--leftovers").ok
    names = connection.execute(
        "SELECT c.relname::text, i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid ="
        " i.indexrelid WHERE i.indrelid = 'a'::regclass"
    ).fetchall()
    assert names == [("i", True)]


def test_production_needs_its_alias_typed_back(
    session: Session, half: str, project: Project
) -> None:
    text = project.file.read_text()
    url = text.split('test = "')[1].split('"')[0]
    project.file.write_text(
        text.split("[aliases]")[0].replace('"test"', '"prod"')
        + f'[aliases]\nprod = {{ url = "{url}", production = true }}\n'
    )
    session.project = Project(project.root)
    session.option = None
    session._resolved.clear()
    assert invoke(session, ["repair", "--no-scratch"]).exit_code == 1  # type: ignore[union-attr]
    with pytest.raises(RefusedError, match="production"):
        invoke(session, ["repair", "--accept", "--reason", "x"])


def test_it_asks_where_somebody_can_be_asked(
    session: Session, half: str, connection: Connection
) -> None:
    asked: list[str] = []
    shown: list[str] = []

    def answer(prompt: str) -> str:
        asked.append(prompt)
        return "no"

    session.face.interactive = True
    session.face.ask = answer  # type: ignore[method-assign]
    session.face.say = shown.append  # type: ignore[method-assign]
    with pytest.raises(Exception, match="nothing was repaired"):
        invoke(session, ["repair", "--undo"])
    assert asked
    assert "DROP TABLE a" in shown[0]
    assert ledger.standing(connection)[half].status == "partial"
