"""`qb dev`: the embedded servers, started, looked at and stopped from a terminal"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from qb_engine.commands import Session, invoke
from qb_engine.database.embedded import EmbeddedPostgres, EmbeddedTemporal
from qb_engine.database.embedded.place import base
from qb_engine.errors import RefusedError
from qb_engine.project import Project


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A project with the defaults; its servers are gone after the test."""
    root = Project.create(tmp_path / "project").root
    yield root
    EmbeddedPostgres(root / ".qb").purge()
    EmbeddedTemporal(root / ".qb").purge()


def dev(folder: Path, *arguments: str) -> dict[str, Any]:
    """Run `qb dev ... --json` as a process of its own."""
    done = qb(folder, "dev", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def qb(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run qb as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "qb_engine.commands", *arguments],
        cwd=folder,
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )


def test_up_tells_where_to_connect(folder: Path) -> None:
    said = dev(folder, "up")
    assert (said["report"], said["ok"]) == ("dev", True)
    with psycopg.connect(said["url"]) as conn:
        assert conn.info.dbname == "qb"
    host, _, port = said["temporal"].partition(":")
    socket.create_connection((host, int(port)), timeout=5).close()
    assert said["ui"].startswith("http://127.0.0.1:")


def test_up_again_finds_the_same_servers(folder: Path) -> None:
    first, second = dev(folder, "up"), dev(folder, "up")
    assert [server["pid"] for server in first["servers"]] == [s["pid"] for s in second["servers"]]
    assert dev(folder, "status")["servers"] == second["servers"]


def test_down_stops_both_and_up_finds_the_data(folder: Path) -> None:
    with psycopg.connect(dev(folder, "up")["url"]) as conn:
        conn.execute("CREATE TABLE kept ()")
    down = dev(folder, "down")
    assert (down["url"], down["temporal"], down["ui"]) == (None, None, None)
    assert [server["running"] for server in down["servers"]] == [False, False]
    assert "no embedded server was running" in dev(folder, "down")["done"]
    with psycopg.connect(dev(folder, "up")["url"]) as conn:
        conn.execute("SELECT FROM kept")


def test_purge_deletes_the_data(folder: Path) -> None:
    servers = dev(folder, "up")["servers"]
    dev(folder, "down", "--purge")
    assert not any(Path(server["data"]).exists() for server in servers)


def test_purge_says_what_it_deleted(folder: Path) -> None:
    data = folder / ".qb" / "temporal"
    data.mkdir(parents=True)
    said = dev(folder, "down", "--purge")
    assert said["deleted"] == [str(data)]
    data.mkdir()
    (folder / "below").mkdir()
    said = dev(folder / "below", "down", "--purge", "--project", str(folder))
    assert said["done"].endswith(f"; the data of {folder} is deleted")


# -- whose data is deleted -----------------------------------------------------------------------


@pytest.fixture
def data(folder: Path) -> Path:
    """What a purge of the project would delete."""
    made = folder / ".qb" / "temporal"
    made.mkdir(parents=True)
    return made


def refused(folder: Path, *arguments: str) -> dict[str, str]:
    """What a refusal of qb says."""
    done = qb(folder, *arguments, "--json")
    assert done.returncode == 4, done.stdout + done.stderr
    error: dict[str, str] = json.loads(done.stdout)["error"]
    return error


def test_a_project_further_up_is_not_purged(folder: Path, data: Path) -> None:
    """A folder with a `.qb` of its own is no project yet."""
    below = folder / "practice"
    (below / ".qb").mkdir(parents=True)
    error = refused(below, "dev", "down", "--purge")
    assert data.is_dir()
    assert (error["kind"], error["where"]) == ("RefusedError", str(folder))
    assert str(below) in error["why"]
    command = f"qb dev down --purge --project {folder}"
    assert command in error["next"]
    assert qb(below, *command.split()[1:]).returncode == 0
    assert not data.exists()


def test_it_is_stopped_from_below_all_the_same(folder: Path, data: Path) -> None:
    (folder / "below").mkdir()
    assert "no embedded server" in dev(folder / "below", "down")["done"]
    assert data.is_dir()


def test_to_name_a_folder_below_the_project_does_not_name_the_project(
    folder: Path, data: Path, tmp_path: Path
) -> None:
    (folder / "practice").mkdir()
    named = ("--project", str(folder / "practice"))
    for line in (("dev", "down", "--purge", *named), (*named, "dev", "down", "--purge")):
        assert f"--project {folder}" in refused(tmp_path, *line)["next"]
    assert data.is_dir()


def test_a_folder_that_is_a_project_of_its_own_is_purged(folder: Path, data: Path) -> None:
    own = Project.create(folder / "practice").root
    (own / ".qb" / "temporal").mkdir(parents=True)
    assert dev(own, "down", "--purge")["deleted"] == [str(own / ".qb" / "temporal")]
    assert data.is_dir()


def test_a_notebook_that_went_into_a_folder_below_does_not_purge(
    folder: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its session keeps the project that it began with."""
    (folder / "practice").mkdir()
    session = Session(root=folder)
    monkeypatch.chdir(folder / "practice")
    with pytest.raises(RefusedError):
        invoke(session, ["dev", "down", "--purge"])
    assert data.is_dir()
    assert invoke(session, ["dev", "down", "--purge", "--project", str(folder)])
    assert not data.exists()


# -- the rest ------------------------------------------------------------------------------------


def test_a_server_that_somebody_starts_again_is_not_said_to_be_stopped(folder: Path) -> None:
    """As `qb backfill watch` does: what it is connected to went away, and it connects again."""
    postgres = EmbeddedPostgres(folder / ".qb")
    connected = threading.Event()

    def watch() -> None:
        with psycopg.connect(postgres.ensure(), application_name="qb backfill") as conn:
            connected.set()
            with contextlib.suppress(psycopg.OperationalError):
                conn.execute("SELECT pg_sleep(60)")
        time.sleep(1)
        postgres.ensure()

    watcher = threading.Thread(target=watch)
    watcher.start()
    assert connected.wait(60)
    done = qb(folder, "dev", "down", "--json")
    watcher.join()
    said = json.loads(done.stdout)
    assert (done.returncode, said["ok"], said["again"]) == (1, False, ["PostgreSQL"])
    assert said["done"] == "PostgreSQL was stopped, and runs again"
    assert said["guests"] == ["qb backfill"]
    assert dev(folder, "down")["done"] == "the embedded servers are stopped"


def test_purge_says_when_there_was_nothing_to_delete(folder: Path) -> None:
    assert "no data to delete" in dev(folder, "down", "--purge")["done"]
    assert not (folder / ".qb").exists()


def test_purge_finds_data_outside_of_a_project_whose_folder_was_removed(folder: Path) -> None:
    outside = base(folder / ".qb")
    (outside / "data").mkdir(parents=True)
    assert "is deleted" in dev(folder, "down", "--purge")["done"]
    assert not outside.exists()


def test_status_starts_and_writes_nothing(folder: Path) -> None:
    assert dev(folder, "status")["done"] == "no embedded server runs"
    assert not (folder / ".qb").exists()


def test_a_temporal_of_the_projects_own_is_left_alone(folder: Path) -> None:
    (folder / "qb.toml").write_text('[temporal]\naddress = "127.0.0.1:7233"\n')
    said = dev(folder, "up")
    assert (said["temporal"], said["ui"]) == ("127.0.0.1:7233", None)
    assert [server["name"] for server in said["servers"]] == ["PostgreSQL"]
