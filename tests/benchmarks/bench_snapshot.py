"""snapshots of 1,000 and of 10,000 tables, and the probe, against `pg_dump --schema-only`"""

from __future__ import annotations

import secrets
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from qb_engine.database.embedded import EmbeddedPostgres
from qb_engine.schema import probe, snapshot
from tests.benchmarks.ratio import Ratio

SIZES = {1_000: 11, 10_000: 5}  # tables: rounds
SNAPSHOT_TARGET, PROBE_TARGET = 0.4, 0.1

# Ten columns, identity, a primary key, a foreign key, a check and three indexes each.
TABLE = """
CREATE TABLE t{n} (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    parent bigint REFERENCES t{parent},
    a text NOT NULL,
    b varchar(20) DEFAULT 'x',
    c integer NOT NULL DEFAULT 0 CHECK (c >= 0),
    d timestamptz DEFAULT now(),
    e numeric(10,2),
    f jsonb,
    g boolean,
    h uuid
);
CREATE INDEX ON t{n} (a);
CREATE INDEX ON t{n} (c, d DESC) WHERE g;
CREATE INDEX ON t{n} (lower(b));
"""


def run(conninfo: str | None = None, pg_dump: str | None = None) -> list[Ratio]:
    """Measure on a server, or on one of its own.

    Each snapshot opens its connection, as pg_dump does; the probe is polled on one that is open.
    """
    if conninfo is None or pg_dump is None:
        with tempfile.TemporaryDirectory(prefix="qb-bench-") as folder:
            Path(folder).chmod(0o755)  # as root, the server is another user
            server = EmbeddedPostgres(Path(folder))
            try:
                return run(server.ensure(), str(server.bin("pg_dump")))
            finally:
                server.purge()
    found = []
    for tables, rounds in SIZES.items():
        name = f"bench_{secrets.token_hex(4)}"
        with psycopg.connect(conninfo, autocommit=True) as admin:
            admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            try:
                found += measure(make_conninfo(conninfo, dbname=name), pg_dump, tables, rounds)
            finally:
                admin.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))
    return found


def measure(conninfo: str, pg_dump: str, tables: int, rounds: int) -> list[Ratio]:
    """The medians of interleaved rounds, as ratios."""
    fill(conninfo, tables)

    def dump() -> None:
        command = [pg_dump, "--schema-only", "--dbname", conninfo]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)

    def read() -> None:
        with psycopg.connect(conninfo, autocommit=True) as conn:
            assert snapshot(conn).fingerprint

    poller = psycopg.connect(conninfo, autocommit=True)

    def look() -> None:
        assert probe(poller)

    taken: dict[Callable[[], None], list[float]] = {dump: [], read: [], look: []}
    for _ in range(rounds):
        for work, seconds in taken.items():
            started = time.perf_counter()
            work()
            seconds.append(time.perf_counter() - started)
    poller.close()
    dumped, read_, looked = (statistics.median(seconds) for seconds in taken.values())
    return [
        Ratio(
            f"{what} of {tables:,} tables / pg_dump --schema-only",
            value / dumped,
            target,
            "at most",
            f"{value * 1e3:.0f} ms / {dumped * 1e3:.0f} ms",
        )
        for what, value, target in (
            ("snapshot and fingerprint", read_, SNAPSHOT_TARGET),
            ("probe", looked, PROBE_TARGET),
        )
    ]


def fill(conninfo: str, tables: int) -> None:
    """Create the tables, and let the catalogs come to rest."""
    with psycopg.connect(conninfo, autocommit=True) as conn:
        for first in range(1, tables + 1, 100):
            script = "".join(
                TABLE.format(n=n, parent=max(n - 1, 1)) for n in range(first, first + 100)
            )
            conn.execute(sql.SQL(script))  # type: ignore[arg-type]
        conn.execute("VACUUM ANALYZE")


if __name__ == "__main__":
    for ratio in run():
        print(f"{ratio.name}: {ratio.value:.2f} (at most {ratio.target:g}), {ratio.detail}")
