"""throw-away databases: cached per schema, dropped after use, and within reach of Stop"""

from __future__ import annotations

import threading
import time
from typing import Any

import psycopg

from qb_engine.commands import Session, invoke
from qb_engine.database import Target
from qb_engine.project import Project
from qb_engine.schema import snapshot
from qb_engine.shadow import from_sql, like, scratch
from qb_engine.shadow.shadow import CLONE, TEMPLATE, sweep

Connection = psycopg.Connection[tuple[Any, ...]]


def databases(connection: Connection, prefix: str) -> set[str]:
    rows = connection.execute("SELECT datname::text FROM pg_database").fetchall()
    return {name for (name,) in rows if name.startswith(prefix)}


def test_a_shadow_has_the_schema_and_no_rows(
    project: Project, database: Target, connection: Connection
) -> None:
    connection.execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
    before = databases(connection, CLONE)
    with like(scratch(project), database) as shadow:
        conn = shadow.connect()
        assert {*map(str, snapshot(conn).facts)} == {*map(str, snapshot(connection).facts)}
        assert conn.execute("SELECT count(*) FROM t").fetchone() == (0,)
        conn.close()
        assert databases(connection, CLONE) - before
    assert shadow.dbname not in databases(connection, CLONE)
    assert shadow.missing == ()


TRIES = 6  # other workers make templates of their own meanwhile, but not each time


def test_the_same_schema_is_loaded_once(
    project: Project, database: Target, connection: Connection
) -> None:
    connection.execute(f"CREATE TABLE only_{connection.info.dbname} ()")
    new = {"not looked yet"}
    for _ in range(TRIES):
        before = databases(connection, TEMPLATE)
        with like(scratch(project), database):
            new = databases(connection, TEMPLATE) - before
        if not new:
            break
    assert not new


def test_a_script_runs_once_for_all_its_shadows(project: Project, connection: Connection) -> None:
    ddl = f"CREATE TABLE only_{connection.info.dbname} (id int)"
    new = {"not looked yet"}
    for _ in range(TRIES):
        before = databases(connection, TEMPLATE)
        with from_sql(scratch(project), ddl) as shadow:
            conn = shadow.connect()
            assert len(snapshot(conn).tables) == 1
            conn.close()
        new = databases(connection, TEMPLATE) - before
        if not new:
            break
    assert not new


def test_what_a_crash_left_is_swept(connection: Connection) -> None:
    old = f"{CLONE}{int(time.time()) - 7200}_aaaa"
    new = f"{CLONE}{int(time.time())}_bbbb"
    for name in (old, new):
        connection.execute(f"CREATE DATABASE {name}")
    sweep(connection)
    left = databases(connection, CLONE)
    connection.execute(f"DROP DATABASE {new}")
    assert old not in left
    assert new in left


def test_a_role_that_is_missing_does_not_stop_a_shadow(
    project: Project, database: Target, connection: Connection
) -> None:
    connection.execute("CREATE TABLE t (id int); ALTER TABLE t ENABLE ROW LEVEL SECURITY")
    connection.execute("CREATE POLICY p ON t TO PUBLIC USING (id > 0)")
    with like(scratch(project), database) as shadow:
        assert shadow.missing == ()


def test_stop_reaches_a_statement_on_the_shadow(project: Project, connection: Connection) -> None:
    (project.migrations / "20240101_slow.sql").write_text("SELECT pg_sleep(250)")
    session = Session(root=project.root)
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(invoke(session, ["plan"])))
    thread.start()
    deadline = time.monotonic() + 60
    query = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE query = 'SELECT pg_sleep(250)' AND state = 'active'"
    )
    while connection.execute(query).fetchone() != (1,):
        assert time.monotonic() < deadline, "the plan never ran the statement"
    while connection.execute(query).fetchone() == (1,):
        assert time.monotonic() < deadline + 60, "Stop never reached the statement"
        session.cancel()
        thread.join(0.5)
    thread.join(60)
    assert not thread.is_alive()
    assert "canceling statement due to user request" in found[0].planned[0].error
