"""one runner at a time: the second waits, says for whom, and gives up clearly"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from qb_engine.commands import Session, invoke
from qb_engine.errors import RefusedError
from qb_engine.execution.place import Place
from qb_engine.project import Project
from qb_engine.runner.lock import only_runner

Connection = psycopg.Connection[tuple[Any, ...]]
QB = [sys.executable, "-m", "qb_engine.commands"]
DEADLINE_S = 60


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until something is true; fail after a generous while."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.01)  # between two looks at a condition


def running(connection: Connection, what: str) -> bool:
    row = connection.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE %s"
        " AND pid <> pg_backend_pid() AND datname = current_database()",
        [f"%{what}%"],
    ).fetchone()
    return bool(row and row[0])


def test_the_second_runner_times_out_and_names_the_first(
    session: Session, write, database, project: Project
) -> None:
    write("20240101_a.sql", "CREATE TABLE a ()")
    project.file.write_text(project.file.read_text() + '\n[timeouts]\nrunner = "200ms"\n')
    session.project = Project(project.root)
    with (
        psycopg.connect(database.conninfo, autocommit=True, application_name="the first") as conn,
        only_runner(conn, 1, print),
        pytest.raises(RefusedError, match="another qb is running") as caught,
    ):
        invoke(session, ["run"])
    assert "the first (pid" in caught.value.why


def test_a_waiting_runner_does_not_disturb_a_concurrent_build(
    qb, write, database, connection: Connection
) -> None:
    """Traps of the advisory lock: a blocked waiter and CREATE INDEX CONCURRENTLY end in a
    deadlock, a waiter that polls inside a transaction makes the build wait for ever."""
    connection.execute("CREATE TABLE a (id int); INSERT INTO a SELECT generate_series(1, 1000)")
    write("20240101_a.sql", "CREATE INDEX CONCURRENTLY i ON a (id)")
    waiter = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import psycopg, sys\n"
            "from qb_engine.runner.lock import only_runner\n"
            f"conn = psycopg.connect({database.conninfo!r}, autocommit=True)\n"
            "print('up', flush=True)\n"
            "sys.stdin.readline()\n"
            "with only_runner(conn, 60, lambda text: None): print('mine', flush=True)\n",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert waiter.stdin is not None
    assert waiter.stdout is not None
    assert waiter.stdout.readline() == "up\n"
    with psycopg.connect(database.conninfo, autocommit=True) as first:
        with only_runner(first, 1, print):
            waiter.stdin.write("go\n")
            waiter.stdin.flush()
            connection.execute("CREATE INDEX CONCURRENTLY j ON a (id)")
        assert waiter.stdout.readline() == "mine\n"
    waiter.communicate()
    assert qb("run").ok
    assert connection.execute("SELECT bool_and(indisvalid) FROM pg_index").fetchone() == (True,)


def test_two_runs_at_once_apply_everything_once(project: Project, write, connection) -> None:
    for number in range(1, 6):
        write(f"2024010{number}_t.sql", f"CREATE TABLE t{number} (); SELECT pg_sleep(0.05)")
    both = [
        subprocess.Popen([*QB, "run", "--json"], cwd=project.root, stdout=subprocess.PIPE)
        for _ in (1, 2)
    ]
    out = [process.communicate(timeout=DEADLINE_S)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], out
    runs = connection.execute("SELECT migration, count(*) FROM qb.history GROUP BY 1").fetchall()
    assert sorted(runs) == [(f"2024010{n}_t", 1) for n in range(1, 6)]


def test_ctrl_c_cancels_on_the_server_and_leaves_a_clean_record(
    project: Project, write, connection: Connection, qb
) -> None:
    write("20240101_a.sql", "CREATE TABLE a (); SELECT pg_sleep(300)")
    process = subprocess.Popen([*QB, "run"], cwd=project.root, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: running(connection, "pg_sleep(300)"))
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 130, errors
    assert "rolled back: nothing of " in errors
    assert "Traceback" not in errors
    wait_for(lambda: not running(connection, "pg_sleep(300)"))
    assert [s.state for s in qb("status").migrations] == ["pending"]
    assert [r.status for r in qb("history").runs] == ["stopped"]


def test_a_killed_runner_leaves_nothing_half_done_in_silence(
    project: Project, write, connection: Connection, qb
) -> None:
    write("20240101_a.sql", "CREATE TABLE a (); VACUUM; SELECT pg_sleep(300)")
    process = subprocess.Popen([*QB, "run"], cwd=project.root, stderr=subprocess.DEVNULL)
    wait_for(lambda: running(connection, "pg_sleep(300)"))
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE query LIKE '%pg_sleep(300)%' AND pid <> pg_backend_pid()"
    )
    (state,) = qb("status").migrations
    assert state.state == "partial"
    assert "2 of 3 statements are applied" in state.note
    write("20240101_a.sql", "CREATE TABLE a (); VACUUM; SELECT 1")
    assert [o.number for o in qb("run").ran[0].seen] == [3]
    assert [s.state for s in qb("status").migrations] == ["applied"]


def test_a_lost_connection_is_said_and_nothing_is_claimed(
    project: Project, write, connection: Connection, qb
) -> None:
    write("20240101_a.sql", "CREATE TABLE a (); SELECT pg_sleep(300)")
    process = subprocess.Popen([*QB, "run"], cwd=project.root, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: running(connection, "pg_sleep(300)"))
    connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    _, errors = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 3
    assert "connection was lost" in errors
    assert "qb status" in errors
    assert "Traceback" not in errors
    assert [s.state for s in qb("status").migrations] == ["pending"]


def test_the_place_of_a_run_has_a_policy_from_the_project(project: Project, database) -> None:
    from qb_engine.migrations import Migrations

    place = Place(project, database, lambda name: None, Migrations(project.migrations, ()))  # type: ignore[arg-type,return-value]
    assert place.policy(commit=False).lock_timeout == 2.0
    assert not place.policy(commit=False).commit
