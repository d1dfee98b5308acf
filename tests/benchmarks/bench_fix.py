"""a migration as it was written against what `qb fix` makes of it, under readers and writers"""

from __future__ import annotations

import os
import random
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from qb_engine import backfill
from qb_engine.commands import Session, invoke
from qb_engine.commands.demo_data import create_shop
from qb_engine.database.embedded import EmbeddedPostgres, EmbeddedTemporal
from qb_engine.project import FILE, Project
from tests.benchmarks.ratio import Ratio

ROWS = int(os.environ.get("QB_BENCH_ROWS", "1000000"))
AIM = 0.05
NAME = "20240101000000_strict"
READERS = WRITERS = 2
PAUSE_S = 0.01  # between two requests of one client
NOTICED_S = 0.1  # a request that takes longer was kept waiting, by locks or by the machine

# what a release may hold: a new key, a rule, a wider number, an index
MIGRATION = """
ALTER TABLE orders ADD COLUMN token uuid NOT NULL DEFAULT gen_random_uuid();
ALTER TABLE orders ADD CHECK (total < 1000000);
ALTER TABLE orders ALTER COLUMN updated_at SET NOT NULL;
CREATE INDEX ON orders (status, placed_at);
"""


def run() -> list[Ratio]:
    """Measure on servers of its own; each form runs on its own copy of the same shop."""
    with tempfile.TemporaryDirectory(prefix="qb-bench-") as folder:
        Path(folder).chmod(0o755)  # as root, the server is another user
        project = Project.create(Path(folder) / "project")
        postgres, temporal = EmbeddedPostgres(project.home), EmbeddedTemporal(project.home)
        try:
            temporal.ensure()
            admin = make_conninfo(postgres.ensure(), dbname="postgres")
            with closing(psycopg.connect(admin, autocommit=True)) as conn:
                return measure(project, postgres, conn)
        finally:
            backfill.stop_worker(project)
            temporal.purge()
            postgres.purge()


def measure(
    project: Project, postgres: EmbeddedPostgres, admin: psycopg.Connection[tuple[object, ...]]
) -> list[Ratio]:
    """How long the application waited, in both forms."""
    admin.execute("CREATE DATABASE shop")
    with closing(psycopg.connect(make_conninfo(postgres.conninfo, dbname="shop"))) as conn:
        conn.autocommit = True
        create_shop(conn, ROWS)
        # so that SET NOT NULL has something to prove
        conn.execute("ALTER TABLE orders ALTER COLUMN updated_at DROP NOT NULL")
    waits: dict[str, tuple[float, float, float]] = {}
    for form in ("original", "fixed"):
        admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE shop").format(sql.Identifier(form)))
        url = postgres.url.replace("postgresql:///qb?", f"postgresql:///{form}?")
        (project.root / FILE).write_text(
            f'default = "{form}"\nshadow = "{postgres.url}"\n\n[aliases]\n{form} = "{url}"\n'
            # as other runners do it: nobody is protected from what blocks
            '\n[timeouts]\nmax_blocked = "0"\n',
            encoding="utf-8",
        )
        file = project.migrations / f"{NAME}.sql"
        project.migrations.mkdir(exist_ok=True)
        file.write_text(MIGRATION, encoding="utf-8")
        session = Session(root=project.root)
        if form == "fixed":
            report = invoke(session, ["fix", "strict", "--write"])
            assert report is not None
            assert report.ok, report
        conninfo = make_conninfo(postgres.conninfo, dbname=form)
        started = time.perf_counter()
        with clients(conninfo) as taken:
            migrate(session, fixed=form == "fixed")
        blocked = sum(max(0.0, each - NOTICED_S) for each in taken)
        waits[form] = blocked, max(taken), time.perf_counter() - started
    (original, longest, whole), (fixed, longest_fixed, whole_fixed) = waits.values()
    return [
        Ratio(
            "fix: time that the application was kept waiting, of the original's",
            fixed / original,
            AIM,
            "at most",
            f"{fixed:.2f} s against {original:.2f} s; longest request {longest_fixed:.2f} s against"
            f" {longest:.2f} s; the whole run {whole_fixed:.1f} s against {whole:.1f} s",
        )
    ]


def migrate(session: Session, *, fixed: bool) -> None:
    """Run it as a user would, its backfill included."""
    expect(session, "run")
    if fixed:
        expect(session, "backfill", "start", "--wait")
        expect(session, "run")


def expect(session: Session, *words: str) -> None:
    report = invoke(session, list(words))
    assert report is not None
    assert report.ok, report


@contextmanager
def clients(conninfo: str) -> Iterator[list[float]]:
    """Readers and writers at work; the seconds that each of their requests took."""
    taken: list[float] = []
    stop = threading.Event()

    def work(number: int) -> None:
        choose = random.Random(number)
        query = (
            "SELECT status, total FROM orders WHERE id = %s"
            if number < READERS
            else "UPDATE orders SET coupon = 'again' WHERE id = %s"
        )
        with closing(psycopg.connect(conninfo, autocommit=True)) as conn:
            while not stop.is_set():
                began = time.perf_counter()
                conn.execute(query, [choose.randint(1, ROWS)])
                taken.append(time.perf_counter() - began)
                time.sleep(PAUSE_S)

    threads = [threading.Thread(target=work, args=[n]) for n in range(READERS + WRITERS)]
    for thread in threads:
        thread.start()
    try:
        yield taken
    finally:
        stop.set()
        for thread in threads:
            thread.join()
