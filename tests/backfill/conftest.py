"""a table to fill, a migration with a backfill that stands as applied, and workers that end"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

import qb_engine.ledger
from qb_engine import backfill
from qb_engine.backfill import Done, Progress, records
from qb_engine.backfill.advance import advance
from qb_engine.backfill.batches import segment
from qb_engine.backfill.driving import names
from qb_engine.backfill.spec import describe
from qb_engine.database import Target
from qb_engine.migrations import LoadedMigration, load_one
from qb_engine.project import FILE, Project

LEDGER = Path(qb_engine.ledger.__file__).parent
PATIENCE_S = 90.0
ID = "20240316090000_fill"


def until(what: str, true: Callable[[], Any], patience: float = PATIENCE_S) -> Any:
    """Wait for a condition; fail with its name when it never comes true."""
    deadline = time.monotonic() + patience
    while not (found := true()):
        if time.monotonic() > deadline:
            pytest.fail(f"never came true: {what}")
        time.sleep(0.02)
    return found


@dataclass
class Case:
    """One backfill of a test: where it runs, and the words a test needs."""

    project: Project
    target: Target
    conn: psycopg.Connection[Any]

    def sql(self, text: str) -> list[tuple[Any, ...]]:
        cursor = self.conn.execute(text.encode())
        return cursor.fetchall() if cursor.description else []

    def one(self, text: str) -> Any:
        return self.sql(text)[0][0]

    def counted(self, rows: int) -> None:
        """A table `t` whose rows count how often they were written."""
        self.sql("CREATE TABLE t (id int PRIMARY KEY, v text, writes int NOT NULL DEFAULT 0)")
        self.sql(f"INSERT INTO t (id) SELECT generate_series(1, {rows})")
        self.ledger()

    def writes(self) -> dict[int, int]:
        """How many rows were written how often."""
        return dict(self.sql("SELECT writes, count(*) FROM t GROUP BY 1"))

    def ledger(self, status: str = "applied") -> None:
        """Make the ledger, with the migration as a run would leave it."""
        for name in ("schema.sql", "backfill.sql"):
            self.conn.execute((LEDGER / name).read_bytes())
        self.conn.execute(
            "INSERT INTO qb.history (migration, name, checksum, direction, status, qb_version)"
            " VALUES (%s, 'fill', '', 'up', %s, '0')",
            [ID, status],
        )

    def declare(self, **given: Any) -> LoadedMigration:
        """Write the migration's folder and load it."""
        folder = self.project.migrations / ID
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "migration.sql").write_text("-- qb:up\nSELECT 1;\n")
        lines = [f"    {name} = {value!r}" for name, value in given.items()]
        (folder / "backfill.py").write_text(
            "from qb_engine.migrations import Backfill\n\n\nclass Fill(Backfill):\n"
            + "\n".join(lines)
            + "\n"
        )
        return load_one(folder)

    def filling(self, slow: float = 0.0, **given: Any) -> LoadedMigration:
        """A declaration that fills `t` and counts; `slow` seconds for each row, on the server."""
        wait = f" || pg_sleep({slow})::text" if slow else ""
        return self.declare(
            **{"table": "t", "set": {"v": f"'v' || id{wait}", "writes": "writes + 1"}, **given}
        )

    def start(self, migration: LoadedMigration, **options: Any) -> Done:
        return backfill.start(self.project, self.target, migration, conn=self.conn, **options)

    def progress(self) -> Progress:
        found = backfill.progress(self.conn, ID)
        assert found is not None
        return found

    def ended(self) -> Progress:
        """Wait until the backfill has ended, however it did."""
        until("the backfill ends", lambda: self.progress().ended)
        return self.progress()

    def written_down(self, migration: LoadedMigration) -> None:
        """The backfill in the ledger, as a start leaves it, with nobody to drive it."""
        queue = names.task_queue(self.project, self.target)
        records.make(self.conn, describe(self.conn, migration), 0, queue, "nobody")

    def means(self, migration: LoadedMigration | None = None, **given: Any) -> segment.Means:
        """What a lane of a test works with."""
        code = migration.backfill if migration else None
        return segment.Means(**{"worker": "test", "wait": lambda _: True, "code": code, **given})

    def driven_here(self, migration: LoadedMigration) -> Progress:
        """Drive a backfill to its end in this process: the same ledger, without Temporal."""
        self.written_down(migration)
        while (step := advance(self.conn, ID, lambda: True)) and step.lanes:
            for lane in range(step.lanes):
                segment.run_lane(self.conn, ID, lane, self.means(migration))
        self.sql("RESET datestyle")  # psycopg reads times in ISO only
        return self.progress()


@pytest.fixture
def case(project: Project, database: Target, connection: psycopg.Connection[Any]) -> Iterator[Case]:
    """A database and a project; the workers of it end with the test."""
    yield Case(project, database, connection)
    backfill.stop_worker(project)


@pytest.fixture
def driven(case: Case, temporal: str, monkeypatch: pytest.MonkeyPatch) -> Case:
    """A case whose project uses the run's Temporal, which soon misses a killed worker."""
    monkeypatch.setenv("QB_BACKFILL_HEARTBEAT_S", "3")
    with (case.project.root / FILE).open("a", encoding="utf-8") as file:
        file.write(f'\n[temporal]\naddress = "{temporal}"\n')
    case.project = Project(case.project.root)
    return case
