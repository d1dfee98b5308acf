"""the command line: one JSON object on stdout, exit codes that scripts rely on, no tracebacks"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from qb_engine.commands import Session, invoke
from qb_engine.database import Target
from qb_engine.errors import InputError
from qb_engine.project import Project

QB = [sys.executable, "-m", "qb_engine.commands"]


def qb(
    folder: Path, *args: str, stdin: str | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*QB, *args],
        cwd=folder,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
        check=False,
    )
    assert "--debug" in args or "Traceback" not in done.stderr
    return done


def answer(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The one JSON object on stdout."""
    found = json.loads(done.stdout)
    assert {"report", "ok"} <= set(found)
    return found  # type: ignore[no-any-return]


def test_the_whole_way_from_sql_to_validated(project: Project) -> None:
    root = project.root
    table = "CREATE TABLE users (id int PRIMARY KEY, name text NOT NULL)"
    assert qb(root, "generate", "users", "--sql", "-", "--json", stdin=table).returncode == 0
    assert answer(qb(root, "run", "--json"))["ok"]
    change = "ALTER TABLE users ADD email text"
    done = answer(qb(root, "generate", "mail", "--sql", "-", "--json", stdin=change))
    assert done["constraints"]["users"]["must_exist"] is True
    assert done["down"]
    assert answer(qb(root, "verify", "mail", "--json"))["ok"]
    steps = answer(qb(root, "plan", "mail", "--json"))["steps"]
    assert steps[0]["locks"] == {"public.users": "AccessExclusiveLock"}
    assert answer(qb(root, "dryrun", "--json"))["ok"]
    assert answer(qb(root, "run", "--json"))["migrations"][0]["status"] == "applied"
    assert answer(qb(root, "validate", "--json"))["ok"]
    assert answer(qb(root, "rollback", "--json"))["ok"]
    states = [m["state"] for m in answer(qb(root, "status", "--json"))["migrations"]]
    assert states == ["applied", "pending"]
    assert len(answer(qb(root, "history", "--json"))["runs"]) == 3


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["nosuch"], 2),
        (["plan", "--nosuch"], 2),
        (["plan", "nothing"], 2),
        (["-c", "nowhere", "status"], 2),
        (["status", "-c", "postgresql://u@127.0.0.1:1/d"], 3),
        (["rollback"], 2),
    ],
)
def test_exit_codes_and_errors_as_json(project: Project, args: list[str], code: int) -> None:
    done = qb(project.root, *args, "--json")
    assert done.returncode == code, done.stderr
    found = answer(done)
    assert not found["ok"]
    assert found["error"]["what"]
    assert found["error"]["next"]
    assert found["error"]["what"] in done.stderr


def test_a_wrong_password_is_said_and_not_shown(project: Project) -> None:
    url = "postgresql://u:canary77@127.0.0.1:1/d"
    done = qb(project.root, "status", "-c", url, "--debug")
    done2 = qb(project.root, "status", "--json", QB_DATABASE_URL=url)
    assert "canary77" not in done.stdout + done.stderr + done2.stdout + done2.stderr


def test_unmet_constraints_exit_with_1(project: Project) -> None:
    (project.migrations / "20240101_a.sql").write_text(
        "-- qb:constraints\n-- users: {must_exist: true}\n-- qb:up\nSELECT 1"
    )
    assert qb(project.root, "verify").returncode == 1
    assert qb(project.root, "run").returncode == 1


def test_init_makes_the_folder_that_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert qb(tmp_path, "init", "--project", "a").returncode == 0
    assert qb(tmp_path, "init", "b").returncode == 0
    made = sorted(str(file.relative_to(tmp_path)) for file in tmp_path.rglob("qb.toml"))
    assert made == ["a/qb.toml", "b/qb.toml"]


def test_help_needs_no_project_and_names_every_command(tmp_path: Path) -> None:
    text = qb(tmp_path, "--help").stdout
    for name in ("init", "connect", "draft", "generate", "plan", "dryrun", "run", "backfill"):
        assert f"\n  {name} " in text


