"""the worker: on other machines, with figures for Prometheus, on a cluster of the user's own"""

from __future__ import annotations

import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.service import RPCError

from qb_engine import backfill
from qb_engine.backfill.driving import loop, names, temporal
from qb_engine.backfill.driving.metrics import Meter, exporting, page
from qb_engine.database import Target
from qb_engine.database.pool import Pool
from qb_engine.errors import InputError, ServerError
from qb_engine.migrations import load_one
from qb_engine.project import FILE, Project
from tests.backfill.chains import Chain
from tests.backfill.conftest import Case, until

TRANSFORM = """
from qb_engine.migrations import Backfill

class Fill(Backfill):
    table = "t"
    batch_size = 50

    def transform(self, rows):
        rows["v"] = "v" + rows["id"].astype(str)
        return rows[["id", "v"]]
"""


@contextmanager
def elsewhere(case: Case, folder: Path, *more: str) -> Iterator[subprocess.Popen[str]]:
    """A worker in a folder without the project's files, told the queue and the target's URL."""
    folder.mkdir()
    (folder / FILE).write_text((case.project.root / FILE).read_text().partition("[temporal]")[0])
    with (folder / FILE).open("a") as file:
        file.write(f'\n[temporal]\naddress = "{place(case).address}"\n')
    command = [sys.executable, "-m", "qb_engine.commands", "worker", "--project", str(folder)]
    command += ["--queue", names.task_queue(case.project, case.target), *more]
    out = folder / "out"
    with out.open("w") as said:
        started = subprocess.Popen(command, stdout=said, stderr=said, text=True)
        try:
            until("it polls", lambda: " INFO polling " in out.read_text() or started.poll())
            assert started.poll() is None, out.read_text()
            yield started
        finally:
            started.terminate()
            started.wait(60)


def place(case: Case) -> temporal.Place:
    found = temporal.place(case.project, start=False)
    assert found is not None
    return found


def test_a_worker_without_the_files_does_what_needs_no_python(driven: Case, tmp_path: Path) -> None:
    driven.counted(200)
    folder = tmp_path / "other"
    with elsewhere(driven, folder, "--concurrency", "2", "--metrics-port", "0") as other:
        done = driven.start(driven.filling(batch_size=50))
        assert not any("a worker was started" in note for note in done.notes)
        assert driven.ended().state == "completed"
        assert driven.writes() == {1: 200}
        assert driven.sql("SELECT DISTINCT split_part(worker, ':', 2)::int FROM qb.batch") == [
            (other.pid,)
        ]

        said = (folder / "out").read_text()
        found = re.search(r"figures at (\S+)", said)
        assert found, said
        with urllib.request.urlopen(found[1]) as answer:
            figures = answer.read().decode()
        for line in (
            "qb_backfill_rows_total 200.0",
            'qb_backfill_batch_seconds_bucket{le="+Inf"} ',
            "process_cpu_seconds_total ",
            "process_resident_memory_bytes ",
            "temporal_request_total{",
            'activity_type="qb-backfill-lane"',
        ):
            assert line in figures, line

        driven.sql("DELETE FROM qb.backfill; UPDATE t SET writes = 0")
        migration = driven.declare(table="t", set={"v": "id"})
        (migration.path / "backfill.py").write_text(TRANSFORM)
        driven.start(load_one(migration.path))
        until("it is said", lambda: "Python" in driven.one("SELECT note FROM qb.backfill"))
        assert str(other.pid) in driven.one("SELECT note FROM qb.backfill")
    driven.start(load_one(migration.path))
    assert driven.ended().state == "completed"


