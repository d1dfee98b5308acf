"""Binder builds the same environment and opens the quickstart"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import environment
import pytest

ROOT = Path(__file__).resolve().parents[2]
TRACKED = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others"]
PRIVATE = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@dataclass(frozen=True)
class Image:
    """What Binder would have built: a copy of the repository and its environment."""

    repository: Path
    python: Path
    environment: dict[str, str]

    def run(self, *command: str, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        """Run a command as Binder does: in the repository, its environment first on PATH."""
        return subprocess.run(
            command,
            cwd=self.repository,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
        )


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """A clean virtual environment in which postBuild has run."""
    home = tmp_path_factory.mktemp("binder")
    repository, venv = home / "repository", home / "venv"
    listed = subprocess.run(
        [*TRACKED, "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (repository / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, repository / name)
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True, timeout=120)
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("VIRTUAL_ENV", "PYTHON", "JUPYTER"))
    }
    short = tempfile.mkdtemp(prefix="qb-binder-")  # sockets need a short path
    ours = {"PATH": f"{venv / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin", "TMPDIR": short}
    built = Image(repository, venv / "bin" / "python", inherited | ours)
    done = built.run("bash", "binder/postBuild")
    assert done.returncode == 0, done.stdout
    yield built
    built.run(str(venv / "bin" / "qb"), "--project", "notebooks", "dev", "down", timeout=120)
    shutil.rmtree(short)


def test_the_environment_has_the_pinned_versions(image: Image) -> None:
    """Every package that Binder has is the one that the tests ran with."""
    listed = image.run(str(image.python), "-m", "pip", "list", "--format=json")
    installed = {p["name"].lower(): p["version"] for p in json.loads(listed.stdout)}
    assert {"qb", "jupyterlab", "ipywidgets", "temporalio", "psycopg"} <= set(installed)
    for name in set(installed) - {"qb", "pip", "setuptools", "wheel"}:
        pinned = environment.pin(name.replace("_", "-").replace(".", "-"))
        same = pinned == installed[name] or many(name)
        assert same, f"{name} {installed[name]}, pinned {pinned}"


def many(name: str) -> bool:
    """True when a package has a version per Python."""
    lines = environment.CONSTRAINTS.read_text().splitlines()
    return sum(line.startswith(f"{name}==") for line in lines) > 1


def test_the_quickstart_opens_first(image: Image, tmp_path: Path) -> None:
    """A JupyterLab that Binder's start script runs sends its visitor to the notebook."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = [f"--port={port}", "--ServerApp.port_retries=0", "--IdentityProvider.token=token"]
    private = {name: str(tmp_path / name.lower()) for name in PRIVATE}
    with (tmp_path / "lab.log").open("w+") as log:
        lab = subprocess.Popen(
            ["bash", "binder/start", "jupyter", "lab", "--no-browser", "--ip=127.0.0.1", *options]
            + (["--allow-root"] if os.geteuid() == 0 else []),
            cwd=image.repository,
            env=image.environment | private,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            there = redirection(port, lab)
        finally:
            lab.terminate()
            lab.wait(timeout=60)
        log.seek(0)
        assert there == "/lab/tree/notebooks/01_quickstart.ipynb", log.read()
    assert (image.repository / "notebooks" / "01_quickstart.ipynb").is_file()


def redirection(port: int, lab: subprocess.Popen[bytes]) -> str:
    """Where the server at a port sends a visitor of `/`, once it answers."""
    deadline = time.monotonic() + 90
    while lab.poll() is None and time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", "/?token=token")
            return (connection.getresponse().getheader("Location") or "").partition("?")[0]
        except ConnectionError:
            time.sleep(0.2)
        finally:
            connection.close()
    return "it did not answer"


def test_start_hands_over_to_the_command_that_it_is_given(image: Image) -> None:
    """The servers are started beside it; the command's output and exit code are its own."""
    ran = image.run(
        "bash", "binder/start", str(image.python), "-c", "print('served'); raise SystemExit(7)"
    )
    assert ran.returncode == 7
    assert "served" in ran.stdout


def test_start_brings_the_servers_up(image: Image) -> None:
    """Soon after the start, both answer."""
    wait = (
        "import json, subprocess, sys, time\n"
        "end = time.monotonic() + 90\n"
        "command = ['qb', '--project', 'notebooks', 'dev', 'status', '--json']\n"
        "while time.monotonic() < end:\n"
        "    said = subprocess.run(command, capture_output=True, text=True)\n"
        "    servers = json.loads(said.stdout).get('servers')\n"
        "    if servers and all(server['running'] for server in servers):\n"
        "        sys.exit(0)\n"
        "    time.sleep(0.5)\n"
        "print(said.stdout, said.stderr)\n"
        "sys.exit(1)\n"
    )
    ran = image.run("bash", "binder/start", str(image.python), "-c", wait)
    log = Path(image.environment["TMPDIR"]) / "qb-dev-up.log"
    assert ran.returncode == 0, ran.stdout + log.read_text()
