"""starting and stopping: what is refused, what is found running, what is told to whom"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from qb_engine import backfill, secrets
from qb_engine.backfill import records
from qb_engine.backfill.driving import loop, names, temporal
from qb_engine.backfill.spec import describe
from qb_engine.errors import InputError, QbError, RefusedError, ServerError
from qb_engine.project import FILE, Project
from tests.backfill.conftest import ID, Case, until

WAITING = """
SELECT pid FROM pg_stat_activity
WHERE wait_event_type = 'Lock' AND query ~ 'INSERT INTO qb.backfill'
"""


@contextmanager
def foreground(case: Case) -> Iterator[subprocess.Popen[bytes]]:
    """A `qb worker` as a user would run it, polling."""
    command = [sys.executable, "-m", "qb_engine.commands", "worker"]
    command += ["--project", str(case.project.root)]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        until("the worker polls", lambda: polling(case))
        yield started
    finally:
        started.kill()
        started.communicate()


def polling(case: Case) -> tuple[str, ...]:
    where = temporal.place(case.project, start=False)
    assert where is not None
    queue = names.task_queue(case.project, case.target)
    return loop.run(temporal.pollers(where, queue))


def test_a_migration_that_is_not_applied_has_nothing_to_fill(case: Case) -> None:
    case.sql("CREATE TABLE t (id int PRIMARY KEY, v text, writes int)")
    with pytest.raises(RefusedError, match="not applied") as raised:
        case.start(case.filling())
    assert "qb run" in raised.value.todo
    case.ledger(status="failed")
    with pytest.raises(RefusedError, match="not applied"):
        case.start(case.filling())


@pytest.mark.parametrize(
    ("wrong", "part"),
    [
        ({"set": {"v": "nothing + 1"}}, "set or where"),
        ({"set": {"v": "1 +"}}, "set or where"),
        ({"where": "missing IS NULL"}, "set or where"),
        ({"validate": "SELECT FROM missing"}, "validate"),
        (
            {"set": {"v": "nothing || 1"}, "where": "v IS NULL", "keep_in_sync": True},
            "set or where",
        ),
    ],
)
def test_sql_that_cannot_run_is_refused_before_anything_is_written(
    case: Case, wrong: dict[str, object], part: str
) -> None:
    case.counted(10)
    with pytest.raises(InputError, match="cannot run") as raised:
        case.start(case.filling(**wrong))
    assert part in raised.value.where
    assert case.one("SELECT count(*) FROM qb.backfill") == 0


def test_a_role_that_may_only_read_is_told_so(case: Case) -> None:
    case.counted(10)
    role = f"reader_{os.getpid()}"
    case.sql(f"CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA qb TO {role};"
             f"GRANT SELECT ON ALL TABLES IN SCHEMA qb, public TO {role}")  # fmt: skip
    try:
        case.sql(f"SET ROLE {role}")
        with pytest.raises(ServerError, match="failed") as raised:
            case.start(case.filling())
        assert "permission denied for table t" in raised.value.why
        assert "privilege" in raised.value.todo
        case.sql("RESET ROLE; SET default_transaction_read_only = on")
        with pytest.raises(RefusedError, match="may only read"):
            case.start(case.filling())
    finally:
        case.sql("RESET ROLE; SET default_transaction_read_only = off")
        case.sql(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_without_temporal_nothing_starts_and_status_is_from_the_ledger(case: Case) -> None:
    case.counted(10)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (case.project.root / FILE).open("a") as file:
        file.write(f'\n[temporal]\naddress = "127.0.0.1:{port}"\n')
    case.project = Project(case.project.root)
    migration = case.filling()
    with pytest.raises(ServerError, match="cannot reach Temporal") as raised:
        case.start(migration)
    assert f"127.0.0.1:{port}" in raised.value.where
    assert raised.value.why
    assert raised.value.todo
    assert case.one("SELECT count(*) FROM qb.backfill") == 0

    case.written_down(migration)
    told = backfill.status(case.project, case.target, migration, conn=case.conn)
    assert told.progress.state == "pending"
    assert any("from the ledger" in note for note in told.notes)
    paused = backfill.pause(case.project, case.target, migration, conn=case.conn)
    assert paused.progress.state == "paused"
    cancelled = backfill.cancel(case.project, case.target, migration, conn=case.conn)
    assert cancelled.progress.state == "cancelled"
    assert any("not told" in note for note in cancelled.notes)


def test_what_was_never_started_is_pending(case: Case) -> None:
    case.counted(10)
    told = backfill.status(case.project, case.target, case.filling(), conn=case.conn)
    assert (told.progress.state, told.progress.rows_done) == ("pending", 0)
    with pytest.raises(InputError, match="never started"):
        backfill.pause(case.project, case.target, case.filling(), conn=case.conn)


def test_two_starts_at_once_start_one_worker_and_one_workflow(driven: Case) -> None:
    driven.counted(2_000)
    migration = driven.filling(slow=0.0005, batch_size=50)
    caught: list[BaseException] = []

    def start() -> None:
        try:
            backfill.start(driven.project, driven.target, migration)
        except QbError as error:
            caught.append(error)

    both = [threading.Thread(target=start) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join()
    assert caught == []
    assert len(polling(driven)) == 1
    assert driven.ended().state == "completed"
    assert driven.writes() == {1: 2_000}


@pytest.mark.parametrize("restart", [False, True])
def test_the_options_of_a_start_that_comes_second_count_or_are_refused(
    driven: Case, restart: bool
) -> None:
    """Another start writes it down in the moment between this one's look and its own writing."""
    driven.counted(2_000)
    migration = driven.filling(slow=0.001, batch_size=50)
    said: list[object] = []

    def start() -> None:
        changes = {"max_rate": 300.0}
        try:
            said.append(
                backfill.start(
                    driven.project, driven.target, migration, restart=restart, changes=changes
                ).notes
            )
        except RefusedError as refused:
            said.append(refused)

    with psycopg.connect(driven.target.conninfo) as first:  # one transaction
        queue = names.task_queue(driven.project, driven.target)
        records.make(first, describe(first, migration), 0, queue, "")
        second = threading.Thread(target=start)
        second.start()
        until("the second waits", lambda: driven.sql(WAITING))
    second.join()
    (told,) = said
    kept = driven.progress().options
    if restart:
        assert isinstance(told, RefusedError)
        assert f"qb backfill cancel {migration.name}" in told.todo
        assert kept.get("max_rate") is None
    else:
        assert isinstance(told, tuple)
        assert told[0] == "it runs already"
        assert kept["max_rate"] == 300
    driven.sql("UPDATE qb.backfill SET wanted = 'cancel'")