def test_a_server_that_stopped_between_two_commands_is_started_again(tmp_path: Path) -> None:
    assert qb(tmp_path, "init").returncode == 0
    try:
        assert qb(tmp_path, "connect").returncode == 0
        assert qb(tmp_path, "dev", "down").returncode == 0
        assert qb(tmp_path, "status").returncode == 0
    finally:
        qb(tmp_path, "dev", "down", "--purge")


def test_a_target_that_stopped_is_said(project: Project, tmp_path: Path) -> None:
    done = qb(project.root, "run", "-c", f"postgresql:///d?host={tmp_path}&user=u")
    assert done.returncode == 3
    assert "start the server" in done.stderr


@pytest.mark.parametrize(
    "args",
    [
        ["-c", "", "status"],
        ["status", "-c", ""],
        ["run", ""],
        ["plan", ""],
        ["draft", ""],
        ["connect", ""],
        ["backfill", "start", ""],
        ["--project", "", "status"],
    ],
)
def test_an_empty_name_is_not_taken_for_the_default(project: Project, args: list[str]) -> None:
    with pytest.raises(InputError, match="is empty"):
        invoke(Session(root=project.root), args)


def test_a_project_folder_that_does_not_exist_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such project folder"):
        invoke(Session(root=tmp_path), ["status", "--project", str(tmp_path / "typo")])
    assert not list(tmp_path.iterdir())


def test_a_url_that_stands_in_a_wrong_place_is_not_repeated(project: Project) -> None:
    with pytest.raises(InputError) as caught:
        invoke(Session(root=project.root), ["status", "u:canary77@h/d"])
    assert "canary77" not in str(caught.value)


@pytest.mark.parametrize("args", [["status", "--json"], ["status"], ["plan", "none", "--json"]])
def test_a_reader_that_leaves_early_sees_no_traceback(project: Project, args: list[str]) -> None:
    reads, writes = os.pipe()
    os.close(reads)
    try:
        done = subprocess.run(
            [*QB, *args], cwd=project.root, stdout=writes, stderr=subprocess.PIPE, text=True,
            timeout=120, check=False,
        )  # fmt: skip
    finally:
        os.close(writes)
    assert done.returncode == (2 if "none" in args else 0)
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_sigterm_cancels_the_statement_and_the_run_is_recorded(
    project: Project, connection: psycopg.Connection[Any]
) -> None:
    (project.migrations / "20240101_a.sql").write_text("-- qb:up\nSELECT pg_sleep(600);\n")
    running = subprocess.Popen(
        [*QB, "run"], cwd=project.root, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    sleeping = (
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%'"
        " AND state = 'active' AND pid <> pg_backend_pid() AND datname = current_database()"
    )
    deadline = time.monotonic() + 90
    while connection.execute(sleeping).fetchone() != (1,):
        assert running.poll() is None, running.communicate()[1]
        assert time.monotonic() < deadline
    running.send_signal(signal.SIGTERM)
    said = running.communicate(timeout=60)[1]
    assert running.returncode == 130, said
    assert "Traceback" not in said
    assert connection.execute(sleeping).fetchone() == (0,)
    runs = answer(qb(project.root, "history", "--json"))["runs"]
    assert len(runs) == 1
    assert "running" not in json.dumps(runs[0])


def test_connect_needs_no_privilege_on_the_ledger(
    project: Project, database: Target, connection: psycopg.Connection[Any]
) -> None:
    (project.migrations / "20240101_a.sql").write_text("-- qb:up\nSELECT 1;\n")
    assert invoke(Session(root=project.root), ["run"])
    role = sql.Identifier(f"reader_{connection.info.dbname}")
    connection.execute(sql.SQL("CREATE ROLE {}").format(role))
    name = role.as_string(connection).strip('"')
    try:
        url = make_conninfo(database.conninfo, options=f"-c role={name}")
        report = invoke(Session(root=project.root), ["connect", url])
        assert report is not None
        found = json.loads(report.to_json())
        assert (found["role"], found["ledger"]) == (name, True)
    finally:
        connection.execute(sql.SQL("DROP ROLE {}").format(role))
