"""`qb lint` of 200 migrations on a schema of 500 tables against `squawk` on the same files

Both as processes; the scratch server runs already. The first look is at a schema that was never
seen: its shadow is made, and every statement runs. Then new files on a schema that is known. The
second look runs nothing: what was seen is kept.
"""

from __future__ import annotations

import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from qb_engine.database.embedded import EmbeddedPostgres
from qb_engine.project import Project
from tests.benchmarks import chain
from tests.benchmarks.ratio import Ratio

TABLES, MIGRATIONS = 500, 200
ROUNDS = int(os.environ.get("QB_BENCH_ROUNDS", "3"))
TARGET = 3.0


def run() -> list[Ratio]:
    """Measure in a project of its own; nothing when squawk is not here."""
    squawk = _squawk()
    if squawk is None:
        Console(stderr=True).print("squawk is not here: pip install squawk-cli", style="yellow")
        return []
    with tempfile.TemporaryDirectory(prefix="qb-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # as root, the server is another user
        project = Project.create(folder / "project")
        server = EmbeddedPostgres(project.home)
        try:
            server.ensure()
            return measure(project, squawk)
        finally:
            server.purge()


def measure(project: Project, squawk: str) -> list[Ratio]:
    """The medians of interleaved rounds, as ratios."""
    files = [str(path) for path in write(project.migrations)]
    qb = [sys.executable, "-m", "qb_engine.commands", "lint", "--schema", "schema.sql", *files]
    taken: dict[str, list[float]] = {"squawk": [], "first": [], "new files": [], "second": []}
    for at in range(ROUNDS):
        (project.root / "schema.sql").write_text(f"{schema()}CREATE TABLE round_{at} ();\n")
        taken["first"].append(_process(qb, project.root))
        shutil.rmtree(project.home / "lint")
        taken["new files"].append(_process(qb, project.root))
        taken["second"].append(_process(qb, project.root))
        taken["squawk"].append(_process([squawk, *files], project.root))
    middle = {name: statistics.median(seconds) for name, seconds in taken.items()}
    return [
        Ratio(
            f"qb lint of {MIGRATIONS} files, {which} / squawk",
            middle[which] / middle["squawk"],
            TARGET,
            "at most",
            f"{middle[which]:.2f} s / {middle['squawk']:.3f} s",
        )
        for which in ("first", "new files", "second")
    ]


def schema() -> str:
    """A schema of ordinary tables, each referencing one before it."""
    found = []
    for at in range(TABLES):
        of = f"table_{at // 2:03}"
        found.append(
            f"CREATE TABLE table_{at:03} (\n"
            "    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name varchar(50) NOT NULL,\n"
            "    email text, amount numeric(10, 2), age int CHECK (age > 0), state text,\n"
            f"    parent_id bigint{f' REFERENCES {of}' if at else ''},\n"
            "    made_at timestamptz NOT NULL DEFAULT now());\n"
            f"CREATE INDEX table_{at:03}_name ON table_{at:03} (name);\n"
            f"CREATE INDEX table_{at:03}_parent ON table_{at:03} (parent_id);\n"
        )
    return "".join(found)


def write(folder: Path) -> list[Path]:
    """Migrations over that schema, safe ones and others."""
    choose = random.Random(chain.SEED)
    paths = []
    for at in range(MIGRATIONS):
        table = f"table_{choose.randrange(TABLES):03}"
        text = choose.choice(
            (
                f"ALTER TABLE {table} ADD COLUMN note_{at} text;\n",
                f"ALTER TABLE {table} ADD COLUMN c_{at} int NOT NULL DEFAULT 0;\n"
                f"COMMENT ON COLUMN {table}.c_{at} IS 'counted';\n",
                f"CREATE INDEX i_{at} ON {table} (email);\n",
                f"CREATE INDEX CONCURRENTLY i_{at} ON {table} (email);\n",
                f"ALTER TABLE {table} ALTER COLUMN email SET NOT NULL;\n",
                f"ALTER TABLE {table} ADD CONSTRAINT c_{at} CHECK (amount >= 0) NOT VALID;\n"
                f"ALTER TABLE {table} VALIDATE CONSTRAINT c_{at};\n",
                f"ALTER TABLE {table} ADD CONSTRAINT c_{at} UNIQUE (name, email);\n",
                f"CREATE TABLE new_{at} (id bigint PRIMARY KEY, "
                f"of bigint REFERENCES {table});\nCREATE INDEX ON new_{at} (of);\n",
                f"UPDATE {table} SET state = 'new' WHERE state IS NULL;\n",
                f"ALTER TABLE {table} ALTER COLUMN name TYPE varchar(100);\n",
            )
        )
        path = folder / f"{chain.stamp(at)}_change_{at}.sql"
        path.write_text(text)
        paths.append(path)
    return paths


def _squawk() -> str | None:
    """squawk from its wheel; None where it is missing."""
    beside = Path(sys.executable).with_name("squawk")
    return str(beside) if beside.is_file() else shutil.which("squawk")


def _process(command: Sequence[str], cwd: Path) -> float:
    """Run a linter to its end; how long it took. It may have found something."""
    started = time.perf_counter()
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    taken = time.perf_counter() - started
    assert done.returncode in (0, 1), done.stderr
    return taken
