"""a backfill of 1,000,000 rows, its worker and Temporal running, against one plain `UPDATE`"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path

import psycopg

import qb_engine.ledger
from qb_engine import backfill
from qb_engine.database import Target
from qb_engine.database.embedded import EmbeddedPostgres, EmbeddedTemporal
from qb_engine.migrations import LoadedMigration, load_one
from qb_engine.project import Project
from tests.benchmarks.ratio import Ratio

ROWS = int(os.environ.get("QB_BENCH_ROWS", "1000000"))
ROUNDS = int(os.environ.get("QB_BENCH_ROUNDS", "3"))
ID = "20240316090000_fill"
TARGETS = {1: 0.8, 2: 1.0}  # by `parallel`

FILL = f"""
DROP TABLE IF EXISTS users;
CREATE TABLE users (
    id bigint PRIMARY KEY, name text NOT NULL, email text NOT NULL, created_at timestamptz,
    email_lower text
);
INSERT INTO users
SELECT n, 'Name ' || n, 'User' || n || '@Example.com', now() FROM generate_series(1, {ROWS}) AS n;
"""

FILE = """
from qb_engine.migrations import Backfill

class Fill(Backfill):
    table = "users"
    set = {{"email_lower": "lower(email)"}}
    parallel = {parallel}
"""


def run() -> list[Ratio]:
    """Measure on servers of its own: rows per second, of rounds that take turns."""
    with tempfile.TemporaryDirectory(prefix="qb-bench-") as folder:
        Path(folder).chmod(0o755)  # as root, the server is another user
        project = Project.create(Path(folder) / "project")
        postgres, temporal = EmbeddedPostgres(project.home), EmbeddedTemporal(project.home)
        try:
            temporal.ensure()
            target = Target("embedded", postgres.ensure(), origin="embedded")
            with closing(psycopg.connect(target.conninfo, autocommit=True)) as conn:
                return measure(project, target, conn)
        finally:
            backfill.stop_worker(project)
            temporal.purge()
            postgres.purge()


def measure(
    project: Project, target: Target, conn: psycopg.Connection[tuple[object, ...]]
) -> list[Ratio]:
    """The medians as ratios."""
    home = Path(qb_engine.ledger.__file__).parent
    for name in ("schema.sql", "backfill.sql"):
        conn.execute((home / name).read_bytes())
    conn.execute(
        "INSERT INTO qb.history (migration, name, checksum, direction, status, qb_version)"
        " VALUES (%s, 'fill', '', 'up', 'expanded', '0')",
        [ID],
    )
    conn.execute("CREATE TABLE users (id bigint PRIMARY KEY, email text, email_lower text)")
    backfilled(project, target, conn, 1)  # starts the worker
    plain: list[float] = []
    batched: dict[int, list[float]] = {parallel: [] for parallel in TARGETS}
    for _ in range(ROUNDS):
        fresh(conn)
        plain.append(updated(conn))
        for parallel, taken in batched.items():
            fresh(conn)
            taken.append(backfilled(project, target, conn, parallel))
    base = statistics.median(plain)
    return [
        Ratio(
            f"backfill, parallel = {parallel}: rows/s of a plain UPDATE",
            base / statistics.median(taken),
            TARGETS[parallel],
            "at least",
            f"{ROWS / statistics.median(taken):,.0f} rows/s against {ROWS / base:,.0f}",
        )
        for parallel, taken in batched.items()
    ]


def fresh(conn: psycopg.Connection[tuple[object, ...]]) -> None:
    """The same table, with nothing of the last round left to be written."""
    for statement in (*FILL.split(";")[:-1], "VACUUM ANALYZE users", "CHECKPOINT"):
        conn.execute(statement.encode())


def updated(conn: psycopg.Connection[tuple[object, ...]]) -> float:
    """Seconds of the plain UPDATE."""
    started = time.perf_counter()
    conn.execute("UPDATE users SET email_lower = lower(email)")
    return time.perf_counter() - started


def backfilled(
    project: Project,
    target: Target,
    conn: psycopg.Connection[tuple[object, ...]],
    parallel: int,
) -> float:
    """Seconds from the start command until the ledger says completed."""
    migration = declared(project, parallel)
    conn.execute("DELETE FROM qb.backfill")
    started = time.perf_counter()
    backfill.start(project, target, migration, conn=conn)
    while (found := backfill.progress(conn, ID)) is None or not found.ended:
        time.sleep(0.02)
    taken = time.perf_counter() - started
    assert found.state == "completed", found.error
    return taken


def declared(project: Project, parallel: int) -> LoadedMigration:
    folder = project.migrations / ID
    folder.mkdir(exist_ok=True)
    (folder / "migration.sql").write_text("-- qb:up\nSELECT 1;\n")
    (folder / "backfill.py").write_text(FILE.format(parallel=parallel))
    return load_one(folder)