def test_a_cluster_of_the_users_own_is_reached_as_its_profile_says(
    driven: Case, temporal_namespace: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its key is nowhere to be seen; without our search attributes the state is in the memo."""
    address = place(driven).address
    profiles = tmp_path / "temporal.toml"
    profiles.write_text(
        f'[profile.own]\naddress = "{address}"\nnamespace = "{temporal_namespace}"\n'
        'api_key = "hush-hush-hush"\n[profile.own.tls]\ndisabled = true\n'
    )
    text = (driven.project.root / FILE).read_text().partition("[temporal]")[0]
    (driven.project.root / FILE).write_text(text + '[temporal]\nprofile = "own"\n')
    driven.project = Project(driven.project.root)
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(profiles))
    where = place(driven)
    assert (where.address, where.namespace) == (address, temporal_namespace)
    assert where.settings["api_key"] == "hush-hush-hush"
    assert "hush" not in repr(where)

    driven.counted(50)
    done = driven.start(driven.filling())
    assert driven.ended().state == "completed"
    chain = Chain(driven)
    assert chain.result() == "completed"
    assert loop.run(temporal.searchable(where)) is False
    described = chain.described()
    assert loop.run(described.memo())["state"] == "completed"
    (log,) = (driven.project.root / ".qb" / "worker").glob("*.log")
    told = [log.read_text(), str(done.notes), str([run.to_json() for run in chain.runs()])]
    assert not any("hush" in each for each in told)


@pytest.fixture
def temporal_namespace(temporal: str) -> str:
    """A namespace that has none of our search attributes."""

    async def made() -> None:
        from google.protobuf.duration_pb2 import Duration
        from temporalio.client import Client

        client = await Client.connect(temporal)
        request = RegisterNamespaceRequest(
            namespace="plain", workflow_execution_retention_period=Duration(seconds=86_400)
        )
        try:
            await client.workflow_service.register_namespace(request)
        except RPCError as error:
            if "already" not in str(error):
                raise

    loop.run(made())
    return "plain"


def test_tls_and_the_key_go_to_the_client_as_they_are_configured(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "cert").write_text("CERT")
    (tmp_path / "key").write_text("KEY")
    monkeypatch.setenv("TEMPORAL_API_KEY", "hush-hush-hush")
    monkeypatch.setenv("TEMPORAL_TLS_CLIENT_CERT_PATH", str(tmp_path / "cert"))
    monkeypatch.setenv("TEMPORAL_TLS_CLIENT_KEY_PATH", str(tmp_path / "key"))
    with (project.root / FILE).open("a") as file:
        file.write('\n[temporal]\naddress = "127.0.0.1:1"\nnamespace = "ours"\n')
    where = temporal.place(Project(project.root), start=False)
    assert where is not None
    assert (where.address, where.namespace) == ("127.0.0.1:1", "ours")
    assert where.settings["api_key"] == "hush-hush-hush"
    assert where.settings["tls"].client_cert == b"CERT"
    with pytest.raises(ServerError) as raised:
        loop.run(temporal.client(where))
    assert "hush" not in str(raised.value)


def test_a_pool_gives_no_more_than_its_size_and_no_dead_connection(case: Case) -> None:
    pool = Pool(case.target, 2)
    try:
        with pool.connection("qb backfill lane 0") as one, pool.connection("x") as two:
            pids = {one.info.backend_pid, two.info.backend_pid}
            assert pool.backends == pids
            assert one.execute("SHOW application_name").fetchone() == ("qb backfill lane 0",)
        assert pool.backends == set()
        case.conn.execute("SELECT pg_terminate_backend(p) FROM unnest(%s) AS p", [list(pids)])
        with pool.connection("x") as three:
            assert three.execute("SELECT 1").fetchone() == (1,)
            assert three.info.backend_pid not in pids
        assert pool.open <= 2
    finally:
        pool.close()
    nowhere = Pool(Target("x", "host=127.0.0.1 port=1 dbname=x"), 1)
    with pytest.raises(ServerError, match="cannot connect"), nowhere.connection("x"):
        pass
    nowhere.close()


def test_what_a_worker_takes_is_in_the_ledger(driven: Case) -> None:
    driven.counted(2_000)
    migration = driven.filling(slow=0.002, batch_size=50)
    driven.start(migration)
    (usage,) = until("it is written down", lambda: driven.progress().workers)
    assert usage.lanes == 1
    assert usage.rss_bytes > 10_000_000
    assert usage.cpu_share >= 0
    backfill.cancel(driven.project, driven.target, migration, conn=driven.conn)
    driven.ended()
    assert {each.status for each in driven.progress().segments} <= {"open", "done"}
    assert backfill.stop_worker(driven.project)
    until("the worker takes leave", lambda: not driven.progress().workers)


def test_a_port_that_is_taken_is_said() -> None:
    _, theirs = exporting()
    taken = pytest.raises(InputError, match="cannot be served on port")
    with page(Meter("x"), 0, theirs) as port, taken, page(Meter("x"), port, theirs):
        pass
