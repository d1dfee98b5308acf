"""`qb impact`: the locks of what would run, against what is going on on the target"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from qb_engine.analysis.facts import Examined, Facts, Figures
from qb_engine.analysis.impact import (
    Horizon,
    Impact,
    _passes,
    conflicts,
    impact,
    modes,
    needs,
)
from qb_engine.commands import Session, invoke
from qb_engine.commands.impact import ImpactReport
from qb_engine.database import Target
from qb_engine.execution.blockers import Blocker
from qb_engine.execution.observation import MODES, Lock
from qb_engine.project import Project
from qb_engine.sql import read_one

Conn = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture
def session(project: Project, connection: Conn) -> Session:
    connection.execute("CREATE TABLE users (id int PRIMARY KEY, name text)")
    connection.execute("INSERT INTO users SELECT n, 'x' FROM generate_series(1, 100) n")
    return Session(root=project.root)


@pytest.fixture
def other(database: Target) -> Iterator[Conn]:
    with psycopg.connect(database.conninfo, application_name="shop") as conn:
        yield conn


def write(session: Session, sql: str, name: str = "20240101000000_m.sql") -> None:
    (session.project.migrations / name).write_text(sql, encoding="utf-8")


def aged(conn: Conn, watching: Conn, seconds: float) -> None:
    """Wait until a session's transaction is so old."""
    pid = conn.info.backend_pid
    query = (
        "SELECT extract(epoch FROM clock_timestamp() - xact_start) > %s"
        " FROM pg_stat_activity WHERE pid = %s"
    )
    while watching.execute(query, [seconds, pid]).fetchone() != (True,):
        threading.Event().wait(0.05)


def step(sql: str, *locks: Lock, transaction: int | None = 1, **facts: Any) -> Examined:
    return Examined(1, read_one(sql), "migration", transaction, Facts(locks=locks, **facts))


def test_modes_conflict_as_postgresql_has_it() -> None:
    assert all(conflicts(a, b) == conflicts(b, a) for a in MODES for b in MODES)
    assert [m for m in MODES if conflicts("AccessShareLock", m)] == ["AccessExclusiveLock"]
    assert not conflicts("ShareLock", "ShareLock")
    assert conflicts("ShareUpdateExclusiveLock", "ShareUpdateExclusiveLock")


def test_a_lock_is_held_to_the_end_of_its_transaction() -> None:
    first = step("ALTER TABLE t ADD a int", Lock("public.t", MODES[7]), seconds=(0.0, 1.0))
    second = step("UPDATE t SET a = 1", Lock("public.t", MODES[2]), seconds=(2.0, 4.0))
    third = step("SELECT 1", transaction=2, seconds=(9.0, 9.0))
    (need,) = needs([first, second, third])
    assert (need.mode, need.seconds) == (MODES[7], (2.0, 5.0))


def test_queries_take_the_locks_that_they_take() -> None:
    tables = ["public.users", "public.orders", "other.users"]
    assert modes("SELECT * FROM users u JOIN public.orders USING (id)", tables) == {
        "public.users": "AccessShareLock",
        "public.orders": "AccessShareLock",
        "other.users": "AccessShareLock",
    }
    assert modes("UPDATE public.users SET id = $1", tables) == {"public.users": "RowExclusiveLock"}
    assert modes("SELECT id FROM other.users FOR UPDATE", tables) == {"other.users": "RowShareLock"}
    assert modes("WITH users AS (SELECT 1) SELECT * FROM users", tables) == {}
    assert modes("this is no SQL", tables) == {}


def test_who_holds_a_lock_that_is_in_the_way_is_named(
    session: Session, connection: Conn, other: Conn
) -> None:
    write(session, "ALTER TABLE users ADD email text")
    other.execute("SELECT name FROM users WHERE name = 'secret'")
    aged(other, connection, 1.0)
    report = invoke(session, ["impact"])
    assert report is not None
    assert report.ok
    text = str(report)
    assert f"pid {other.info.backend_pid} (shop)" in text
    assert "idle in transaction" in text
    assert "ACCESS EXCLUSIVE" in text
    assert "secret" not in text or "'secret'" in text
    found = json.loads(report.to_json())
    assert found["quiet"] is False
    (way,) = [w for w in found["in_the_way"] if w["relation"] == "public.users"]
    assert (way["pid"], way["mode"]) == (other.info.backend_pid, "AccessShareLock")
    assert report.charts()


