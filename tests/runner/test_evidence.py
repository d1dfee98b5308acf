"""whether a statement outside a transaction finished is read from the catalog, never guessed"""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from qb_engine.database import Target
from qb_engine.runner import evidence
from qb_engine.runner.evidence import Found, Note
from qb_engine.sql import read_one

Connection = psycopg.Connection[tuple[Any, ...]]


def noted(connection: Connection, sql: str) -> Note:
    return evidence.before(connection, read_one(sql))


def asked(connection: Connection, sql: str, note: Note) -> Found:
    return evidence.now(connection, read_one(sql), note)


@pytest.fixture
def table(connection: Connection) -> str:
    connection.execute("CREATE TABLE t (a int, b text, gone int); ALTER TABLE t DROP gone")
    connection.execute("CREATE INDEX other ON t (b)")
    return "t"


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE INDEX CONCURRENTLY i ON t (a)",
        "CREATE INDEX CONCURRENTLY ON t (a)",
        "CREATE INDEX CONCURRENTLY ON t (b)",  # as one that was there before
        "CREATE UNIQUE INDEX CONCURRENTLY ON t (lower(b) DESC) INCLUDE (a) WHERE a > 1 + 1",
        "CREATE INDEX CONCURRENTLY ON t USING hash (b) WITH (fillfactor = 70)",
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON public.t (a, b COLLATE \"C\")",
    ],
)  # fmt: skip
def test_a_build_is_known_by_its_definition(connection: Connection, table: str, sql: str) -> None:
    note = noted(connection, sql)
    connection.execute("CREATE INDEX another ON t (a, a, b)")  # somebody else's, meanwhile
    assert asked(connection, sql, note).verdict == "unfinished"
    connection.execute(sql.encode())
    found = asked(connection, sql, note)
    assert (found.verdict, found.clear) == ("finished", ())
    connection.execute(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid ="
        " (SELECT max(indexrelid) FROM pg_index WHERE indrelid = 't'::regclass)"
    )
    found = asked(connection, sql, note)
    assert found.verdict == "unfinished"
    assert len(found.clear) == 1
    for clear in found.clear:
        connection.execute(clear.encode())
    assert asked(connection, sql, note).clear == ()


def test_an_index_of_that_name_that_was_there_before_is_not_its_work(
    connection: Connection, table: str
) -> None:
    sql = "CREATE INDEX CONCURRENTLY other ON t (a)"
    note = noted(connection, sql)
    assert asked(connection, sql, note).verdict == "unfinished"


def test_names_mean_what_they_mean_to_who_runs_the_statement(
    database: Target, connection: Connection
) -> None:
    sql = "CREATE INDEX CONCURRENTLY i ON t (a)"
    connection.execute("CREATE SCHEMA app; CREATE TABLE app.t (a int)")
    with psycopg.connect(database.conninfo, autocommit=True) as acting:
        acting.execute("SET search_path = app")
        note = noted(acting, sql)
        acting.execute(sql.encode())
    found = asked(connection, sql, note)
    assert (found.verdict, found.said) == ("finished", "the index app.i is there, and valid")


def test_a_dropped_index_is_gone_and_a_half_dropped_one_is_not(
    connection: Connection, table: str
) -> None:
    sql = "DROP INDEX CONCURRENTLY other"
    note = noted(connection, sql)
    assert asked(connection, sql, note).verdict == "unfinished"
    connection.execute(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'other'::regclass"
    )
    assert "half dropped" in asked(connection, sql, note).said
    connection.execute(sql.encode())
    assert asked(connection, sql, note).verdict == "finished"
    connection.execute("CREATE INDEX other ON t (a)")  # another one, by that name
    assert asked(connection, sql, note).verdict == "finished"


@pytest.mark.parametrize("what", ["INDEX CONCURRENTLY other", "TABLE CONCURRENTLY t"])
def test_a_reindex_has_finished_when_every_index_is_a_new_one(
    connection: Connection, table: str, what: str
) -> None:
    sql = f"REINDEX {what}"
    note = noted(connection, sql)
    assert asked(connection, sql, note).verdict == "repeatable"
    connection.execute("CREATE INDEX other_ccnew ON t (b)")
    connection.execute(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'other_ccnew'::regclass"
    )
    found = asked(connection, sql, note)
    assert found.verdict == "repeatable"
    assert found.clear == ("DROP INDEX CONCURRENTLY public.other_ccnew",)
    connection.execute(found.clear[0].encode())
    connection.execute(sql.encode())
    assert asked(connection, sql, note) == Found("finished", "every index was replaced")


def test_a_half_detached_partition_is_seen(database: Target, connection: Connection) -> None:
    connection.execute(
        "CREATE TABLE p (a int) PARTITION BY LIST (a); CREATE TABLE p1 PARTITION OF p"
        " FOR VALUES IN (1)"
    )
    sql = "ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY"
    note = noted(connection, sql)
    assert asked(connection, sql, note).said == "p1 is still a partition of p"
    with psycopg.connect(database.conninfo) as reader:
        reader.execute("SELECT * FROM p")
        connection.execute("SET lock_timeout = '50ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            connection.execute(sql)
        connection.execute("RESET lock_timeout")
    assert "half detached" in asked(connection, sql, note).said
    connection.execute("ALTER TABLE p DETACH PARTITION p1 FINALIZE")
    assert asked(connection, sql, note).verdict == "finished"


def test_a_database_is_there_or_not(connection: Connection) -> None:
    name = f"{connection.info.dbname}_more"
    make, drop = f"CREATE DATABASE {name}", f"DROP DATABASE {name}"
    note = noted(connection, make)
    assert asked(connection, make, note).verdict == "unfinished"
    connection.execute(make.encode())
    try:
        assert asked(connection, make, note).verdict == "finished"
        assert asked(connection, make, noted(connection, make)).verdict == "repeatable"
        note = noted(connection, drop)
        assert asked(connection, drop, note).verdict == "unfinished"
    finally:
        connection.execute(drop.encode())
    assert asked(connection, drop, note).verdict == "finished"


def test_a_prepared_transaction_has_ended_when_it_is_not_there(
    database: Target, connection: Connection
) -> None:
    gid = connection.info.dbname
    sql = f"COMMIT PREPARED '{gid}'"
    with psycopg.connect(database.conninfo) as other:
        other.execute("CREATE TABLE made ()")
        other.execute(f"PREPARE TRANSACTION '{gid}'")
    note = noted(connection, sql)
    assert asked(connection, sql, note).verdict == "unfinished"
    connection.execute(sql)
    assert asked(connection, sql, note).verdict == "finished"


def test_an_enum_value_is_there_or_not(connection: Connection) -> None:
    connection.execute("CREATE TYPE mood AS ENUM ('sad')")
    sql = "ALTER TYPE mood ADD VALUE 'ok'"
    note = noted(connection, sql)
    assert asked(connection, sql, note).verdict == "unfinished"
    connection.execute(sql)
    assert asked(connection, sql, note).said == "the value ok of mood is there"


@pytest.mark.parametrize(
    ("sql", "verdict"),
    [("VACUUM t", "repeatable"), ("ALTER SYSTEM SET work_mem = '1MB'", "repeatable"),
     ("CALL p()", "unknown"), ("DO 'BEGIN END'", "unknown")],
)  # fmt: skip
def test_what_leaves_no_trace_is_repeated_or_asked_about(
    connection: Connection, sql: str, verdict: str
) -> None:
    assert asked(connection, sql, noted(connection, sql)).verdict == verdict
