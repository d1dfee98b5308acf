"""run the tests as one pytest run, and see that nothing is left running

python .ci/run_tests.py [arguments of pytest]
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import chromium
import node
import pgbouncer

ROOT = Path(__file__).resolve().parent.parent
MARK = "QB_TEST_RUN"  # every process of a run inherits it, so that its leftovers are known
GRACE_S = 10.0  # a server that was told to stop may take this long

# A test never reaches a server of the user's by accident, and starts its processes quickly.
LEFT_OUT = ("DATABASE_URL", "QB_DATABASE_URL", "PYTHONDONTWRITEBYTECODE")


def main(arguments: list[str]) -> int:
    """Run pytest over everything that can run here."""
    browser, why = chromium.find_or_install()
    if browser is None:
        print(f"chromium: not found: {why}", flush=True)
        if os.environ.get("CI") == "true":
            print("chromium: the browser tests cannot be left out in CI", flush=True)
            return 1
        print("chromium: the tests marked `browser` are left out", flush=True)
        arguments = ["-m", "not browser", *arguments]
    pooler, why = pgbouncer.find_or_install()
    if pooler is None:
        print(f"pgbouncer: not found: {why}", flush=True)
        if os.environ.get("CI") == "true":
            print("pgbouncer: the tests through a pooler cannot be left out in CI", flush=True)
            return 1
    typeorm, why = node.find_or_install()
    if typeorm is None:
        print(f"typeorm: not installed: {why}", flush=True)
        if os.environ.get("CI") == "true" and not node.missing():
            print("typeorm: its tests cannot be left out where there is a node", flush=True)
            return 1
        print("typeorm: the tests that run the real TypeORM say that they are left out", flush=True)
    return run(arguments)


def run(arguments: list[str]) -> int:
    """Run pytest with two workers and end what it leaves running, which counts as a failure."""
    mark = uuid.uuid4().hex
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in LEFT_OUT and not name.startswith(("PG", "TEMPORAL_"))
    }
    environment[MARK] = mark
    environment["PATH"] = f"{ROOT / '.venv' / 'bin'}{os.pathsep}{environment.get('PATH', '')}"
    command = [sys.executable, "-m", "pytest", "-n", "2", "--dist", "loadfile", *arguments]
    finished = subprocess.run(command, cwd=ROOT, env=environment, check=False)
    left = end_leftovers(mark)
    for line in left:
        print(f"left running by the tests, now ended: {line}", flush=True)
    return finished.returncode or bool(left)


def end_leftovers(run: str) -> list[str]:
    """Wait for the run's processes to be gone; end those that stay, and name them."""
    deadline = time.monotonic() + GRACE_S
    while (left := marked(run)) and time.monotonic() < deadline:
        time.sleep(0.1)
    named = [f"{pid} {command}" for pid, command in left.items()]
    for pid in left:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    return named


def marked(run: str) -> dict[int, str]:
    """The processes that carry the mark of a run: pid and command. Linux only."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={run}".encode() in (folder / "environ").read_bytes():
                words = (folder / "cmdline").read_bytes().split(b"\0")
                found[int(folder.name)] = b" ".join(words).decode(errors="replace")[:120]
        except OSError:
            continue  # gone meanwhile, or another user's
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
