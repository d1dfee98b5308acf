"""workers, servers, the network fail while an application writes: each row right, written once"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from qb_engine import backfill
from qb_engine.backfill.driving import worker_process
from qb_engine.database import Target
from qb_engine.database.embedded import EmbeddedPostgres, EmbeddedTemporal
from qb_engine.errors import QbError
from qb_engine.migrations import LoadedMigration
from qb_engine.project import Project
from tests.backfill.conftest import Case, until
from tests.crash.proxy import Proxy
from tests.crash.writers import MAKE, Writers

ROUNDS = int(os.environ.get("ROUNDS", "1"))
ROWS = 4_000
WORKER = (sys.executable, "-m", "qb_engine.commands", "worker")
STALL_S = 5.0  # longer than a silent worker is waited for


class Storm:
    """A backfill on servers of its own, reached through a network that can fail."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.chance = random.Random(seed)
        self.project = Project.create(folder / "project")
        self.postgres = EmbeddedPostgres(self.project.home)
        self.temporal = EmbeddedTemporal(self.project.home)
        self.direct = self.postgres.ensure()
        given = conninfo_to_dict(self.direct)
        self.proxy = Proxy(f"{given['host']}/.s.PGSQL.{given.get('port', 5432)}")
        through = f"host=127.0.0.1 port={self.proxy.port} dbname={given['dbname']}"
        if "user" in given:
            through += f" user={given['user']}"
        self.target = Target("storm", through, origin="url")
        self.heirs: list[subprocess.Popen[bytes]] = []
        self.case = Case(self.project, self.target, self.connect())

    def connect(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(self.direct, autocommit=True)

    def begin(self) -> LoadedMigration:
        self.case.sql(MAKE)
        self.case.sql(f"INSERT INTO t SELECT n, 'Row ' || n FROM generate_series(1, {ROWS}) n")
        self.case.ledger()
        migration = self.case.declare(
            table="t",
            set={"v": "lower(source) || pg_sleep(0.002)::text", "writes": "writes + 1"},
            where="v IS NULL",
            batch_size=25,
            parallel=2,
        )
        self.go(migration)
        return migration

    def go(self, migration: LoadedMigration) -> None:
        """`qb backfill start`, as somebody would who sees that nothing goes on."""
        backfill.start(self.project, self.target, migration)

    def workers(self) -> list[int]:
        """The worker that was started, by its lock file's record; none when it is dead."""
        found = self.case.sql("SELECT DISTINCT worker FROM qb.segment WHERE worker <> ''")
        pids = [int(str(worker).rpartition(":")[2]) for (worker,) in found]
        return [pid for pid in pids if Path(f"/proc/{pid}").exists()]

    # -- what may go wrong ------------------------------------------------------------------------

    def worker_killed(self) -> None:
        for pid in self.workers():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def server_crashes(self) -> None:
        pid = self.postgres.status().pid
        assert pid
        self.case.conn.close()
        os.kill(pid, signal.SIGQUIT)  # an immediate shutdown: what was not on disk is lost
        until("PostgreSQL is down", lambda: not self.postgres.status().running)
        self.postgres.ensure()
        self.case.conn = self.connect()

    def temporal_killed(self) -> None:
        pid = self.temporal.status().pid
        assert pid
        os.kill(pid, signal.SIGKILL)
        until("Temporal is down", lambda: not self.temporal.status().running)
        self.temporal.ensure()

    def network_cut(self) -> None:
        self.proxy.cut()
        time.sleep(self.chance.uniform(0.1, 1.0))
        self.proxy.mend()

    def network_stalls(self) -> None:
        """Nothing arrives for a while, and then all of it."""
        self.proxy.freeze()
        time.sleep(self.chance.uniform(0.5, 3.0))
        self.proxy.mend()

    def worker_stalls(self) -> None:
        """A worker that is silent for so long is replaced; then it comes back to life."""
        stalled = self.workers()
        for pid in stalled:
            os.kill(pid, signal.SIGSTOP)
        heir = self.worker()
        time.sleep(STALL_S)
        for pid in stalled:
            os.kill(pid, signal.SIGCONT)
        self.heirs.append(heir)

    def worker(self) -> subprocess.Popen[bytes]:
        """Another worker for the same target, as on another machine."""
        target = {"name": self.target.name, "conninfo": self.target.conninfo,
                  "production": False, "origin": "url"}  # fmt: skip
        return subprocess.Popen(
            [*WORKER, "--project", str(self.project.root)],
            env={**os.environ, worker_process.TARGET: json.dumps(target)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def close(self) -> None:
        self.case.conn.close()
        self.proxy.mend()
        for heir in self.heirs:
            heir.kill()
            heir.wait()
        backfill.stop_worker(self.project)
        self.proxy.close()
        self.temporal.purge()
        self.postgres.purge()


@pytest.fixture
def storm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Storm]:
    monkeypatch.setenv("QB_BACKFILL_HEARTBEAT_S", "3")
    seed = int(os.environ.get("SEED", "0")) or random.SystemRandom().randrange(1, 10**9)
    print(f"SEED={seed}")
    found = Storm(tmp_path, seed)
    yield found
    found.close()


def restarted(storm: Storm, migration: LoadedMigration) -> None:
    """Start it again as often as it takes for the servers to be back."""

    def went() -> bool:
        try:
            storm.go(migration)
        except (QbError, psycopg.OperationalError) as error:
            print("not yet:", error)
            return False
        return True

    until("it can be started", went)


@pytest.mark.crash
@pytest.mark.slow
@pytest.mark.parametrize("number", range(ROUNDS))
def test_whatever_fails_every_row_is_right_and_was_written_once(storm: Storm, number: int) -> None:
    migration = storm.begin()
    writers = Writers(lambda: storm.direct, ROWS, storm.chance)
    case = storm.case
    until("rows are written", lambda: case.progress().rows_done > 0)
    blows: list[Callable[[], None]] = [
        storm.worker_killed, storm.server_crashes, storm.temporal_killed, storm.network_cut,
        storm.network_stalls, storm.worker_stalls,
    ]  # fmt: skip
    storm.chance.shuffle(blows)
    try:
        for blow in blows:
            if case.progress().ended:
                break
            print(blow.__name__, case.progress().rows_done)
            time.sleep(storm.chance.uniform(0, 0.7))
            blow()
            restarted(storm, migration)
    finally:
        writers.stop()
    ended = case.ended()
    assert (ended.state, ended.error) == ("completed", "")
    assert case.one("SELECT count(*) FROM t WHERE v IS DISTINCT FROM lower(source)") == 0
    assert case.one("SELECT max(writes) FROM t") == 1
    filled = case.one("SELECT count(*) FROM filled")
    assert case.one("SELECT count(DISTINCT id) FROM filled") == filled
    assert case.one("SELECT sum(rows)::bigint FROM qb.batch") == filled == ended.rows_done
    assert case.one("SELECT sum(rows_done)::bigint FROM qb.segment") == filled
    assert writers.done > 50
