"""qb in processes of their own, also as other users of this machine"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

ENSURE = """
import sys
from pathlib import Path
from qb_engine.database import embedded
server = getattr(embedded, sys.argv[1])(Path(sys.argv[2]))
print(server.ensure(), server.status().pid, sep="|", flush=True)
"""

CONNECT = "import psycopg, sys; psycopg.connect(sys.argv[1], connect_timeout=5); print('connected')"


def python(script: str, *arguments: Any, user: int | None = None) -> subprocess.Popen[str]:
    """Start a Python script in a session of its own; as `user`, with no other group."""
    switch: dict[str, Any] = {"user": user, "group": user, "extra_groups": []} if user else {}
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd="/",
        start_new_session=True,
        **switch,
    )


def ensure(kind: str, home: Path, user: int | None = None) -> subprocess.Popen[str]:
    """Start a process that calls `ensure()` on a server and tells its address and pid."""
    return python(ENSURE, kind, home, user=user)


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


def readable_by_others() -> bool:
    """True when another user can run this Python with qb in it."""
    if os.geteuid() != 0:
        return False
    probe = python("import qb_engine.database.embedded, psycopg", user=1)
    probe.communicate(timeout=60)
    return probe.returncode == 0
