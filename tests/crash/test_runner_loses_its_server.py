"""the server, a session or the disk is gone while a migration runs: it is known what stands"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from qb_engine.database import Target
from qb_engine.database.embedded import EmbeddedPostgres
from qb_engine.project import Project
from tests.crash import story
from tests.crash.crashing import HELD, Crash
from tests.crash.runner_process import Runner, Runners, wait_for

pytestmark = pytest.mark.crash

SMALL_MB = 6


# -- the server ----------------------------------------------------------------------------------


@pytest.fixture
def own(tmp_path: Path, runners: Runners) -> Iterator[Crash]:
    """The same on a server of its own, which a test may stop."""
    project = Project(Project.create(tmp_path / "project").root)
    project.file.write_text('default = "embedded"\n')
    postgres = EmbeddedPostgres(project.home)
    target = Target("embedded", postgres.ensure(), origin="embedded")
    found = Crash(project, target, runners)
    try:
        yield found
    finally:
        found.conn.close()
        postgres.purge()


def restarted(crash: Crash) -> None:
    """Start the server again, and wait for it."""
    EmbeddedPostgres(crash.project.home).ensure()
    crash.conn = psycopg.connect(crash.conninfo, autocommit=True)
    crash.alone()


@pytest.mark.slow
def test_an_immediate_stop_of_the_server(own: Crash) -> None:
    """What was committed is there, and recorded; a build that was cut off is built once."""
    postgres = EmbeddedPostgres(own.project.home)
    kept = []
    for number in (4, 5, 10):
        stop = story.begin(number)
        runner = own.run(stop)
        assert runner.until(stop), runner.ended
        holder = psycopg.connect(own.conninfo)
        holder.execute(story.HOLDS[number].encode())
        runner.go()
        wait_for(lambda: own.one(HELD), "the statement waits")
        pid = postgres.status().pid
        assert pid
        os.kill(pid, signal.SIGQUIT)
        wait_for(lambda: not postgres.status().running, "PostgreSQL is down")
        holder.close()
        assert "connection was lost" in runner.wait()
        restarted(own)
        kept.append(own.look())
    assert kept == [story.committed_before(number) for number in (4, 5, 10)]
    own.finish("continue")


@pytest.mark.slow
def test_a_commit_whose_answer_nobody_gets(own: Crash) -> None:
    """The server has committed and waits for a replica; then the runner is killed."""
    runner = own.run("done 4")
    assert runner.until("done 4"), runner.ended
    own.conn.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    own.conn.execute("SELECT pg_reload_conf()")
    wait_for(lambda: own.one("SHOW synchronous_standby_names") == "nobody", "it is reloaded")
    runner.go()
    waiting = "FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name = 'qb run'"
    wait_for(lambda: own.one(f"SELECT count(*) {waiting}"), "the commit waits")
    runner.kill()
    own.conn.execute("ALTER SYSTEM RESET synchronous_standby_names")
    own.conn.execute("SELECT pg_reload_conf()")
    own.alone()
    assert own.look() == 4
    own.finish("run")


# -- sessions ------------------------------------------------------------------------------------


def ended(crash: Crash, number: int, name: str) -> Runner:
    """A runner, one of whose sessions was ended while a statement was held up."""
    stop = story.begin(number)
    runner = crash.run(stop)
    assert runner.until(stop), runner.ended
    with psycopg.connect(crash.conninfo) as holder:
        holder.execute(story.HOLDS[number].encode())
        runner.go()
        wait_for(lambda: crash.one(HELD), "the statement waits")
        query = (
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            f" WHERE application_name = '{name}' AND datname = current_database()"
        )
        wait_for(lambda: crash.one(query) == 1, f"there is a session {name}")
        holder.rollback()
    return runner


@pytest.mark.parametrize("number", [3, 5, 12])
def test_the_session_of_the_statements_is_ended(crash: Crash, number: int) -> None:
    said = ended(crash, number, "qb run").wait()
    assert said.startswith("end 3"), said
    crash.alone()
    assert crash.look() == story.committed_before(number)
    crash.finish("run")


@pytest.mark.parametrize("number", [4, 11])
def test_the_session_that_holds_the_lock_is_ended(crash: Crash, number: int) -> None:
    """Nothing more is started; what was at work is committed and recorded, or neither."""
    said = ended(crash, number, "qb runner").wait()
    assert said.startswith("end 3"), said
    crash.alone()
    crash.look()
    crash.finish("continue")


def test_the_session_that_watches_is_ended(crash: Crash) -> None:
    """A run that nobody watches any more goes on all the same."""
    assert ended(crash, 7, "qb watch").wait() == "end ok 1"
    crash.whole()


# -- signals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "sign"), [(3, signal.SIGINT), (5, signal.SIGINT), (5, signal.SIGTERM)]
)
def test_a_polite_end_is_recorded(crash: Crash, number: int, sign: signal.Signals) -> None:
    stop = f"running {number}"
    runner = crash.run(stop)
    assert runner.until(stop), runner.ended
    with psycopg.connect(crash.conninfo) as holder:
        holder.execute(story.HOLDS[number].encode())
        runner.go()
        wait_for(lambda: crash.one(HELD), "the statement waits")
        runner.kill(sign)
        said = runner.wait()
        holder.rollback()
    assert said.startswith("end 130"), said
    crash.alone()
    assert crash.look() == story.committed_before(number)
    assert [r.status for r in crash.qb("history").runs] == ["stopped"]
    crash.finish("continue")  # what could not be dropped in time is dropped then


# -- the disk ------------------------------------------------------------------------------------


@pytest.fixture
def small(crash: Crash, server: EmbeddedPostgres) -> Iterator[str]:
    """A tablespace of a few megabytes."""
    if os.geteuid() != 0:
        pytest.skip("a file system of a few megabytes can only be mounted by root")
    data = server.status().data
    assert data is not None
    owner = Path(data).stat()
    with tempfile.TemporaryDirectory(prefix="qb-small-") as folder:
        Path(folder).chmod(0o755)
        mount = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_MB}m", "tmpfs", folder]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            pytest.skip("this machine does not let a file system be mounted")
        try:
            inside = Path(folder) / "data"
            inside.mkdir()
            os.chown(inside, owner.st_uid, owner.st_gid)
            name = f"small_{crash.conn.info.dbname}"
            crash.conn.execute(f"CREATE TABLESPACE {name} LOCATION '{inside}'".encode())
            try:
                yield name
            finally:
                for table in ("grown", "orders"):
                    crash.conn.execute(f"DROP TABLE IF EXISTS {table} CASCADE".encode())
                crash.conn.execute(f"DROP TABLESPACE {name}".encode())
        finally:
            subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize(
    "full",
    [
        "CREATE INDEX CONCURRENTLY grown_v ON grown (v) TABLESPACE {small}",
        "SET maintenance_work_mem = '1MB'; SET temp_tablespaces = {small};"
        " CREATE INDEX CONCURRENTLY grown_v ON grown (v)",
        "CREATE TABLE copied TABLESPACE {small} AS SELECT * FROM grown",
    ],
    ids=["the new index", "what is sorted", "a new table"],
)
def test_a_full_disk(crash: Crash, small: str, full: str) -> None:
    """It is said what is full; nothing half made is left, and it goes on when there is room."""
    folder = crash.project.migrations / "20240102000000_full"
    folder.mkdir()
    text = (
        "CREATE TABLE grown (v text);"
        " INSERT INTO grown SELECT repeat(md5(n::text), 8) FROM generate_series(1, 40000) n;"
        " VACUUM grown; {full}; INSERT INTO effect VALUES ('full')"
    )
    (folder / "migration.sql").write_text(text.replace("{full}", full.replace("{small}", small)))
    said = crash.run().wait()
    assert said.startswith("end 3"), said
    assert "No space left on device" in said
    crash.alone()
    states = [s.state for s in crash.qb("status").migrations]
    assert states == ["applied", "partial"]
    assert not crash.one("SELECT count(*) FROM pg_index WHERE NOT indisvalid")
    case = crash.qb("repair", "--no-scratch").found.cases[0]
    assert crash.one("SELECT count(*) FROM effect WHERE what = 'full'") == 0
    assert 0 < sum(step.stands for step in case.steps) < len(case.steps)
    room = text.replace("{full}", full.replace("TABLESPACE {small}", "").replace("{small}", "''"))
    (folder / "migration.sql").write_text(room)
    changed = "SET temp_tablespaces" in full
    way = ("repair", "--continue") if not changed else ("run",)
    if changed:  # the SET is committed, and stays as it was: more room is what helps
        (folder / "migration.sql").write_text(
            text.replace("{full}", full.replace("{small}", small))
        )
        grown = ["mount", "-o", "remount,size=64m", str(Path(_place(crash, small)).parent)]
        subprocess.run(grown, check=True)
    assert crash.qb(*way).ok
    assert crash.one("SELECT count(*) FROM effect WHERE what = 'full'") == 1
    assert [s.state for s in crash.qb("status").migrations] == ["applied", "applied"]


def _place(crash: Crash, name: str) -> str:
    place = "SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE spcname = '{}'"
    return str(crash.one(place.format(name)))
