"""the supervision that both servers share: one child per name, believed only when it is the one"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from qb_engine import secrets
from qb_engine.database.daemon import Daemon, Record
from qb_engine.database.processes import alive, born
from qb_engine.errors import ServerError

STOP = ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0))


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon whose child a test may start; it is gone after the test."""
    made = Daemon("sleeper", tmp_path, tmp_path / "sleeper.log")
    yield made
    made.stop(tmp_path, *STOP)


def start(daemon: Daemon, script: str) -> Record:
    """Start a shell script as the child."""
    return daemon.start(
        ["/bin/sh", "-c", script],
        data=daemon.home,
        environment={"PATH": os.defpath},
        switch={},
        facts={"port": 7},
    )


def test_another_instance_finds_the_child(daemon: Daemon) -> None:
    record = start(daemon, "exec sleep 600")
    assert Daemon("sleeper", daemon.home, daemon.log).found() == record


def test_a_stopped_child_is_forgotten_and_its_facts_are_not(daemon: Daemon) -> None:
    record = start(daemon, "exec sleep 600")
    assert daemon.stop(daemon.home, *STOP)
    assert not alive(record.pid, record.born)
    assert daemon.found() is None
    assert daemon.remembered() == {"port": 7}
    assert not daemon.stop(daemon.home, *STOP)


def test_a_child_that_ignores_the_first_signal_gets_the_next(daemon: Daemon) -> None:
    record = start(daemon, "trap '' TERM; echo deaf; while :; do sleep 0.05; done")
    daemon.wait(record, lambda: "deaf" in daemon.log.read_text(), timeout=30)
    assert daemon.stop(daemon.home, (signal.SIGTERM, 0.05), (signal.SIGKILL, 10.0))
    assert born(record.pid) is None


def test_a_child_whose_gate_stays_closed_never_runs(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the starter is killed before the record is on disk."""

    def no_space(_: Record) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(daemon, "_write", no_space)
        with pytest.raises(OSError, match="No space"):
            start(daemon, "echo ran; exec sleep 600")
    with daemon.claimed(daemon.home):  # waits for the child's end: it held the log
        assert daemon.log.read_text() == ""


def test_a_child_that_dies_at_once_is_an_error_with_its_last_words(daemon: Daemon) -> None:
    secrets.remember("canary-in-a-log")
    record = start(daemon, "echo cannot open canary-in-a-log; exit 3")
    with pytest.raises(ServerError, match="ended while it was starting") as caught:
        daemon.wait(record, lambda: False, timeout=30)
    assert caught.value.where == str(daemon.log)
    assert caught.value.why == "cannot open ***"
    assert daemon.found() is None


def test_two_children_at_once_are_refused_by_the_log(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record is gone and the process cannot be seen: it runs in another container."""
    monkeypatch.setattr("qb_engine.database.daemon.CLAIM_S", 0.1)
    record = start(daemon, "exec sleep 600")
    daemon.forget()
    with pytest.raises(ServerError, match="seems to run already"):
        start(daemon, "exec sleep 600")
    os.kill(record.pid, signal.SIGKILL)


def test_the_lock_says_who_is_waited_for(daemon: Daemon) -> None:
    other = Daemon("sleeper", daemon.home, daemon.log)
    with (
        daemon.locked(),
        pytest.raises(ServerError, match="starting or stopping") as caught,
        other.locked(timeout=0.05),
    ):
        raise AssertionError("two hold the lock")
    assert caught.value.where.endswith("sleeper.lock")
    with other.locked():
        pass


def test_a_lock_file_deleted_while_held_protects_nobody_and_blocks_nobody(daemon: Daemon) -> None:
    with daemon.locked():
        (daemon.home / "sleeper.lock").unlink()
        with contextlib.ExitStack() as stack:
            stack.enter_context(daemon.locked(timeout=5))


def test_a_huge_log_is_put_aside(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qb_engine.database.daemon.LOG_LIMIT", 10)
    daemon.log.write_text("long ago " * 10)
    start(daemon, "exec sleep 600")
    assert daemon.log.read_text() == ""
    assert daemon.log.with_suffix(".log.1").read_text().startswith("long ago")


def test_no_process_is_taken_for_another(daemon: Daemon) -> None:
    me = os.getpid()
    birth = born(me)
    assert birth
    assert alive(me, birth)
    assert not alive(me, "another boot:1")
    assert not alive(me, "")
    assert not alive(0, birth)
