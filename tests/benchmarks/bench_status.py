"""`qb status` of 5,000 applied migrations: files on disk, their runs and steps in the ledger"""

from __future__ import annotations

import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

import qb_engine.ledger
from qb_engine.commands import Session, invoke
from qb_engine.database.embedded import EmbeddedPostgres
from qb_engine.migrations import load
from qb_engine.project import FILE, Project
from tests.benchmarks.ratio import Ratio

MIGRATIONS = int(os.environ.get("QB_BENCH_MIGRATIONS", "5000"))
STEPS = 4  # statements of each
ROUNDS = 11
SECONDS, PROCESS_SECONDS = 0.3, 1.0

FILE_TEXT = """-- qb:constraints
-- users: {{must_exist: true, columns: {{id: {{type: bigint}}}}}}
-- qb:up
CREATE TABLE t{n} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, user_id bigint NOT NULL);
ALTER TABLE t{n} ADD COLUMN note_{n} text DEFAULT 'none' NOT NULL;
CREATE INDEX t{n}_user ON t{n} (user_id);
COMMENT ON TABLE t{n} IS 'made by migration {n}';
-- qb:down
DROP TABLE t{n};
"""

# Every tenth one failed at first, every fiftieth was rolled back and applied again.
RUNS = f"""
INSERT INTO qb.history (migration, name, checksum, raw_checksum, down_checksum, direction, status,
                        qb_version, finished_at, seconds, fingerprint_before, fingerprint_after)
SELECT a.id, a.name, a.checksum, a.raw, a.down, t.direction, t.status, '0', clock_timestamp(),
       0.004, md5(a.id), md5(a.name)
FROM (SELECT row_number() OVER (ORDER BY id) AS n, * FROM applied) a,
     LATERAL (SELECT * FROM (VALUES
        (1, 'up', 'failed', a.n % 10 = 0), (2, 'up', 'applied', a.n % 50 = 0),
        (3, 'down', 'rolled back', a.n % 50 = 0), (4, 'up', 'applied', true)
     ) t (turn, direction, status, happened) WHERE happened) t
ORDER BY a.n, t.turn;
INSERT INTO qb.step (run, number, part, sql, place, status, transactional, seconds, rows, wal_bytes)
SELECT h.run, n, h.migration || '.sql', 'ALTER TABLE t ADD COLUMN c' || n || ' text', '', 'done',
       true, 0.001, 0, 8192
FROM qb.history h, generate_series(1, {STEPS}) n WHERE h.status <> 'failed';
ANALYZE qb.history; ANALYZE qb.step;
"""


def run() -> list[Ratio]:
    """Measure on a server of its own."""
    with tempfile.TemporaryDirectory(prefix="qb-bench-") as folder:
        Path(folder).chmod(0o755)  # as root, the server is another user
        server = EmbeddedPostgres(Path(folder))
        try:
            server.ensure()
            return measure(Path(folder) / "project", server)
        finally:
            server.purge()


def measure(root: Path, server: EmbeddedPostgres) -> list[Ratio]:
    """The medians against the seconds that were aimed at: in this process, and as a process."""
    project, conninfo = Project.create(root), server.conninfo
    name = f"bench_{secrets.token_hex(4)}"
    with psycopg.connect(conninfo, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    url = server.url.replace("postgresql:///qb?", f"postgresql:///{name}?")
    (project.root / FILE).write_text(f'default = "bench"\n\n[aliases]\nbench = "{url}"\n')
    fill(project.migrations, make_conninfo(conninfo, dbname=name))
    session = Session(root=project.root)

    def in_process() -> None:
        report: Any = invoke(session, ["status"])
        assert len(report.migrations) == MIGRATIONS
        assert {each.state for each in report.migrations} == {"applied"}

    def process() -> None:
        command = [sys.executable, "-m", "qb_engine.commands", "status", "--check"]
        subprocess.run(command, cwd=project.root, stdout=subprocess.DEVNULL, check=True)

    found = []
    for what, work, limit in (
        ("in process", in_process, SECONDS), ("the whole process", process, PROCESS_SECONDS),
    ):  # fmt: skip
        work()
        taken = [seconds(work) for _ in range(ROUNDS)]
        median = statistics.median(taken)
        found.append(
            Ratio(
                f"status of {MIGRATIONS:,} applied migrations, {what} / {limit:g} s",
                median / limit,
                1.0,
                "at most",
                f"{median * 1e3:.0f} ms (fastest {min(taken) * 1e3:.0f})",
            )
        )
    return found


def seconds(work: Any) -> float:
    """How long something takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def fill(folder: Path, conninfo: str) -> None:
    """Write the files, and a ledger in which all of them are applied."""
    folder.mkdir(exist_ok=True)
    for n in range(MIGRATIONS):
        stamp = 20200101000000 + (n // 60 // 60 % 24) * 10000 + n // 60 % 60 * 100 + n % 60
        (folder / f"{stamp}_add_t{n}.sql").write_text(FILE_TEXT.format(n=n))
    home = Path(qb_engine.ledger.__file__).parent
    with psycopg.connect(conninfo, autocommit=True) as conn:
        for name in ("schema.sql", "backfill.sql"):
            conn.execute((home / name).read_bytes())
        conn.execute("INSERT INTO qb.meta VALUES (true, 2, now(), '', '')")
        conn.execute(
            "CREATE TEMP TABLE applied (id text, name text, checksum text, raw text, down text)"
        )
        with conn.cursor().copy("COPY applied FROM STDIN") as copy:
            for m in load(folder).all:
                copy.write_row((m.id, m.name, m.checksum, m.raw_checksum, m.down_checksum))
        conn.execute(RUNS.encode())


if __name__ == "__main__":
    for ratio in run():
        print(f"{ratio.name}: {ratio.value:.2f}, {ratio.detail}")
