"""a table of many rows, servers of its own, and the ways in which its rows are filled"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

import qb_engine.ledger
from qb_engine import backfill
from qb_engine.database import Target
from qb_engine.database.embedded import EmbeddedPostgres, EmbeddedTemporal
from qb_engine.migrations import LoadedMigration, load_one
from qb_engine.project import Project

ID = "20240316090000_fill"
PLAIN = "UPDATE users SET email_lower = lower(email)"
LOOP = 5_000  # rows of a batch of the loops that others write by hand

SET = 'set = {"email_lower": "lower(email)"}'
TRANSFORM = """columns = ("email",)

    def transform(self, rows):
        rows["email_lower"] = rows["email"].str.lower()
        return rows[["id", "email_lower"]]"""

# The shape of tools that find the next rows in a CTE and join it to the UPDATE.
JOINED = """
WITH batch AS (
    SELECT id FROM users WHERE id > %s ORDER BY id LIMIT %s FOR NO KEY UPDATE
), updated AS (
    UPDATE users SET email_lower = lower(users.email) FROM batch WHERE users.id = batch.id
    RETURNING users.id
)
SELECT last_value(id) OVER () FROM updated ORDER BY id DESC LIMIT 1
"""


@dataclass
class Place:
    """Servers of its own, with the table and a migration that fills it."""

    project: Project
    target: Target
    conn: psycopg.Connection[tuple[object, ...]]

    def fresh(self, rows: int) -> None:
        """The same table, with nothing of the last round left to be written."""
        for statement in (
            "DROP TABLE IF EXISTS users",
            "CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL, email text NOT NULL,"
            " created_at timestamptz, email_lower text)",
            "INSERT INTO users SELECT n, 'Name ' || n, 'User' || n || '@Example.com', now()"
            f" FROM generate_series(1, {rows}) AS n",
            "VACUUM ANALYZE users",
            "CHECKPOINT",
        ):
            self.conn.execute(statement.encode())

    def declared(self, what: str, **given: object) -> LoadedMigration:
        folder = self.project.migrations / ID
        folder.mkdir(exist_ok=True)
        (folder / "migration.sql").write_text("-- qb:up\nSELECT 1;\n")
        lines = [what, *(f"{name} = {value!r}" for name, value in given.items())]
        (folder / "backfill.py").write_text(
            "from qb_engine.migrations import Backfill\n\nclass Fill(Backfill):\n"
            '    table = "users"\n    ' + "\n    ".join(lines) + "\n"
        )
        return load_one(folder)

    def plain(self) -> float:
        """Seconds of one UPDATE of all rows."""
        started = time.perf_counter()
        self.conn.execute(PLAIN)
        return time.perf_counter() - started

    def start(self, what: str = SET, **given: object) -> None:
        migration = self.declared(what, **given)
        self.conn.execute("DELETE FROM qb.backfill")
        backfill.start(self.project, self.target, migration, conn=self.conn)

    def wait(self) -> backfill.Progress:
        while (found := backfill.progress(self.conn, ID)) is None or not found.ended:
            time.sleep(0.02)
        assert found.state == "completed", found.error
        return found

    def backfilled(self, what: str = SET, **given: object) -> float:
        """Seconds from the start command until the ledger says completed."""
        started = time.perf_counter()
        self.start(what, **given)
        self.wait()
        return time.perf_counter() - started

    def first_batch(self) -> float:
        """Seconds from the start command to the first batch that was committed."""
        started = time.perf_counter()
        self.start()
        while not self.conn.execute("SELECT FROM qb.batch LIMIT 1").fetchall():
            time.sleep(0.005)
        taken = time.perf_counter() - started
        self.wait()
        return taken

    def looped(self) -> float:
        """Seconds of a loop as one writes it by hand: ranges of keys, a commit for each."""
        started = time.perf_counter()
        last = 0
        with psycopg.connect(self.target.conninfo) as conn:
            (top,) = conn.execute("SELECT max(id) FROM users").fetchall()[0]
            while last < top:
                conn.execute(f"{PLAIN} WHERE id > %s AND id <= %s", [last, last + LOOP])
                conn.commit()
                last += LOOP
        return time.perf_counter() - started

    def joined(self) -> float:
        """Seconds of the loop whose batches are a LIMIT in a CTE, joined to the UPDATE."""
        started = time.perf_counter()
        last: object = 0
        with psycopg.connect(self.target.conninfo) as conn:
            while found := conn.execute(JOINED, [last, LOOP]).fetchone():
                conn.commit()
                last = found[0]
        return time.perf_counter() - started

    def worker_peak(self) -> float:
        """The most memory that the worker ever had, in MB. Linux only."""
        worker = self.conn.execute("SELECT max(worker) FROM qb.batch").fetchall()[0][0]
        status = Path(f"/proc/{str(worker).rpartition(':')[2]}/status").read_text()
        (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) / 1024


@contextmanager
def place() -> Iterator[Place]:
    """Servers for one benchmark, gone when it ends."""
    with tempfile.TemporaryDirectory(prefix="qb-bench-") as folder:
        Path(folder).chmod(0o755)  # as root, the server is another user
        project = Project.create(Path(folder) / "project")
        postgres, temporal = EmbeddedPostgres(project.home), EmbeddedTemporal(project.home)
        try:
            temporal.ensure()
            target = Target("embedded", postgres.ensure(), origin="embedded")
            with closing(psycopg.connect(target.conninfo, autocommit=True)) as conn:
                home = Path(qb_engine.ledger.__file__).parent
                for name in ("schema.sql", "backfill.sql"):
                    conn.execute((home / name).read_bytes())
                conn.execute(
                    "INSERT INTO qb.history"
                    " (migration, name, checksum, direction, status, qb_version)"
                    " VALUES (%s, 'fill', '', 'up', 'expanded', '0')",
                    [ID],
                )
                yield Place(project, target, conn)
        finally:
            backfill.stop_worker(project)
            temporal.purge()
            postgres.purge()
