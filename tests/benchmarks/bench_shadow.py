"""a shadow of a target with 1,000 tables, the first and the next, against `pg_dump | psql`

A next one takes a copy that the server has made ahead, in the background, since the one before.
"""

from __future__ import annotations

import secrets
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from qb_engine.database import Target
from qb_engine.database.embedded import EmbeddedPostgres
from qb_engine.shadow import Scratch, like
from qb_engine.shadow.templates import SPARE, TEMPLATE
from tests.benchmarks.bench_snapshot import fill
from tests.benchmarks.ratio import Ratio

TABLES, ROUNDS = 1_000, 3
FIRST_TARGET, NEXT_TARGET = 1.2, 0.1


def run() -> list[Ratio]:
    """Measure on a server of its own, set as the embedded one always is."""
    with tempfile.TemporaryDirectory(prefix="qb-bench-") as folder:
        Path(folder).chmod(0o755)  # as root, the server is another user
        server = EmbeddedPostgres(Path(folder))
        try:
            return measure(server.ensure(), server)
        finally:
            server.purge()


def measure(conninfo: str, server: EmbeddedPostgres) -> list[Ratio]:
    """The medians of interleaved rounds, as ratios. Dropping is not counted, on either side."""
    taken: dict[str, list[float]] = {"psql": [], "first": [], "next": []}
    with psycopg.connect(make_conninfo(conninfo, dbname="postgres"), autocommit=True) as admin:
        _again(admin, "bench_target", "CREATE DATABASE {}")
        target = make_conninfo(conninfo, dbname="bench_target")
        fill(target, TABLES)
        for _ in range(ROUNDS):
            copy = f"bench_{secrets.token_hex(4)}"
            _again(admin, copy, "CREATE DATABASE {}")
            taken["psql"].append(_piped(server, target, make_conninfo(conninfo, dbname=copy)))
            _again(admin, copy, "DROP DATABASE {}")
            taken["first"].append(_shadowed(conninfo, target))
            _rest(admin)
            taken["next"].append(_shadowed(conninfo, target))
            _rest(admin)
            _forget(admin)
    piped, first, following = (statistics.median(seconds) for seconds in taken.values())
    return [
        Ratio(
            f"{what} shadow of {TABLES:,} tables / pg_dump | psql",
            value / piped,
            aim,
            "at most",
            f"{value * 1e3:.0f} ms / {piped * 1e3:.0f} ms",
        )
        for what, value, aim in (
            ("first", first, FIRST_TARGET),
            ("next", following, NEXT_TARGET),
        )
    ]


def _shadowed(conninfo: str, target: str) -> float:
    started = time.perf_counter()
    with like(Scratch(Target("scratch", conninfo)), Target("target", target)) as shadow:
        shadow.connect().close()
        return time.perf_counter() - started


def _piped(server: EmbeddedPostgres, source: str, into: str) -> float:
    started = time.perf_counter()
    dump = subprocess.Popen(
        [str(server.bin("pg_dump")), "--schema-only", "--dbname", source], stdout=subprocess.PIPE
    )
    with dump:
        load = [str(server.bin("psql")), "--quiet", "--no-psqlrc", "--dbname", into]
        subprocess.run(load, stdin=dump.stdout, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def _rest(admin: psycopg.Connection[tuple[object, ...]]) -> None:
    """Wait for the copy that is made ahead while nobody waits for it."""
    ready = "SELECT count(*) FROM pg_database WHERE starts_with(datname, %s)"
    while admin.execute(ready, [SPARE]).fetchone() != (1,):
        time.sleep(0.05)


def _forget(admin: psycopg.Connection[tuple[object, ...]]) -> None:
    """Drop the templates, so that the next shadow is a first one."""
    names = admin.execute(
        "SELECT datname::text FROM pg_database WHERE starts_with(datname, %s)"
        " OR starts_with(datname, %s)",
        [TEMPLATE, SPARE],
    )
    for (name,) in names.fetchall():
        _again(admin, str(name), "DROP DATABASE {} WITH (FORCE)")


def _again(admin: psycopg.Connection[tuple[object, ...]], name: str, statement: str) -> None:
    admin.execute(sql.SQL(statement).format(sql.Identifier(name)))  # type: ignore[arg-type]


if __name__ == "__main__":
    for ratio in run():
        print(f"{ratio.name}: {ratio.value:.2f} (at most {ratio.target:g}), {ratio.detail}")
