"""other tools, each made to replay the chain: a folder in its own format, and how it is called"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from qb_engine.database.embedded import pg_binary
from qb_engine.sql import read
from tests.benchmarks import chain

Replay = Callable[[str], float]
"""Replays the chain on an empty database; how long it took, in seconds."""

PSQL_EVERY = 10  # of so many files one is sent by psql and timed; the others by psycopg, untimed

ALEMBIC_INI = "[alembic]\nscript_location = {folder}\n"
ALEMBIC_ENV = """
import os
from alembic import context
from sqlalchemy import create_engine, pool

engine = create_engine(os.environ["ALEMBIC_URL"], poolclass=pool.NullPool)
with engine.connect() as connection:
    context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()
"""
ALEMBIC_FILE = """
from alembic import op

revision = {revision!r}
down_revision = {down!r}
branch_labels = depends_on = None


def upgrade():
{calls}
"""

TYPEORM_FILE = """
module.exports.{name} = class {name} {{
    name = "{name}";
    async up(runner) {{
{calls}
    }}
    async down(runner) {{}}
}};
"""
TYPEORM_RUN = """
const {{ DataSource }} = require("typeorm");
const [, , host, username, database] = process.argv;
const source = new DataSource({{
    type: "postgres", host, username, database, port: {port}, migrations: [{files!r}],
}});
(async () => {{
    await source.initialize();
    const done = await source.runMigrations({{ transaction: "each" }});
    await source.destroy();
    if (done.length !== {count}) throw new Error("only " + done.length);
}})().catch((error) => {{ console.error(error); process.exit(1); }});
"""
PACKAGES = ("typeorm@latest", "pg")
INSTALL_S = 300


def statements(count: int) -> list[tuple[str, str, list[str]]]:
    """Of each migration its stamp, its name and its statements."""
    return [
        (chain.stamp(at), name, [each.sql for each in read(text)])
        for at, (name, text) in enumerate(chain.chain(count))
    ]


def process(command: Sequence[str | Path], cwd: Path, **more: str) -> float:
    """Run a program to its end; how long it took. Raise when it failed."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    started = time.perf_counter()
    done = subprocess.run(
        command, cwd=cwd, env={**environment, **more}, capture_output=True, text=True, check=False
    )
    taken = time.perf_counter() - started
    assert done.returncode == 0, f"{command[0]}: {done.stderr or done.stdout}"
    return taken


def psql(paths: Sequence[Path]) -> Replay:
    """A psql for each file; a sample of them, scaled to all."""

    def replay(conninfo: str) -> float:
        taken = []
        with psycopg.connect(conninfo, autocommit=True) as conn:
            for at, path in enumerate(paths):
                if at % PSQL_EVERY:
                    conn.execute(path.read_bytes())
                    continue
                command = [pg_binary("psql"), "-X", "-q", "-1", "-v", "ON_ERROR_STOP=1"]
                taken.append(process([*command, "-d", conninfo, "-f", path], path.parent))
        return sum(taken) / len(taken) * len(paths)

    return replay


def dbmate(folder: Path, count: int) -> Replay | None:
    """dbmate from its wheel, without its dump at the end; None where it is missing."""
    beside = Path(sys.executable).with_name("dbmate")
    program = str(beside) if beside.is_file() else shutil.which("dbmate")
    if program is None:
        return None
    folder.mkdir()
    for at, (name, text) in enumerate(chain.chain(count)):
        (folder / f"{chain.stamp(at)}_{name}.sql").write_text(
            f"-- migrate:up\n{text}-- migrate:down\n"
        )

    def replay(conninfo: str) -> float:
        part = _parts(conninfo)
        url = (
            f"postgres://{part['user']}@/{part['dbname']}?socket={part['host']}"
            f"&port={part['port']}&sslmode=disable"
        )
        options = ["--url", url, "--migrations-dir", str(folder), "--no-dump-schema"]
        return process([program, *options, "migrate"], folder)

    return replay


def alembic(folder: Path, count: int) -> tuple[Replay, Replay]:
    """Alembic called from Python, and as a program."""
    (folder / "versions").mkdir(parents=True)
    (folder / "alembic.ini").write_text(ALEMBIC_INI.format(folder=folder))
    (folder / "env.py").write_text(ALEMBIC_ENV)
    down = None
    for stamp, name, texts in statements(count):
        calls = "\n".join(f"    op.execute({text.replace(':', chr(92) + ':')!r})" for text in texts)
        body = ALEMBIC_FILE.format(revision=stamp, down=down, calls=calls)
        (folder / "versions" / f"{stamp}_{name}.py").write_text(body)
        down = stamp

    def inside(conninfo: str) -> float:
        from alembic import command
        from alembic.config import Config

        os.environ["ALEMBIC_URL"] = _sqlalchemy(conninfo)
        started = time.perf_counter()
        command.upgrade(Config(str(folder / "alembic.ini")), "head")
        return time.perf_counter() - started

    def outside(conninfo: str) -> float:
        program = [sys.executable, "-m", "alembic", "upgrade", "head"]
        return process(program, folder, ALEMBIC_URL=_sqlalchemy(conninfo))

    return inside, outside


def typeorm(folder: Path, cache: Path, count: int) -> tuple[Replay | None, str]:
    """TypeORM on node; or None, and what is missing."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None, "node and npm are not here"
    if why := _install(npm, cache):
        return None, why
    (folder / "migrations").mkdir(parents=True)
    for stamp, name, texts in statements(count):
        named = "".join(map(str.capitalize, name.split("_"))) + stamp[-13:]
        calls = "\n".join(f"        await runner.query({json.dumps(text)});" for text in texts)
        body = TYPEORM_FILE.format(name=named, calls=calls)
        (folder / "migrations" / f"{stamp}-{name}.js").write_text(body)
    files = str(folder / "migrations" / "*.js")

    def replay(conninfo: str) -> float:
        part = _parts(conninfo)
        text = TYPEORM_RUN.format(port=part["port"], files=files, count=count)
        (folder / "replay.js").write_text(text)
        given = [part["host"], part["user"], part["dbname"]]
        return process([node, "replay.js", *given], folder, NODE_PATH=str(cache / "node_modules"))

    return replay, ""


def _install(npm: str, cache: Path) -> str:
    """Install the packages once; why that did not go, or nothing."""
    if (cache / "node_modules" / "typeorm").is_dir():
        return ""
    cache.mkdir(parents=True, exist_ok=True)
    command = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(cache), *PACKAGES]
    try:
        done = subprocess.run(
            command, cwd=cache, capture_output=True, text=True, timeout=INSTALL_S, check=False
        )
    except subprocess.TimeoutExpired:
        return f"npm did not end within {INSTALL_S} s"
    said = (done.stderr.strip().splitlines() or ["npm failed"])[-1]
    return "" if done.returncode == 0 else said


def _parts(conninfo: str) -> Mapping[str, str]:
    """Where a database is, in words."""
    return {"port": "5432", **{k: str(v) for k, v in conninfo_to_dict(conninfo).items()}}


def _sqlalchemy(conninfo: str) -> str:
    part = _parts(conninfo)
    where = f"host={part['host']}&port={part['port']}"
    return f"postgresql+psycopg://{part['user']}@/{part['dbname']}?{where}"