def test_a_start_beside_a_polling_worker_adds_none(driven: Case) -> None:
    driven.counted(100)
    with foreground(driven) as worker:
        (before,) = polling(driven)
        driven.start(driven.filling())
        assert driven.ended().state == "completed"
        assert polling(driven) == (before,)
        assert str(worker.pid) in before
        assert not backfill.stop_worker(driven.project)

        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == 0
        assert polling(driven) == ()


def test_a_namespace_that_is_not_there_is_said_before_anything_is_written(driven: Case) -> None:
    driven.counted(10)
    with (driven.project.root / FILE).open("a", encoding="utf-8") as file:
        file.write('namespace = "nosuch"\n')
    driven.project = Project(driven.project.root)
    with pytest.raises(ServerError, match="refuses") as raised:
        driven.start(driven.filling())
    assert "nosuch" in raised.value.why
    assert driven.one("SELECT count(*) FROM qb.backfill") == 0


def test_a_worker_that_was_started_stops_when_told_and_goes_on_later(driven: Case) -> None:
    driven.counted(1_000)
    migration = driven.filling(slow=0.002, batch_size=20)
    driven.start(migration)
    until("rows are written", lambda: driven.progress().rows_done > 0)
    assert backfill.stop_worker(driven.project)
    written = driven.writes()
    assert written.get(0, 0) > 0
    told = backfill.status(driven.project, driven.target, migration, conn=driven.conn)
    assert any("no worker polls" in note for note in told.notes)
    again = driven.start(migration)
    assert "it runs already" in again.notes
    assert driven.ended().state == "completed"
    assert driven.writes() == {1: 1_000}


def test_the_password_is_in_no_payload_log_or_argument(driven: Case) -> None:
    """A canary in the connection string, and a row that the server quotes in an error."""
    canary = "canary-5ecret"
    driven.target = replace(
        driven.target, conninfo=make_conninfo(driven.target.conninfo, password=canary)
    )
    driven.counted(100)
    driven.sql("ALTER TABLE t ADD CONSTRAINT small CHECK (v <> 'v70')")
    try:
        driven.start(driven.filling(batch_size=10))
        failed = driven.ended()
        assert failed.state == "failed"
        assert "v70" in failed.error  # the ledger may quote rows; Temporal may not
        where = temporal.place(driven.project, start=False)
        assert where is not None

        async def history() -> str:
            handle = (await temporal.client(where)).get_workflow_handle(failed.workflow)
            return (await handle.fetch_history()).to_json()

        told = loop.run(history())
        assert ID in told
        assert canary not in told
        assert "v70" not in told
        logs = "".join(p.read_text() for p in (driven.project.home / "worker").iterdir())
        assert canary not in logs
        (identity,) = polling(driven)
        with open(f"/proc/{identity.split('|')[2]}/cmdline") as file:
            assert canary not in file.read()
    finally:
        secrets._known.discard(canary)


def test_an_idle_worker_leaves_when_nothing_is_left_to_do(driven: Case) -> None:
    driven.counted(10)
    command = [sys.executable, "-m", "qb_engine.commands", "worker", "--idle", "1"]
    command += ["--project", str(driven.project.root)]
    worker = subprocess.run(command, capture_output=True, timeout=120, check=False)
    assert worker.returncode == 0
    assert b"idle" in worker.stdout


def test_a_backfill_under_another_name_is_driven_once(driven: Case) -> None:
    """The same database through another alias finds the workflow that runs."""
    driven.counted(1_000)
    migration = driven.filling(slow=0.002, batch_size=20)
    driven.start(migration)
    other = replace(driven.target, name="other")
    done = backfill.start(driven.project, other, migration)
    assert any("driven by workflow" in note for note in done.notes)
    assert driven.ended().state == "completed"
    assert driven.writes() == {1: 1_000}
    with closing(psycopg.connect(driven.target.conninfo)) as conn:
        seen, own = backfill.progress(conn, ID), driven.progress()
        assert seen is not None
        assert (seen.state, seen.rows_done) == (own.state, own.rows_done) == ("completed", 1_000)
        assert [each.cursor for each in seen.segments] == [each.cursor for each in own.segments]


def test_an_idle_worker_leaves_when_its_database_is_gone(driven: Case) -> None:
    gone = make_conninfo(driven.target.conninfo, dbname="not_there")
    environment = {**os.environ, "QB_WORKER_TARGET": json.dumps({"name": "x", "conninfo": gone})}
    command = [sys.executable, "-m", "qb_engine.commands", "worker", "--idle", "1"]
    command += ["--project", str(driven.project.root)]
    worker = subprocess.run(command, capture_output=True, timeout=120, check=False, env=environment)
    assert worker.returncode == 0
    assert b"idle" in worker.stdout
