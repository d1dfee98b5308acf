"""`kill -9` of the runner at any statement: what is applied is known, and both ways go on"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from qb_engine.commands import Session, invoke
from qb_engine.database import Target
from qb_engine.project import Project
from qb_engine.schema import Snapshot, diff, snapshot
from tests.crash import story
from tests.crash.runner_process import Runner, Runners, wait_for

Connection = psycopg.Connection[tuple[Any, ...]]

ROUNDS = int(os.environ.get("ROUNDS", "3"))
EVERY = "ROUNDS" in os.environ  # `make crash`: every statement, every moment, every way on

pytestmark = pytest.mark.crash

MINE = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND application_name IN ('qb run', 'qb runner', 'qb watch')"
)
HELD = (
    "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE NOT granted"
    " AND datname = current_database() AND application_name = 'qb run'"
)


@pytest.fixture(scope="module")
def runners() -> Iterator[Runners]:
    found = Runners()
    yield found
    found.close()


class Crash:
    """One project whose runner is going to be killed."""

    def __init__(self, project: Project, target: Target, runners: Runners) -> None:
        self.project = project
        self.conninfo = target.conninfo
        self.conn: Connection = psycopg.connect(target.conninfo, autocommit=True)
        self.conn.execute(story.START)
        text = project.file.read_text()
        project.file.write_text(text + '\n[timeouts]\nlock = "60s"\nrunner = "60s"\n')
        story.write(project.migrations)
        self.session = Session(root=project.root)
        self.qb("status")
        self.start: Snapshot = snapshot(self.conn)
        self._runners = runners

    def qb(self, *args: str) -> Any:
        return invoke(self.session, args)

    def run(self, *stops: str) -> Runner:
        return self._runners.start(self.project.root, *stops)

    def one(self, query: str) -> Any:
        row = self.conn.execute(query.encode()).fetchone()
        assert row is not None
        return row[0]

    def alone(self) -> None:
        """Wait until the server has noticed that the runner is gone."""
        wait_for(lambda: self.one(MINE) == 0, "the runner's sessions have ended")

    def look(self) -> int:
        """What is said to be applied is what the catalog says; how many statements that are."""
        truth = story.truth(self.conn)
        (status,) = self.qb("status").migrations
        report = self.qb("repair", "--no-scratch")
        if status.state == "pending":
            assert report.found.cases == ()
            assert not any(truth), truth
            return 0
        (case,) = report.found.cases
        said = [step.stands for step in case.steps]
        assert "unknown" not in [step.state for step in case.steps]
        ledger = [step.state == "committed" for step in case.steps]
        assert status.note.removeprefix("one statement was cut off, ").startswith(
            f"{sum(ledger)} of {story.COUNT} statements are applied"
        )
        if any(step.state in ("cut off", "finished") for step in case.steps):
            assert "cut off" in status.note
        for number, (one, other) in enumerate(zip(said, truth), 1):
            # a vacuum that finished is run again: it cannot be told, and does no harm
            assert one == other or (number == story.VACUUM and other), (number, said, truth)
        return sum(truth)

    def finish(self, way: str) -> None:
        """Bring it to an end one way or the other, and see that nothing is there twice."""
        if way == "undo":
            if self.qb("status").migrations[0].state == "partial":
                assert self.qb("repair", "--undo").ok
            assert diff(self.start, snapshot(self.conn), ignore=("comment",)) == ()
            assert self.one("SELECT count(*) FROM effect") == 0
            way = "run"
        if way == "continue" and not self.qb("repair", "--no-scratch").ok:
            assert self.qb("repair", "--continue").ok
        elif way == "run":
            assert self.qb("run").ok
        self.whole()

    def whole(self) -> None:
        """Everything is applied, once, and the ledger knows."""
        assert all(story.truth(self.conn))
        assert story.effects(self.conn) == story.ONCE
        assert [s.state for s in self.qb("status").migrations] == ["applied"]
        assert self.qb("repair", "--no-scratch").ok
        assert self.qb("run").ran == ()
        parts = self.qb("status", story.ID).parts
        assert [(p.file, p.state) for p in parts] == [
            ("pre.sql", "applied"), ("migration.sql", "applied"), ("post.sql", "applied"),
        ]  # fmt: skip


@pytest.fixture
def crash(project: Project, database: Target, runners: Runners) -> Iterator[Crash]:
    found = Crash(project, database, runners)
    yield found
    found.conn.close()


WAYS = ("run", "continue", "undo")


def points() -> list[Any]:
    """Statements, moments and ways on: a fixed selection, or all."""
    every = [
        (number, moment, way)
        for number in range(1, story.COUNT + 1)
        for moment in ("before", "executed", "during")
        for way in WAYS
    ]
    if EVERY:
        return every
    # each statement and each moment often enough, and each way on after each kind of statement
    return [
        (1, "before", "continue"), (2, "executed", "run"), (3, "during", "run"),
        (4, "executed", "continue"), (5, "before", "run"), (5, "during", "continue"),
        (5, "executed", "continue"), (5, "executed", "undo"), (6, "during", "continue"),
        (7, "before", "undo"), (8, "executed", "run"), (8, "during", "continue"),
        (9, "during", "run"), (10, "executed", "continue"), (11, "during", "run"),
        (11, "executed", "run"), (12, "before", "undo"), (12, "during", "continue"),
    ]  # fmt: skip


@pytest.mark.parametrize(("number", "moment", "way"), points())
def test_it_is_known_what_is_applied_and_it_goes_on(
    crash: Crash, number: int, moment: str, way: str
) -> None:
    """Before a statement, while it works, and when it is done and that is not recorded yet."""
    stop = f"{'done' if moment == 'executed' else 'running'} {number}"
    runner = crash.run(stop)
    assert runner.until(stop), runner.ended
    if moment == "during":
        with psycopg.connect(crash.conninfo) as holder:
            holder.execute(story.HOLDS[number].encode())
            runner.go()
            wait_for(lambda: crash.one(HELD), "the statement waits")
            runner.kill()
            holder.rollback()
    else:
        runner.kill()
    crash.alone()
    there = crash.look()
    kept = story.committed_before(number)
    alone = number in story.ALONE and moment != "before"
    assert there in ((kept, kept + 1) if alone else (kept,))
    crash.finish(way)


@pytest.mark.parametrize("number", range(ROUNDS))
def test_a_kill_at_any_moment_leaves_a_state_that_is_known(crash: Crash, number: int) -> None:
    seed = int(os.environ.get("SEED", "0")) or random.SystemRandom().randrange(1, 10**9)
    print(f"SEED={seed}")
    chance = random.Random(seed)
    for _ in range(chance.randint(1, 3)):  # the next one is killed, too
        stop = f"running {chance.randint(1, story.COUNT)}"
        runner = crash.run(stop)
        if not runner.until(stop):
            runner.wait()
            break
        runner.go()
        time.sleep(chance.choice((0, chance.uniform(0, 0.02), chance.uniform(0, 0.2))))
        runner.kill()
        crash.alone()
        if crash.qb("status").migrations[0].state == "applied":
            break
        crash.look()
    way = chance.choice(WAYS)
    if crash.qb("status").migrations[0].state == "applied":
        crash.whole()
    else:
        crash.finish(way)
