"""a migration of 1,000,000 rows that is observed and watched, against the same statements bare"""

from __future__ import annotations

import secrets
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from qb_engine.database.embedded import EmbeddedPostgres
from qb_engine.execution import Executor, Policy, blocks
from qb_engine.migrations import Part
from qb_engine.sql import read
from tests.benchmarks.ratio import Ratio

ROWS = 1_000_000
ROUNDS = 7
TARGET = 1.05

FRESH = """
DROP TABLE IF EXISTS orders;
CREATE TABLE orders AS SELECT * FROM orders_before;
ALTER TABLE orders ADD PRIMARY KEY (id);
CHECKPOINT
"""

# What scans, rewrites, builds and writes; and what takes no time, where looking weighs most.
MIGRATION = """
ALTER TABLE orders ADD COLUMN state text NOT NULL DEFAULT 'new';
COMMENT ON COLUMN orders.state IS 'where the order is';
ALTER TABLE orders ADD CONSTRAINT positive CHECK (amount >= 0) NOT VALID;
ALTER TABLE orders VALIDATE CONSTRAINT positive;
UPDATE orders SET state = 'old' WHERE id % 10 = 0;
CREATE INDEX orders_customer ON orders (customer);
ALTER TABLE orders ALTER COLUMN note SET NOT NULL;
CREATE TABLE order_note (order_id bigint REFERENCES orders, note text);
ALTER TABLE orders ALTER COLUMN amount TYPE bigint;
"""


def run(conninfo: str | None = None) -> list[Ratio]:
    """Measure on a server, or on one of its own."""
    if conninfo is None:
        with tempfile.TemporaryDirectory(prefix="qb-bench-") as folder:
            Path(folder).chmod(0o755)  # as root, the server is another user
            server = EmbeddedPostgres(Path(folder))
            try:
                return run(server.ensure())
            finally:
                server.purge()
    name = f"bench_{secrets.token_hex(4)}"
    with psycopg.connect(conninfo, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            return measure(make_conninfo(conninfo, dbname=name))
        finally:
            admin.execute(sql.SQL("DROP DATABASE {} (FORCE)").format(sql.Identifier(name)))


def measure(conninfo: str) -> list[Ratio]:
    """The medians of interleaved rounds, as a ratio."""
    (block,) = blocks([Part("migration", "m.sql", read(MIGRATION), ())])
    with (
        psycopg.connect(conninfo, autocommit=True) as acting,
        psycopg.connect(conninfo, autocommit=True) as watching,
    ):
        fill(acting)
        looks = 0

        def bare() -> None:
            with acting.transaction():
                for step in block.steps:
                    acting.execute(step.statement.sql.encode())

        def observed() -> None:
            nonlocal looks
            executor = Executor(
                acting,
                watching,
                Policy(max_blocked=5.0),
                opener=lambda: psycopg.connect(conninfo, autocommit=True),
            )
            try:
                executor.run(block)
                looks += len(executor.samples())
            finally:
                executor.close()

        taken: dict[Callable[[], None], list[float]] = {bare: [], observed: []}
        for at in range(ROUNDS):
            order = list(taken)
            for work in order if at % 2 else reversed(order):
                acting.execute(FRESH.encode())
                acting.execute("DROP TABLE IF EXISTS order_note")
                started = time.perf_counter()
                work()
                taken[work].append(time.perf_counter() - started)
                acting.execute("DROP TABLE order_note")
    assert looks, "nothing was looked at: the migration is too short to say anything"
    without, with_ = (statistics.median(seconds) for seconds in taken.values())
    return [
        Ratio(
            f"a migration of {ROWS:,} rows, observed and watched / bare",
            with_ / without,
            TARGET,
            "at most",
            f"{with_:.2f} s / {without:.2f} s, {looks // ROUNDS} looks kept a run",
        )
    ]


def fill(conn: psycopg.Connection) -> None:
    """Make the rows that each round starts with."""
    conn.execute(
        b"CREATE TABLE orders_before AS SELECT g::bigint AS id, g % 5000 AS customer,"
        b" g % 900 AS amount, 'note ' || g AS note FROM generate_series(1, "
        + str(ROWS).encode()
        + b") g"
    )
    conn.execute("VACUUM ANALYZE orders_before")


if __name__ == "__main__":
    for ratio in run():
        print(f"{ratio.name}: {ratio.value:.2f} (at most {ratio.target:g}), {ratio.detail}")
