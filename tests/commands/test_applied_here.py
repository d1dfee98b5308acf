"""a migration that is applied and named gets one answer of plan, verify and dryrun"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qb_engine.commands import Session, invoke
from qb_engine.errors import RefusedError
from qb_engine.ledger.typeorm import History, ddl
from qb_engine.typeorm.traps.trap import file_of, written

ASKING = ("plan", "verify", "dryrun")
WORDS = {"plan": "plan", "verify": "verify", "dryrun": "dry-run"}
FOLDER = "20240101000000_fill"
FILL = """
from qb_engine import Backfill
class Fill(Backfill):
    table = 'a'
    set = {'b': "'x'"}
"""


@pytest.fixture
def mail(write: Any, connection: Any) -> str:
    """A migration with a constraint that does not hold once it has run."""
    connection.execute("CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1)")
    write(
        "20240101_mail.py",
        "from qb_engine import Migration\n"
        "class Mail(Migration):\n"
        "    constraints = {'a': {'columns': {'mail': {'must_exist': False}}}}\n"
        "    up = 'ALTER TABLE a ADD mail text'\n"
        "    down = 'ALTER TABLE a DROP mail'\n",
    )
    return "20240101_mail"


@pytest.fixture
def filled(write: Callable[[str, str], None], connection: Any) -> Callable[[str], str]:
    """A folder with a backfill, run up to that; with what comes after it, if there is any."""

    def made(post: str) -> str:
        connection.execute("CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1)")
        write(f"{FOLDER}/migration.sql", "ALTER TABLE a ADD b text")
        write(f"{FOLDER}/backfill.py", FILL)
        if post:
            write(f"{FOLDER}/post.sql", post)
        return FOLDER

    return made


@pytest.mark.parametrize("verb", ASKING)
def test_what_is_applied_is_said_to_be_and_what_to_ask(qb: Any, mail: str, verb: str) -> None:
    """No FAIL whose advice would be to drop the column, no tick for a run of nothing."""
    assert qb(verb, "mail").ok
    assert qb("run").ok
    report = qb(verb, "mail")
    text = str(report)
    assert report.exit_code == 0
    assert report.headline().startswith(f"{mail} is applied on test already, since 20")
    assert report.headline().endswith(f": there is nothing to {WORDS[verb]}")
    assert "qb validate" in text
    assert f"qb status {mail}" in text
    for wrong in ("exists", "bring the target", "ran on"):
        assert wrong not in text
    facts = json.loads(report.to_json())
    assert (facts["report"], facts["migration"], facts["state"]) == ("applied", mail, "applied")


@pytest.mark.parametrize("verb", ASKING)
def test_its_path_says_the_same_and_a_rollback_ends_it(
    qb: Any, mail: str, project: Any, verb: str
) -> None:
    qb("run")
    path = str(project.migrations / f"{mail}.py")
    assert "already" in qb(verb, path).headline()
    qb("rollback", "mail")
    assert "already" not in qb(verb, path).headline()
    assert qb(verb, "mail").ok


@pytest.mark.parametrize("verb", ASKING)
def test_an_idea_of_the_same_name_elsewhere_is_looked_at(
    qb: Any, mail: str, tmp_path: Path, verb: str
) -> None:
    qb("run")
    file = tmp_path / f"{mail}.sql"
    file.write_text("ALTER TABLE a ADD other int")
    assert "already" not in qb(verb, str(file)).headline()


@pytest.mark.parametrize("verb", ASKING)
def test_one_that_was_edited_since_is_refused_as_a_run_refuses_it(
    qb: Any, mail: str, write: Any, project: Any, verb: str
) -> None:
    qb("run")
    path = project.migrations / f"{mail}.py"
    path.write_text(path.read_text().replace("mail text", "mail varchar"))
    with pytest.raises(RefusedError, match="was edited after it was applied"):
        qb(verb, "mail")


def test_what_comes_after_its_backfill_is_still_planned(qb: Any, filled: Any) -> None:
    """The part that ran would fail with "column already exists"."""
    folder = filled("ALTER TABLE a ALTER b SET DEFAULT 'y'")
    assert qb("run").ran[0].status == "expanded"
    planned = qb("plan", folder)
    assert planned.ok
    assert [o.sql for o in planned.planned[0].seen] == ["ALTER TABLE a ALTER b SET DEFAULT 'y'"]
    assert [o.skipped for o in qb("dryrun", folder).dry.seen] == ["applied already", ""]
    assert qb("verify", folder).ok


@pytest.mark.parametrize("verb", ASKING)
def test_with_nothing_but_its_backfill_left_that_is_said(qb: Any, filled: Any, verb: str) -> None:
    folder = filled("")
    assert qb("run").ran[0].status == "expanded"
    text = str(qb(verb, folder))
    assert f"{folder} is applied on test already up to its backfill" in text
    assert "waits for its backfill" in text
    assert f"qb status {folder}" in text


def test_the_rest_of_one_that_stopped_is_planned_and_not_held_to_its_constraints(
    qb: Any, write: Any, connection: Any
) -> None:
    connection.execute("CREATE TABLE a (id int)")
    write(
        "20240101_mail.py",
        "from qb_engine import Migration\n"
        "class Mail(Migration):\n"
        "    transaction = False\n"
        "    constraints = {'a': {'columns': {'mail': {'must_exist': False}}}}\n"
        "    up = ['ALTER TABLE a ADD mail text', 'ALTER TABLE nowhere ADD b int']\n"
        "    down = 'ALTER TABLE a DROP mail'\n",
    )
    with pytest.raises(Exception, match="nowhere"):
        qb("run")
    assert qb("status").migrations[0].state == "partial"
    connection.execute("CREATE TABLE nowhere ()")
    assert len(qb("plan", "mail").planned[0].seen) == 1
    found = qb("verify", "mail")
    assert found.ok
    assert "some of it has run" in str(found)
    assert qb("dryrun", "mail").dry.failure is None


def test_no_plan_of_it_is_kept_and_that_is_said(qb: Any, mail: str, tmp_path: Path) -> None:
    qb("run")
    file = tmp_path / "plan.json"
    assert f"{file} was not written" in str(qb("plan", "mail", "--out", str(file)))
    assert not file.exists()


@pytest.mark.parametrize("verb", ASKING)
def test_what_typeorm_alone_has_applied_is_applied_here_too(
    project: Any, connection: Any, verb: str
) -> None:
    """The ledger knows nothing of it yet: TypeORM's own history does."""
    name = "AddNotes1710460800000"
    config = project.file.read_text(encoding="utf-8")
    project.file.write_text(f'format = "typeorm"\n{config}', encoding="utf-8")
    (project.migrations / file_of(name)).write_text(written(name), encoding="utf-8")
    connection.execute(ddl(History("public", "migrations")).encode())
    connection.execute(
        "CREATE TABLE notes (id int PRIMARY KEY);"
        f"INSERT INTO migrations (\"timestamp\", name) VALUES (1710460800000, '{name}')"
    )
    report = invoke(Session(root=project.root), [verb, "AddNotes"])
    assert report is not None
    assert "is applied on test already by TypeORM: there is nothing to" in report.headline()
    assert "qb typeorm adopt" in str(report)


@pytest.mark.parametrize("verb", ASKING)
def test_one_that_is_half_rolled_back_is_sent_to_its_rollback(
    qb: Any, write: Any, connection: Any, verb: str
) -> None:
    connection.execute("CREATE TABLE a (id int)")
    write(
        "20240101_mail.py",
        "from qb_engine import Migration\n"
        "class Mail(Migration):\n"
        "    transaction = False\n"
        "    up = 'ALTER TABLE a ADD mail text'\n"
        "    down = ['ALTER TABLE a DROP mail', 'DROP TABLE nowhere']\n",
    )
    qb("run")
    with pytest.raises(Exception, match="nowhere"):
        qb("rollback", "mail")
    with pytest.raises(RefusedError, match="half rolled back"):
        qb(verb, "mail")
