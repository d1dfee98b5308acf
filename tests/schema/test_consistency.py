"""a snapshot is of one moment, whatever others do meanwhile"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from qb_engine.errors import ServerError
from qb_engine.schema import Snapshot, capture, snapshot

Connection = psycopg.Connection[tuple[Any, ...]]

# Made in one transaction, dropped in one: a snapshot has all of them, or none.
PAIRS = (
    "CREATE FUNCTION pair_f() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "CREATE INDEX pair_i ON t (a)",
    "CREATE INDEX pair_e ON t (lower(b)) WHERE a > 5",
    "ALTER TABLE t ADD CONSTRAINT pair_c CHECK (a > 0)",
    "CREATE VIEW pair_v AS SELECT a FROM t",
    "CREATE TYPE pair_t AS ENUM ('x')",
    "CREATE TABLE pair (a pair_t DEFAULT 'x')",
)
UNDO = (
    "DROP TABLE pair; DROP TYPE pair_t; DROP VIEW pair_v; ALTER TABLE t DROP CONSTRAINT pair_c;"
    "DROP INDEX pair_e; DROP INDEX pair_i; DROP FUNCTION pair_f()"
)


@contextmanager
def meanwhile(where: str, *scripts: str, pause: float) -> Iterator[list[int]]:
    """Run scripts in turn, each in a transaction, until the block ends; yield a count of them."""
    stop, count, trouble = threading.Event(), [0], []

    def work() -> None:
        try:
            with psycopg.connect(where, autocommit=True) as conn:
                while not stop.is_set():
                    for script in scripts:
                        with conn.transaction():
                            conn.execute(script)
                        count[0] += 1
                        stop.wait(pause)
        except psycopg.Error as error:
            trouble.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield count
    finally:
        stop.set()
        thread.join()
    assert not trouble


def pairs(found: Snapshot) -> set[str]:
    return {
        (id.sub or id.name)
        for id in found.facts
        if (id.sub or id.name).startswith("pair") and id.kind != "column"
    }


def test_a_snapshot_never_mixes_two_states(where: str, conn: Connection) -> None:
    conn.execute("CREATE TABLE t (a integer, b text)")
    conn.execute(";".join(f"CREATE TABLE t{n} (a integer PRIMARY KEY)" for n in range(50)))
    none = snapshot(conn)
    for statement in PAIRS:
        conn.execute(statement)
    every = snapshot(conn)
    conn.execute(UNDO)
    seen = set()
    with meanwhile(where, ";".join(PAIRS), UNDO, pause=0.05) as count:
        while count[0] < 60 or len(seen) < 2:
            found = snapshot(conn)
            assert found in (none, every), pairs(found)
            seen.add(found.fingerprint)
    assert seen == {none.fingerprint, every.fingerprint}


def test_writers_do_not_keep_it_from_settling(where: str, conn: Connection) -> None:
    """Transactions end all the time; none of them touches the schema."""
    conn.execute("CREATE TABLE t (a integer)")
    before = snapshot(conn)
    with meanwhile(
        where,
        "INSERT INTO t SELECT 1",
        "CREATE TEMP TABLE temporary (a text) ON COMMIT DROP",
        pause=0.0,
    ) as count:
        for _ in range(20):
            assert snapshot(conn) == before
    assert count[0] > 20


def test_a_schema_that_never_rests_is_an_error(
    where: str, conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture, "PATIENCE_S", 0.3)
    conn.execute("CREATE TABLE t (a integer); CREATE SEQUENCE s")
    # every reading of this view waits until the schema has changed once more
    with meanwhile(where, "COMMENT ON TABLE t IS 'x'", "COMMENT ON TABLE t IS 'y'", pause=0):
        monkeypatch.setattr(capture, "MOMENT", f"{capture.MOMENT} FROM pg_catalog.pg_sleep(0.05)")
        with pytest.raises(ServerError, match="keeps changing") as caught:
            snapshot(conn)
    assert caught.value.todo
    assert conn.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


def test_a_locked_table_is_an_error_that_names_who_has_it(
    where: str, conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture, "LOCK_PATIENCE_S", 0.1)
    conn.execute("CREATE TABLE users (a integer CHECK (a > 0))")
    with psycopg.connect(where, application_name="a migration") as holder:
        holder.execute("ALTER TABLE users ADD COLUMN b integer")
        with pytest.raises(ServerError, match="a table is locked") as caught:
            snapshot(conn)
        assert "public.users is locked ACCESS EXCLUSIVE" in caught.value.why
        assert str(holder.info.backend_pid) in caught.value.why
        assert "a migration" in caught.value.why
        assert conn.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    table = snapshot(conn).table("users")
    assert table is not None
    assert list(table.columns) == ["a", "b"]


def test_a_lock_without_expressions_is_no_hindrance(where: str, conn: Connection) -> None:
    """Defaults and keys are printed without one."""
    conn.execute("CREATE TABLE t (id bigint PRIMARY KEY, a timestamptz DEFAULT now())")
    with psycopg.connect(where) as holder:
        holder.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        table = snapshot(conn).table("t")
    assert table is not None
    assert table.columns["a"].default == "now()"


def test_a_broken_connection_is_a_server_error(where: str, conn: Connection, url: str) -> None:
    with psycopg.connect(where, autocommit=True) as killer:
        killer.execute("SELECT pg_terminate_backend(%s)", (conn.info.backend_pid,))
    with pytest.raises(ServerError, match="cannot be read"):
        snapshot(conn)


def test_a_cancelled_reading_is_a_server_error_and_the_connection_lives(
    conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(capture.SETTINGS, "statement_timeout", "20ms")
    monkeypatch.setattr(capture, "PREPARE", capture.prepared())
    monkeypatch.setattr(capture, "MOMENT", f"{capture.MOMENT} FROM pg_catalog.pg_sleep(5)")
    with pytest.raises(ServerError, match="cannot be read"):
        snapshot(conn)
    monkeypatch.undo()
    assert snapshot(conn).is_empty
