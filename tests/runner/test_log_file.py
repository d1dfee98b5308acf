"""a run tells what happens while it happens: --log-file, and spans where somebody listens"""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from qb_engine.commands import Session, invoke
from qb_engine.errors import InputError, QbError
from qb_engine.project import Project

SECRET = "s3cr3t-canary"


def told(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text("utf-8").splitlines()]


def test_a_run_is_told_from_its_start_to_its_end(qb, write, tmp_path: Path) -> None:
    write("20240101_a.sql", "CREATE TABLE a (id int);\nINSERT INTO a VALUES (1), (2)")
    write("20240102_b.sql", "ALTER TABLE a ADD COLUMN b text")
    log = tmp_path / "qb.jsonl"
    qb("run", "--log-file", str(log))
    found = told(log)
    assert [line["event"] for line in found] == [
        "run_started",
        "migration_started",
        *(["statement_started", "statement_ended"] * 2),
        "migration_ended",
        "migration_started",
        *(["statement_started", "statement_ended"] * 1),
        "migration_ended",
        "run_ended",
    ]
    assert len({line["id"] for line in found}) == 1
    insert = [line for line in found if line["event"] == "statement_ended"][1]
    assert insert["rows"] == 2
    assert insert["seconds"] >= 0
    added = [line for line in found if line["event"] == "statement_ended"][2]
    assert added["locks"] == {"public.a": "AccessExclusiveLock"}
    assert found[-1]["status"] == "done"


def test_a_failed_run_tells_its_error_with_the_code(qb, write, tmp_path: Path) -> None:
    write("20240101_a.sql", "CREATE TABLE a (id int)")
    write("20240102_b.sql", "ALTER TABLE a DROP COLUMN idd")
    log = tmp_path / "qb.jsonl"
    with pytest.raises(QbError) as raised:
        qb("run", "--log-file", str(log))
    error, ended = told(log)[-2:]
    assert (error["event"], error["code"]) == ("error", "does-not-exist")
    assert error["code"] == raised.value.code
    assert "nothing of 20240102_b was kept" in error["why"]
    assert (ended["event"], ended["status"]) == ("run_ended", "failed")


def test_no_secret_of_a_migration_is_told(qb, write, tmp_path: Path) -> None:
    write("20240101_a.sql", f"CREATE TABLE a (id int);\nCOMMENT ON TABLE a IS 'password={SECRET}'")
    log = tmp_path / "qb.jsonl"
    qb("run", "--log-file", str(log))
    assert SECRET not in log.read_text()


def test_nothing_runs_without_the_log_that_was_asked_for(qb, write, tables, tmp_path: Path) -> None:
    write("20240101_a.sql", "CREATE TABLE a (id int)")
    with pytest.raises(InputError) as raised:
        qb("run", "--log-file", str(tmp_path / "missing" / "qb.jsonl"))
    assert raised.value.code == "log-file"
    assert tables() == []


def test_a_failed_statement_offers_the_name_that_was_meant(qb, write) -> None:
    write("20240101_a.sql", "CREATE TABLE users (email text)")
    qb("run")
    write("20240102_b.sql", "ALTER TABLE users\n  DROP COLUMN emial")
    with pytest.raises(QbError) as raised:
        qb("run", "--no-verify")
    assert raised.value.todo.startswith("did you mean email? mend it")


def test_a_lock_that_is_waited_for_is_told_with_the_next_try(
    session: Session, write, database, connection, project: Project, tmp_path: Path
) -> None:
    connection.execute("CREATE TABLE users ()")
    write("20240101_a.sql", "ALTER TABLE users ADD COLUMN email text")
    project.file.write_text(project.file.read_text() + '\n[timeouts]\nlock = "50ms"\n')
    session.project = Project(project.root)
    log = tmp_path / "qb.jsonl"
    with psycopg.connect(database.conninfo) as holder:
        holder.execute("LOCK TABLE users IN ACCESS SHARE MODE")

        def let_go() -> None:
            deadline = time.monotonic() + 60
            while '"retry"' not in (log.read_text() if log.exists() else ""):
                assert time.monotonic() < deadline, "nothing was tried again"
                time.sleep(0.01)  # between two looks at a condition
            holder.rollback()

        waiter = threading.Thread(target=let_go)
        waiter.start()
        invoke(session, ["run", "--log-file", str(log)])
        waiter.join()
    found = [line for line in told(log) if line["event"] in ("lock_waiting", "retry")]
    waiting, again = found[:2]
    assert waiting["number"] == again["number"] == 1
    assert again["attempt"] == 1
    assert again["pause"] > 0
    assert "waited 0.05 s for a lock" in again["reason"]
