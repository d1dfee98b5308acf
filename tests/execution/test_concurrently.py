"""CONCURRENTLY: who is waited for is looked for first, what a failure leaves is dropped"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from qb_engine.database import Target
from qb_engine.execution.blockers import Blocker, terminate
from qb_engine.execution.concurrently import Concurrent
from qb_engine.sql import read_one

Connection = psycopg.Connection[tuple[Any, ...]]
Connect = Callable[..., Connection]
BUILD = "CREATE INDEX CONCURRENTLY i ON t (id)"
ANY_AGE = -1.0


def wait_for(condition: Callable[[], object]) -> None:
    """Wait until something is true; fail after a generous while."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.01)  # between two looks at a condition


@pytest.fixture
def connect(database: Target) -> Iterator[Connect]:
    """Open sessions to the database, in a transaction from the first query on."""
    opened: list[Connection] = []

    def one(name: str, *, autocommit: bool = False) -> Connection:
        conninfo = make_conninfo(database.conninfo, application_name=name)
        opened.append(psycopg.connect(conninfo, autocommit=autocommit))
        return opened[-1]

    yield one
    for conn in opened:
        conn.close()


@pytest.fixture
def acting(connect: Connect) -> Connection:
    return connect("qb run", autocommit=True)


@pytest.fixture(autouse=True)
def table(connection: Connection) -> None:
    connection.execute("CREATE TABLE t (id int); INSERT INTO t VALUES (1), (1), (2)")
    connection.execute("CREATE TABLE other (id int)")


@pytest.fixture
def concurrent(acting: Connection, connection: Connection) -> Callable[..., Concurrent]:
    return lambda sql, tell=print: Concurrent(acting, connection, read_one(sql), tell)


def names(found: tuple[Blocker, ...]) -> list[str]:
    return [blocker.gid or blocker.application for blocker in found]


def invalid(connection: Connection) -> list[str]:
    rows = connection.execute(
        "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid ORDER BY 1"
    )
    return [row[0] for row in rows.fetchall()]


@pytest.fixture
def prepared(connect: Connect, connection: Connection) -> Iterator[Callable[[str], str]]:
    """Prepare a transaction that has run a statement; rolled back after the test."""
    made: list[str] = []

    def one(sql: str) -> str:
        made.append(f"gid-{secrets.token_hex(4)}")
        conn = connect("two phases")
        conn.execute(sql.encode())
        conn.execute(f"PREPARE TRANSACTION '{made[-1]}'".encode())
        conn.rollback()
        return made[-1]

    yield one
    for gid in made:
        connection.execute(f"ROLLBACK PREPARED '{gid}'".encode())


# -- who is waited for ---------------------------------------------------------------------------


def snapshot_of(conn: Connection, table: str = "other") -> None:
    """Keep a snapshot for as long as the transaction lasts."""
    conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    conn.execute(f"SELECT * FROM {table}".encode())


@pytest.mark.parametrize(
    ("sql", "waits"),
    [
        (BUILD, ["reader with a snapshot", "writer"]),
        ("REINDEX TABLE CONCURRENTLY t", ["reader with a snapshot", "reader", "writer"]),
        ("DROP INDEX CONCURRENTLY there", ["reader", "writer"]),
        ("ALTER TABLE parted DETACH PARTITION part CONCURRENTLY", ["reader of the parent"]),
    ],
)
def test_only_those_are_named_that_are_truly_waited_for(
    concurrent, connect, connection, sql: str, waits: list[str]
) -> None:
    connection.execute("CREATE INDEX there ON t (id)")
    connection.execute("CREATE TABLE parted (id int) PARTITION BY LIST (id)")
    connection.execute("CREATE TABLE part PARTITION OF parted FOR VALUES IN (1)")
    snapshot_of(connect("reader with a snapshot"))
    connect("reader").execute("SELECT * FROM t")
    connect("writer").execute("INSERT INTO t VALUES (3)")
    connect("reader of the parent").execute("SELECT * FROM parted WHERE id = 2")
    connect("writer elsewhere").execute("INSERT INTO other VALUES (3)")
    connect("idle", autocommit=True).execute("SELECT 1")
    assert names(concurrent(sql).in_the_way(ANY_AGE)) == waits