def test_a_transaction_that_is_not_in_the_way_is_not_named(
    session: Session, connection: Conn, other: Conn
) -> None:
    write(session, "ALTER TABLE users ADD CHECK (id > 0) NOT VALID")
    connection.execute("CREATE TABLE elsewhere (id int)")
    other.execute("INSERT INTO elsewhere VALUES (1)")
    aged(other, connection, 1.0)
    report = invoke(session, ["impact"])
    assert json.loads(report.to_json())["quiet"] is True  # type: ignore[union-attr]


def test_an_old_snapshot_is_in_the_way_of_a_concurrent_build(
    session: Session, connection: Conn, other: Conn
) -> None:
    write(session, "CREATE INDEX CONCURRENTLY users_name ON users (name)")
    other.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    other.execute("SELECT 1")
    aged(other, connection, 1.0)
    found = json.loads(invoke(session, ["impact"]).to_json())  # type: ignore[union-attr]
    assert [(w["pid"], w["mode"]) for w in found["in_the_way"]] == [(other.info.backend_pid, None)]


def test_a_prepared_transaction_is_in_the_way(session: Session, connection: Conn) -> None:
    write(session, "ALTER TABLE users ADD email text")
    gid = f"two phases {connection.info.dbname}"
    connection.execute("BEGIN")
    connection.execute("INSERT INTO users VALUES (1000)")
    connection.execute(f"PREPARE TRANSACTION '{gid}'".encode())
    try:
        report = invoke(session, ["impact"])
        assert f"prepared transaction '{gid}'" in str(report)
        assert "COMMIT PREPARED" in str(report) or "commit it or roll it back" in str(report)
    finally:
        connection.execute(f"ROLLBACK PREPARED '{gid}'".encode())


def test_a_replication_slot_that_nobody_uses_is_said_to_keep_old_rows() -> None:
    found = Impact((), (), (Horizon("replication slot", "old", False, 5_000_000),))
    report = ImpactReport("prod", ("m",), found)
    assert any("slot old is not in use" in note for note in report.notes())
    assert "5,000,000" in str(report)


def test_an_autovacuum_gives_way_unless_it_prevents_wraparound() -> None:
    worker = Blocker(7, "", "", "active", 100.0, "autovacuum: VACUUM t", "autovacuum worker")
    assert _passes(worker, False)
    assert not _passes(replace(worker, query=worker.query + " (to prevent wraparound)"), False)
    assert not _passes(worker, True)


def test_the_wait_ends_when_nobody_is_in_the_way(
    session: Session, connection: Conn, other: Conn
) -> None:
    write(session, "ALTER TABLE users ADD email text")
    other.execute("SELECT id FROM users")
    aged(other, connection, 1.0)
    done = threading.Timer(1.0, other.rollback)
    done.start()
    try:
        report = invoke(session, ["impact", "--until-quiet=1min"])
    finally:
        done.join()
    assert report is not None
    assert report.ok
    assert report.exit_code == 0


def test_the_wait_says_when_the_quiet_moment_did_not_come(
    session: Session, connection: Conn, other: Conn
) -> None:
    write(session, "ALTER TABLE users ADD email text")
    other.execute("SELECT id FROM users")
    aged(other, connection, 1.0)
    report = invoke(session, ["impact", "--until-quiet", "200ms"])
    assert report is not None
    assert report.exit_code == 1
    assert "did not come in time" in str(report)


def test_queries_that_would_wait_are_known_from_the_server(
    session: Session, connection: Conn
) -> None:
    connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
    for _ in range(5):
        connection.execute("SELECT name FROM users WHERE id = 7")
    examined = step(
        "ALTER TABLE users ADD a int", Lock("public.users", MODES[7]), seconds=(1.0, 10.0)
    )
    found = impact(connection, [examined])
    assert found.source.startswith("pg_stat_statements")
    (traffic,) = found.traffic
    assert "SELECT name FROM users WHERE id = $1" in {q.sql for q in traffic.queries}
    assert traffic.per_s > 0
    assert traffic.waiting == pytest.approx((traffic.per_s, traffic.per_s * 10))


def test_without_them_the_tables_counters_tell(session: Session, connection: Conn) -> None:
    figures = {"public.users": Figures(reads=100.0, writes=10.0)}
    examined = [
        step("CREATE INDEX i ON users (id)", Lock("public.users", MODES[4]), figures=figures,
             seconds=(1.0, 2.0)),
    ]  # fmt: skip
    found = impact(connection, examined)
    assert found.source.startswith("the tables' counters")
    (traffic,) = found.traffic
    assert (traffic.per_s, traffic.waiting) == (10.0, (10.0, 20.0))


def test_nothing_that_is_pending_has_no_impact(session: Session) -> None:
    report = invoke(session, ["impact"])
    assert report is not None
    assert report.name == "nothing"
