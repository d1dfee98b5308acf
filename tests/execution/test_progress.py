"""how far a statement has come is read from the server, for whatever it counts"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from qb_engine.database import Target
from qb_engine.execution.progress import Progress, pid_of, progress

Connection = psycopg.Connection[tuple[Any, ...]]

# an index on it takes a while to build
SLOW = """
CREATE FUNCTION slow(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
$$ BEGIN PERFORM pg_sleep(0.05); RETURN $1; END $$
"""


@pytest.fixture
def acting(database: Target, connection: Connection) -> Iterator[Connection]:
    connection.execute("CREATE TABLE t AS SELECT i AS id FROM generate_series(1, 20000) AS i")
    conninfo = make_conninfo(database.conninfo, application_name="qb run")
    with psycopg.connect(conninfo, autocommit=True) as conn:
        yield conn


@contextmanager
def running(conn: Connection, sql: str) -> Iterator[None]:
    """A statement that goes on beside, until it is cancelled."""

    def work() -> None:
        with pytest.raises(psycopg.errors.QueryCanceled):
            conn.execute(sql.encode())

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        conn.cancel_safe()
        thread.join()


def seen(watching: Connection, pid: int, wanted: Callable[[Progress], object] = bool) -> Progress:
    """The progress of a process, once it is what is wanted."""
    deadline = time.monotonic() + 60
    while (found := progress(watching, pid)) is None or not wanted(found):
        assert time.monotonic() < deadline, f"it was never seen so, but: {found}"
        time.sleep(0.01)  # between two looks at a condition
    return found


def test_who_does_nothing_that_is_counted_has_no_progress(acting, connection) -> None:
    assert progress(connection, acting.info.backend_pid) is None


def test_a_concurrent_build_says_whom_it_waits_for(acting, connection, database: Target) -> None:
    with psycopg.connect(database.conninfo) as writer:
        writer.execute("INSERT INTO t VALUES (0)")
        locker = writer.info.backend_pid
        pid = acting.info.backend_pid
        with running(acting, "CREATE INDEX CONCURRENTLY i ON t (id)"):
            found = seen(connection, pid, lambda p: p.locker)
    assert (found.command, found.relation) == ("CREATE INDEX CONCURRENTLY", "t")
    assert found.phase == "waiting for writers before build"
    assert (found.lockers_done, found.lockers_total, found.fraction) == (0, 1, 0.0)
    assert found.locker == locker
    assert str(found) == (
        "CREATE INDEX CONCURRENTLY on t: waiting for writers before build, 0%"
        f" (0 of 1 sessions have ended, now pid {found.locker})"
    )


def test_a_build_says_how_many_blocks_it_has_read(acting, connection) -> None:
    connection.execute(SLOW)
    with running(acting, "CREATE INDEX ON t (slow(id))"):
        found = seen(connection, acting.info.backend_pid, lambda p: p.blocks_total)
    assert found.command == "CREATE INDEX"
    assert found.phase.startswith("building index")
    assert found.fraction is not None
    assert 0 <= found.fraction <= 1


@pytest.mark.parametrize(("sql", "command"), [("VACUUM t", "VACUUM"), ("ANALYZE t", "ANALYZE")])
def test_vacuum_and_analyze_count_blocks(acting, connection, sql: str, command: str) -> None:
    connection.execute("DELETE FROM t WHERE id % 2 = 0")
    acting.execute("SET vacuum_cost_delay = '100ms'; SET vacuum_cost_limit = 1")
    with running(acting, sql):
        found = seen(connection, acting.info.backend_pid, lambda p: p.blocks_total)
    assert (found.command, found.relation) == (command, "t")
    assert found.fraction is not None
    assert 0 <= found.fraction <= 1


def test_a_rewrite_says_what_it_is_at(acting, connection) -> None:
    connection.execute(SLOW)
    connection.execute("CREATE TABLE u (id int); CREATE INDEX ON u (slow(id))")
    connection.execute("INSERT INTO u SELECT generate_series(1, 30)")
    with running(acting, "VACUUM FULL u"):
        found = seen(connection, acting.info.backend_pid, lambda p: "index" in p.phase)
    assert (found.command, found.relation) == ("VACUUM FULL", "u")
    assert found.phase == "rebuilding index"


def test_a_copy_counts_rows_and_bytes(acting, connection) -> None:
    with acting.cursor() as cursor, cursor.copy("COPY t FROM STDIN") as copy:
        for number in range(20_000):
            copy.write_row([number])
        found = seen(connection, acting.info.backend_pid, lambda p: p.tuples_done)
    assert (found.command, found.relation) == ("COPY FROM", "t")
    assert (found.bytes_done or 0) > 0
    assert found.fraction is None  # nobody knows how much is to come


def test_a_process_is_found_by_its_statement(acting, connection) -> None:
    sql = "SELECT pg_sleep(300) /* " + "long " * 400 + "*/"
    with running(acting, sql):
        deadline = time.monotonic() + 60
        while (pid := pid_of(connection, sql, "qb run")) is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)  # between two looks at a condition
        assert pid == acting.info.backend_pid
        assert pid_of(connection, sql, "another") is None
    assert pid_of(connection, sql, "qb run") is None


@pytest.mark.parametrize(
    ("found", "fraction"),
    [
        (Progress("VACUUM", "t", "scanning heap", blocks_done=1, blocks_total=4), 0.25),
        (Progress("CREATE INDEX", "t", "loading", 4, 4, tuples_done=1, tuples_total=2), 0.5),
        (Progress("CREATE INDEX", "t", "building index", lockers_done=1, lockers_total=1), None),
        (Progress("COPY FROM", "t", "file", bytes_done=3, bytes_total=2), 1.0),
    ],
)
def test_the_fraction_is_that_of_the_phase(found: Progress, fraction: float | None) -> None:
    assert found.fraction == fraction
