"""running a script of ours with the project's Node.js: events come back, time is limited

The project's code runs there, so it gets an environment without the target: no PG variables, no
passwords, and URLs of databases that lead nowhere.
"""

from __future__ import annotations

import json
import os
import re
import selectors
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from qb_engine import secrets
from qb_engine.errors import InputError
from qb_engine.typeorm.finding import scripts

HERE = Path(__file__).parent
OLDEST = (18, 19)  # the first that takes --import
START_S = 60.0  # to load TypeORM and the data source
NOWHERE = "postgresql://nobody@127.0.0.1:1/nowhere"
SHOWN = 3  # lines of what a script printed last, in an error
TAIL = 4096  # bytes of it that are looked at

_AWAY = re.compile(
    r"(?i)^(PG|QB_|DB_|DATABASE|POSTGRES|TYPEORM|RDS_|NODE_OPTIONS$)|PASSW|PASSPHRASE"
)
_URL = re.compile(r"(?i)postgres(ql)?://|@")


@dataclass(frozen=True, slots=True)
class Node:
    """The program, and the options that make it read the project's TypeScript.

    `loader` is what it is called in messages: tsx, ts-node, or `compiled` where there is neither.
    """

    program: str
    loader: str
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ended(Exception):
    """A script that did not say that it was done: `why`, and what it had printed."""

    why: str
    printed: str = ""

    def __str__(self) -> str:
        return f"{self.why}; it printed: {self.printed}" if self.printed else self.why


def found(root: Path) -> tuple[Node, ...]:
    """The ways to run the project's code, best first.

    Raise InputError without a Node.js, for an old one, and when the project has no TypeORM.
    """
    named = shutil.which("node")
    if named is None:
        raise _impossible("Node.js is not installed", "node is not on the PATH", "install Node.js")
    program, version = _asked(named)
    if version < OLDEST:
        said = ".".join(map(str, version))
        raise _impossible(
            f"Node.js is too old: {said}",
            f"the project's code is loaded in a way that {OLDEST[0]}.{OLDEST[1]} brought",
            "install a newer Node.js",
        )
    if not _has(root, "typeorm"):
        raise _impossible(
            "TypeORM is not installed in the project",
            f"there is no node_modules/typeorm in {root} or above it",
            "install the project's packages (npm install), then repeat the command",
        )
    ways = []
    if _has(root, "tsx"):
        ways.append(Node(program, "tsx", ("--import", "tsx")))
    if _has(root, "ts-node"):
        paths = ("-r", "tsconfig-paths/register") if _has(root, "tsconfig-paths") else ()
        ways.append(Node(program, "ts-node", ("-r", "ts-node/register/transpile-only", *paths)))
    if len(ways) == 2 and any("ts-node" in each for each in scripts(root).values()):
        ways.reverse()  # the project's own way comes first
    return (*ways, Node(program, "compiled"))


def version_of(root: Path, package: str = "typeorm") -> str:
    """The version of a package in the project; empty when it is not installed."""
    for folder in (root, *root.parents):
        file = folder / "node_modules" / package / "package.json"
        if file.is_file():
            with suppress(OSError, ValueError):
                return str(json.loads(file.read_text(encoding="utf-8")).get("version", ""))
    return ""


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """What of an environment the project's code may see: nothing that leads to a database."""
    kept = {}
    for name, value in given.items():
        if _AWAY.search(name) or secrets.mask(value) != value:
            continue
        kept[name] = NOWHERE if _URL.search(value) and "://" in value else value
    return {**kept, "DATABASE_URL": NOWHERE, "PGHOST": "127.0.0.1", "PGPORT": "1", "PGPASSFILE": ""}


def events(
    node: Node, script: str, root: Path, plan: Mapping[str, Any], *, each_s: float = START_S
) -> Iterator[dict[str, Any]]:
    """Run a script of ours in the project's folder, and what it tells, one event at a time.

    Every event has to come within `each_s` seconds of the one before it; to load everything takes
    longer. Raise Ended when none comes, or when the script ends by itself without being done.
    """
    reading, writing = os.pipe()
    with tempfile.TemporaryFile() as printed, tempfile.TemporaryFile() as plans:
        plans.write(json.dumps(plan).encode())
        plans.seek(0)
        process = subprocess.Popen(
            [node.program, *node.options, str(HERE / script), str(writing)],
            cwd=root, env=environment(os.environ), stdin=plans, stdout=printed, stderr=printed,
            pass_fds=(writing,), start_new_session=True,
        )  # fmt: skip
        os.close(writing)
        try:
            with os.fdopen(reading, "rb", buffering=0) as pipe:
                for event in _lines(pipe, each_s, printed):
                    yield event
                    if event["event"] == "done":
                        return
            code = process.wait(timeout=each_s)
            raise Ended(f"node ended with exit code {code}", _tail(printed))
        except subprocess.TimeoutExpired:
            raise Ended("node did not end", _tail(printed)) from None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _lines(pipe: IO[bytes], each_s: float, printed: IO[bytes]) -> Iterator[dict[str, Any]]:
    """The events of a pipe until it is closed."""
    rest = b""
    limit = max(START_S, each_s)
    until = time.monotonic() + limit
    with selectors.DefaultSelector() as waiting:
        waiting.register(pipe, selectors.EVENT_READ)
        while True:
            if not waiting.select(max(0.0, until - time.monotonic())):
                raise Ended(f"it did not end within {limit:g} s", _tail(printed))
            more = pipe.read(1 << 16)
            if not more:
                return
            *lines, rest = (rest + more).split(b"\n")
            for line in lines:
                limit = each_s
                until = time.monotonic() + limit
                yield json.loads(line)


def _tail(printed: IO[bytes]) -> str:
    """The last of what a script printed, without what is secret."""
    printed.flush()
    size = printed.seek(0, os.SEEK_END)
    printed.seek(max(0, size - TAIL))
    lines = printed.read().decode("utf-8", "replace").strip().splitlines()
    return secrets.mask("\n".join(line[:200] for line in lines[-SHOWN:]))


def _asked(named: str) -> tuple[str, tuple[int, int]]:
    """The program behind a shim, and its version."""
    ask = "process.stdout.write(process.execPath + '\\n' + process.versions.node)"
    try:
        done = subprocess.run(
            [named, "-e", ask], capture_output=True, text=True, timeout=START_S, check=True
        )
        program, version = done.stdout.splitlines()
        major, minor = version.split(".")[:2]
        return program, (int(major), int(minor))
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise _impossible("Node.js does not run", str(error), "mend its installation") from None


def _has(root: Path, package: str) -> bool:
    return any((each / "node_modules" / package).is_dir() for each in (root, *root.parents))


def _impossible(what: str, why: str, todo: str) -> InputError:
    return InputError(what, where="node", why=why, todo=todo, code="not-recorded")