def test_the_named_are_those_that_the_server_waits_for(
    concurrent, connect, connection, acting
) -> None:
    """The server's own list, while it waits, holds nobody else."""
    writer, reader = connect("writer"), connect("reader with a snapshot")
    writer.execute("INSERT INTO t VALUES (3)")
    snapshot_of(reader)
    found = {blocker.pid for blocker in concurrent(BUILD).in_the_way(ANY_AGE)}
    thread = threading.Thread(target=acting.execute, args=[BUILD])
    thread.start()
    seen: set[int] = set()

    def locker() -> int | None:
        row = connection.execute(
            "SELECT nullif(current_locker_pid, 0) FROM pg_stat_progress_create_index"
        ).fetchone()
        return row[0] if row else None

    for conn in (writer, reader):
        wait_for(lambda: locker() not in (None, *seen))
        seen.add(locker() or 0)
        conn.rollback()
    thread.join()
    assert seen == found


def test_a_prepared_transaction_that_wrote_to_the_table_is_named(concurrent, prepared) -> None:
    gid = prepared("INSERT INTO t VALUES (3)")
    prepared("INSERT INTO other VALUES (3)")
    assert names(concurrent(BUILD).in_the_way(ANY_AGE)) == [gid]


def test_a_plain_build_elsewhere_is_not_waited_for_but_a_partial_one_is(
    concurrent, connect, connection
) -> None:
    hold = connect("holder")
    hold.execute("INSERT INTO other VALUES (1)")
    builder = connect("builder", autocommit=True)
    for sql, waits in (
        ("CREATE INDEX CONCURRENTLY j ON other (id)", []),
        ("CREATE INDEX CONCURRENTLY k ON other (id) WHERE id > 0", ["builder"]),
    ):
        thread = threading.Thread(target=_quietly, args=[builder, sql])
        thread.start()
        wait_for(lambda: _waits_for_lockers(connection))
        connection.execute("SELECT 1")
        found = names(concurrent(BUILD).in_the_way(ANY_AGE))
        builder.cancel_safe()
        thread.join()
        # while it waits for writers it has no snapshot: who has none is not waited for
        assert set(found) <= set(waits)


def _quietly(conn: Connection, sql: str) -> None:
    with pytest.raises(psycopg.errors.QueryCanceled):
        conn.execute(sql.encode())


def _waits_for_lockers(connection: Connection) -> bool:
    row = connection.execute(
        "SELECT count(*) FROM pg_stat_progress_create_index WHERE phase LIKE 'waiting%'"
    ).fetchone()
    return bool(row and row[0])


def test_a_young_transaction_is_not_worth_a_word(concurrent, connect) -> None:
    snapshot_of(connect("reader"))
    assert concurrent(BUILD).in_the_way(3600) == ()


