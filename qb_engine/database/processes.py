"""which processes live: by pid and time of birth, and by the folder that they work in"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

SERVERS = frozenset({"postgres", "temporal"})
"""Names of the programs that `living_in` looks for; a shell in the same folder is none of ours."""

DEAD = frozenset("ZX")  # a zombie has ended, though its pid is still taken


def born(pid: int) -> str | None:
    """When the process was born, as a text that no other process shares; None when it is dead."""
    state, birth = _look(pid)
    return birth if state and state not in DEAD else None


def alive(pid: int, birth: str) -> bool:
    """True when the process with that pid is the one that was born then, and has not ended."""
    state, actual = _look(pid)
    if not birth or actual != birth:
        return False
    if state not in DEAD:
        return True
    with contextlib.suppress(ChildProcessError):  # ours to bury only when we started it
        os.waitpid(pid, os.WNOHANG)
    return False


def living_in(folder: Path) -> list[int]:
    """The servers whose working folder is `folder`, by the names in SERVERS.

    Only Linux tells this cheaply; elsewhere the lock on the log has to do.
    """
    if not sys.platform.startswith("linux"):
        return []
    wanted = {os.fspath(folder), f"{folder} (deleted)"}
    return sorted(int(e) for e in os.listdir("/proc") if e.isdecimal() and _in(e, wanted))


def _in(entry: str, folders: set[str]) -> bool:
    try:
        if os.readlink(f"/proc/{entry}/cwd") not in folders:
            return False
        return Path(f"/proc/{entry}/comm").read_text().strip() in SERVERS and bool(born(int(entry)))
    except OSError:  # it has ended, or belongs to another user
        return False


def _look(pid: int) -> tuple[str, str]:
    """The state of a process (one letter) and its birth; two empty texts when there is none."""
    if pid <= 0:
        return "", ""
    if sys.platform.startswith("linux"):
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return "", ""
        fields = stat.rpartition(")")[2].split()
        state, threads, ticks = fields[0], fields[17], fields[19]
        if state in DEAD and int(threads) > 1:
            state = "D"  # its first thread has ended, the others still hold its files and ports
        return state, f"{_boot()}:{ticks}"
    told = subprocess.run(
        ["ps", "-o", "state=,lstart=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.defpath, "LC_ALL": "C"},
    )
    state, _, birth = told.stdout.strip().partition(" ")
    return state[:1], birth.strip()


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:  # hidden in some sandboxes; the ticks alone are nearly as good
        return ""
