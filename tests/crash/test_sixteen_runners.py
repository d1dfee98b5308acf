"""many deployments at once: everything is applied once, the losers wait, readers never do"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import psycopg
import pytest

from qb_engine.commands import Session, invoke
from qb_engine.database import Target
from qb_engine.project import Project
from qb_engine.runner.lock import KEY
from tests.crash.runner_process import Runner, Runners

Connection = psycopg.Connection[tuple[Any, ...]]

ROUNDS = int(os.environ.get("RACES", "3"))
MANY = 16
MIGRATIONS = 5

pytestmark = pytest.mark.crash


@pytest.fixture
def raced(project: Project, connection: Connection) -> Project:
    """A project whose migrations each leave a row, and patience for whoever is first."""
    connection.execute("CREATE TABLE log (what text)")
    text = project.file.read_text()
    project.file.write_text(text + '\n[timeouts]\nrunner = "120s"\n')
    return project


def write(project: Project, round: int) -> None:
    for number in range(MIGRATIONS):
        name = f"2024{round:02}01{number:06}_m"
        alone = "CREATE INDEX CONCURRENTLY ON log (what)" if number == 2 else "VACUUM log"
        (project.migrations / f"{name}.sql").write_text(
            f"INSERT INTO log VALUES ('{name}'); CREATE TABLE t_{round}_{number} (); {alone};"
            f" INSERT INTO log VALUES ('{name} again')"
        )


def ended(runner: Runner) -> int:
    return int(runner.wait().removeprefix("end "))


def count(connection: Connection, query: str) -> int:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return int(row[0])


def test_everything_is_applied_once_and_readers_never_wait(
    raced: Project, connection: Connection, runners: Runners, tmp_path: Path
) -> None:
    reader, over = Session(root=raced.root), threading.Event()
    looks: list[Any] = []

    def read() -> None:
        while not over.is_set():
            looks.append(invoke(reader, ["status"]))
            over.wait(0.05)  # processors are scarce

    reading = threading.Thread(target=read)
    reading.start()
    try:
        for round in range(1, ROUNDS + 1):
            write(raced, round)
            said = [tmp_path / f"{round}-{number}" for number in range(MANY)]
            many = [runners.qb(raced.root, "run", said=file) for file in said]
            codes = [ended(runner) for runner in many]
            words = [file.read_text() for file in said]
            assert codes == [0] * MANY, words
            once = f"SELECT count(*) FROM log WHERE what LIKE '2024{round:02}%'"
            assert count(connection, once) == 2 * MIGRATIONS
            winners = sum("migrations applied" in text for text in words)
            losers = [text for text in words if "nothing is pending" in text]
            assert (winners, len(losers)) == (1, MANY - 1), words
            assert any("waiting for qb runner" in text for text in losers)
    finally:
        over.set()
        reading.join()
    runs = "SELECT count(*) FROM qb.history"
    assert count(connection, runs) == ROUNDS * MIGRATIONS
    assert count(connection, f"{runs} WHERE status <> 'applied'") == 0
    indexes = "SELECT count(*) FROM pg_index WHERE indrelid = 'log'::regclass AND indisvalid"
    assert count(connection, indexes) == ROUNDS
    assert looks
    assert {s.state for s in looks[-1].migrations} <= {"pending", "applied", "partial"}


def test_replicas_that_start_together_find_everything_applied(
    raced: Project, connection: Connection, database: Target, runners: Runners, tmp_path: Path
) -> None:
    """`qb run --if-pending`: 0 means that all is applied, whoever did it."""
    write(raced, 1)
    replicas = [
        runners.qb(raced.root, "run", "--if-pending", said=tmp_path / str(number))
        for number in range(MANY // 2)
    ]
    found: list[tuple[int, int]] = []

    def one(runner: Runner) -> None:
        code = ended(runner)
        with psycopg.connect(database.conninfo) as conn:
            found.append((code, count(conn, "SELECT count(*) FROM log")))

    waiting = [threading.Thread(target=one, args=(runner,)) for runner in replicas]
    for thread in waiting:
        thread.start()
    for thread in waiting:
        thread.join()
    assert found == [(0, 2 * MIGRATIONS)] * (MANY // 2)


def test_a_replica_says_that_another_one_is_still_at_work(
    raced: Project, connection: Connection, database: Target, runners: Runners, tmp_path: Path
) -> None:
    """4 when the time for waiting is over; 0 at once when nothing is pending."""
    write(raced, 1)
    first = runners.start(raced.root, "running 3")
    assert first.until("running 3")
    said = tmp_path / "said"
    late = ("run", "--if-pending", "--wait-lock", "100ms")
    assert ended(runners.qb(raced.root, *late, said=said)) == 4
    assert "the lock is held by qb runner (pid" in said.read_text()
    first.go()
    second = runners.start(raced.root)
    assert [runner.wait().split()[:2] for runner in (first, second)] == [["end", "ok"]] * 2
    with psycopg.connect(database.conninfo) as holder:
        holder.execute("SELECT pg_advisory_lock(%s)", [KEY])
        assert ended(runners.qb(raced.root, *late, said=said)) == 0
    assert count(connection, "SELECT count(*) FROM log") == 2 * MIGRATIONS
