"""a project whose runner is killed, or loses its server, and what is looked at afterwards"""

from __future__ import annotations

from typing import Any

import psycopg

from qb_engine.commands import Session, invoke
from qb_engine.database import Target
from qb_engine.project import Project
from qb_engine.schema import Snapshot, diff, snapshot
from tests.crash import story
from tests.crash.runner_process import Runner, Runners, wait_for

Connection = psycopg.Connection[tuple[Any, ...]]

MINE = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND application_name IN ('qb run', 'qb runner', 'qb watch')"
)
HELD = (
    "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE NOT granted"
    " AND datname = current_database() AND application_name = 'qb run'"
)


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

    def run(self, *stops: str, what: str = "run") -> Runner:
        return self._runners.start(self.project.root, *stops, what=what)

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
