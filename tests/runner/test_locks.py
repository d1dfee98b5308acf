"""`qb locks` says who waits for whom, and who is at the root of it"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from qb_engine.database import Target
from qb_engine.runner.lock import only_runner

Connection = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture
def connect(database: Target) -> Iterator[Callable[[str], Connection]]:
    """Open sessions to the database, in a transaction from the first query on."""
    with ExitStack() as stack:

        def one(name: str) -> Connection:
            conninfo = make_conninfo(database.conninfo, application_name=name)
            return stack.enter_context(psycopg.connect(conninfo))

        yield one


@contextmanager
def waiting(conn: Connection, query: str, watching: Connection) -> Iterator[None]:
    """A session that waits for a lock."""

    def wait() -> None:
        with suppress(psycopg.errors.QueryCanceled):
            conn.execute(query.encode())

    thread = threading.Thread(target=wait)
    thread.start()
    deadline = time.monotonic() + 60
    asked = "SELECT cardinality(pg_blocking_pids(%s))"
    while watching.execute(asked, [conn.info.backend_pid]).fetchone() == (0,):
        assert time.monotonic() < deadline, "it never waited"
        time.sleep(0.01)  # between two looks at a condition
    try:
        yield
    finally:
        conn.cancel_safe()
        thread.join()


def test_nobody_waits_on_a_quiet_database(qb) -> None:
    report = qb("locks")
    assert report.headline().startswith("nobody waits")
    assert not report.notes()


def test_a_waiting_session_and_its_blocker_are_named(qb, connect, connection) -> None:
    connection.execute("CREATE TABLE t (id int)")
    holder = connect("holder")
    holder.execute("LOCK TABLE t")
    with waiting(connect("waiter"), "SELECT * FROM t", connection):
        report = qb("locks")
    (one,) = report.waits
    assert (one.application, one.what, one.mode) == ("waiter", "t", "AccessShareLock")
    assert (one.by_application, one.by_state) == ("holder", "idle in transaction")
    assert any("idle in a transaction" in note for note in report.notes())
    pid = holder.info.backend_pid
    assert report.headline().endswith(f"because of pid {pid} (holder, user postgres)")
    ((_, wanted, _, _, held, _),) = report.tables()[0].rows
    assert wanted == "ACCESS SHARE t"
    assert held.startswith(f"pid {pid} (holder)\nidle in transaction for ")


def test_the_root_of_a_queue_is_named_with_all_who_wait_behind_it(qb, connect, connection) -> None:
    connection.execute("CREATE TABLE t (id int)")
    connect("report").execute("SELECT * FROM t")
    with (
        waiting(connect("qb run"), "ALTER TABLE t ADD b int", connection),
        waiting(connect("shop"), "SELECT * FROM t", connection),
        waiting(connect("shop"), "INSERT INTO t VALUES (1)", connection),
    ):
        report = qb("locks")
    (root,) = report.roots
    assert "(report, user " in root.who
    assert root.waiting == 3
    assert {wait.application for wait in report.waits} == {"qb run", "shop"}
    assert any(table.title == "at the root" for table in report.tables())


def test_a_prepared_transaction_is_named(qb, connect, connection) -> None:
    connection.execute("CREATE TABLE t (id int)")
    gid = f"order-{secrets.token_hex(4)}"
    owner = connect("two phases")
    owner.execute("LOCK TABLE t")
    owner.execute(f"PREPARE TRANSACTION '{gid}'".encode())
    owner.rollback()
    try:
        with waiting(connect("shop"), "SELECT * FROM t", connection):
            report = qb("locks")
    finally:
        connection.execute(f"ROLLBACK PREPARED '{gid}'".encode())
    assert [(w.by_pid, w.by_application) for w in report.waits] == [(0, gid)]
    assert [p.gid for p in report.prepared] == [gid]
    assert gid in report.headline()
    assert any("commit it or roll it back" in note for note in report.notes())


def test_who_runs_migrations_is_named(qb, connect) -> None:
    conn = connect("qb runner")
    conn.autocommit = True
    with only_runner(conn, 1, print):
        assert f"migrations are run by qb runner (pid {conn.info.backend_pid}" in str(qb("locks"))


def test_a_password_in_a_query_is_not_shown(qb, connect, connection) -> None:
    connection.execute("CREATE TABLE t (id int)")
    connect("admin").execute("LOCK TABLE t; SELECT 'ALTER ROLE x PASSWORD ''canary-3'''")
    query = "SELECT 'ALTER ROLE y PASSWORD ''canary-4''' FROM t"
    with waiting(connect("waiter"), query, connection):
        report = qb("locks")
    assert "canary" not in str(report) + str(report.as_dict())