# -- waiting for them ----------------------------------------------------------------------------


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every transaction counts as an old one."""
    monkeypatch.setattr(Concurrent.in_the_way, "__defaults__", (ANY_AGE,), raising=True)


def test_who_is_in_the_way_is_waited_for_and_told_at_once(concurrent, connect, at_once) -> None:
    reader = connect("report")
    snapshot_of(reader)
    said: list[str] = []

    def tell(text: str) -> None:
        said.append(text)
        threading.Timer(0.05, reader.rollback).start()

    assert concurrent(BUILD, tell).wait(60) == ()
    assert len(said) == 1
    assert f"CONCURRENTLY has to wait for pid {reader.info.backend_pid} (report, " in said[0]


def test_those_that_come_later_are_not_waited_for(concurrent, connect, at_once) -> None:
    first, second = connect("first"), connect("second")
    snapshot_of(first)

    def meanwhile(found: tuple[Blocker, ...]) -> None:
        if second.info.transaction_status == 0:
            snapshot_of(second)
            first.rollback()

    assert concurrent(BUILD).wait(60, meanwhile=meanwhile) == ()


def test_who_is_left_at_the_deadline_is_returned(concurrent, connect, at_once) -> None:
    snapshot_of(connect("report"))
    assert names(concurrent(BUILD).wait(0)) == ["report"]


def test_a_stop_ends_the_wait(concurrent, connect, at_once) -> None:
    snapshot_of(connect("report"))
    stop = threading.Event()
    stop.set()
    assert names(concurrent(BUILD).wait(3600, stop)) == ["report"]


def test_old_ones_are_ended_where_that_is_wanted(
    concurrent, connect, connection, database: Target, at_once
) -> None:
    role = f"role_{secrets.token_hex(4)}"
    connection.execute(f"CREATE ROLE {role} LOGIN; GRANT SELECT ON other TO {role}".encode())
    conninfo = make_conninfo(database.conninfo, user=role, application_name="report")
    try:
        reader = psycopg.connect(conninfo)
        snapshot_of(reader)
        left = concurrent(BUILD).wait(
            60, meanwhile=lambda found: terminate(connection, found, 0.0, print)
        )
        reader.close()
        assert left == ()
    finally:
        wait_for(lambda: not _sessions(connection, role))
        connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())


def _sessions(connection: Connection, role: str) -> bool:
    query = "SELECT count(*) FROM pg_stat_activity WHERE usename = %s"
    row = connection.execute(query, [role]).fetchone()
    return bool(row and row[0])


# -- what is left ----------------------------------------------------------------------------------


def fail(conn: Connection, sql: str) -> None:
    with pytest.raises(psycopg.Error):
        conn.execute(sql.encode())


def test_only_its_own_remains_are_dropped(concurrent, acting, connection) -> None:
    connection.execute("INSERT INTO other VALUES (1), (1)")
    fail(connection, "CREATE UNIQUE INDEX CONCURRENTLY foreign_one ON other (id)")
    fail(connection, "CREATE UNIQUE INDEX CONCURRENTLY older ON t (id)")
    sql = "CREATE UNIQUE INDEX CONCURRENTLY i ON t (id)"
    build = concurrent(sql)
    fail(acting, sql)
    fail(connection, "CREATE UNIQUE INDEX CONCURRENTLY of_another ON t (id)")
    assert build.clean_up() == ["dropped what was left invalid: public.i"]
    assert invalid(connection) == ["foreign_one", "of_another", "older"]


def test_an_index_without_a_name_is_found_too(concurrent, acting, connection) -> None:
    sql = "CREATE UNIQUE INDEX CONCURRENTLY ON t (id)"
    build = concurrent(sql)
    fail(acting, sql)
    assert build.clean_up() == ["dropped what was left invalid: public.t_id_idx"]


def test_names_are_resolved_as_the_migration_does(concurrent, acting, connection) -> None:
    connection.execute("CREATE SCHEMA app; CREATE TABLE app.t AS SELECT 1 AS id, 1 AS n UNION ALL "
                       "SELECT 1, 2")  # fmt: skip
    acting.execute("SET search_path = app")
    sql = "CREATE UNIQUE INDEX CONCURRENTLY i ON t (id)"
    build = concurrent(sql)
    fail(acting, sql)
    assert build.clean_up() == ["dropped what was left invalid: app.i"]
    assert invalid(connection) == []


def test_a_failed_reindex_leaves_the_old_index_and_nothing_else(
    concurrent, acting, connection
) -> None:
    connection.execute("TRUNCATE t; INSERT INTO t VALUES (1); CREATE UNIQUE INDEX i ON t (id)")
    sql = "REINDEX INDEX CONCURRENTLY i"
    rebuild = concurrent(sql)
    _spoil(connection)
    fail(acting, sql)
    assert invalid(connection) == ["i_ccnew"]
    assert rebuild.clean_up() == ["dropped what was left invalid: public.i_ccnew"]
    row = connection.execute("SELECT indexrelid::regclass::text FROM pg_index"
                             " WHERE indrelid = 't'::regclass").fetchall()  # fmt: skip
    assert row == [("i",)]


def _spoil(connection: Connection) -> None:
    """Put a duplicate below a unique index, which a rebuild then finds."""
    connection.execute("UPDATE pg_index SET indisready = false WHERE indexrelid = 'i'::regclass")
    connection.execute("INSERT INTO t VALUES (1)")
    connection.execute("UPDATE pg_index SET indisready = true WHERE indexrelid = 'i'::regclass")


def test_a_cancelled_drop_is_finished_by_the_next_try(
    concurrent, acting, connect, connection
) -> None:
    connection.execute("CREATE INDEX i ON t (id)")
    reader = connect("reader")
    reader.execute("SELECT * FROM t")
    sql = "DROP INDEX CONCURRENTLY i"
    drop = concurrent(sql)
    thread = threading.Thread(target=fail, args=[acting, sql])
    thread.start()
    wait_for(lambda: invalid(connection))
    acting.cancel_safe()
    thread.join()
    assert drop.clean_up() == ["public.i is invalid now: the next try drops it"]
    reader.rollback()
    again = concurrent(sql)
    acting.execute(again.sql().encode())
    assert invalid(connection) == []


def test_a_half_detached_partition_is_finalized(concurrent, acting, connect, connection) -> None:
    connection.execute("CREATE TABLE parted (id int) PARTITION BY LIST (id)")
    connection.execute("CREATE TABLE part PARTITION OF parted FOR VALUES IN (1)")
    reader = connect("reader")
    reader.execute("SELECT * FROM parted")
    sql = "ALTER TABLE parted DETACH PARTITION part CONCURRENTLY"
    detach = concurrent(sql)
    thread = threading.Thread(target=fail, args=[acting, sql])
    thread.start()
    wait_for(
        lambda: connection.execute("SELECT true FROM pg_inherits WHERE inhdetachpending").fetchone()
    )
    acting.cancel_safe()
    thread.join()
    assert detach.clean_up() == ["part is half detached: the next try finalizes it"]
    reader.rollback()
    again = concurrent(sql).sql()
    assert again.endswith("FINALIZE")
    acting.execute(again.encode())
    assert connection.execute("SELECT count(*) FROM pg_inherits").fetchone() == (0,)


def test_an_invalid_index_of_that_name_is_dropped_before_the_build(
    concurrent, acting, connection
) -> None:
    """IF NOT EXISTS would take it for the real one."""
    fail(acting, "CREATE UNIQUE INDEX CONCURRENTLY i ON t (id)")
    said: list[str] = []
    build = concurrent("CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (id)", said.append)
    acting.execute(build.sql().encode())
    assert said == ["public.i is invalid, left by a build that failed: dropped"]
    assert invalid(connection) == []
    assert build.unfinished() == ""


def test_an_invalid_index_is_not_taken_for_the_real_one(concurrent, acting) -> None:
    fail(acting, "CREATE UNIQUE INDEX CONCURRENTLY i ON t (id)")
    sql = "CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (id)"
    build = concurrent(sql)
    acting.execute(sql)
    assert "public.i exists and is invalid: a build of it has failed" in build.unfinished()


@pytest.mark.parametrize("sql", ["VACUUM t", "CREATE INDEX i ON t (id)"])
def test_other_statements_leave_nothing_to_clean_up(concurrent, connection, sql: str) -> None:
    other = concurrent(sql)
    fail(connection, "CREATE UNIQUE INDEX CONCURRENTLY i ON t (id)")
    assert other.clean_up() == []
    assert invalid(connection) == ["i"]


@pytest.mark.parametrize(
    "sql",
    [
        "REINDEX (CONCURRENTLY) SCHEMA public",
        "REINDEX DATABASE CONCURRENTLY",
        "REINDEX TABLE CONCURRENTLY t",
    ],
)
def test_a_reindex_of_much_covers_all_of_it(concurrent, connect, sql: str) -> None:
    connect("writer").execute("INSERT INTO t VALUES (3)")
    assert "writer" in names(concurrent(sql).in_the_way(ANY_AGE))
