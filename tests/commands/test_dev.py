"""`qb dev`: the embedded servers, started, looked at and stopped from a terminal"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from qb_engine.database.embedded import EmbeddedPostgres, EmbeddedTemporal
from qb_engine.database.embedded.place import base
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
    done = subprocess.run(
        [sys.executable, "-m", "qb_engine.commands", "dev", *arguments, "--json"],
        cwd=folder,
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


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
