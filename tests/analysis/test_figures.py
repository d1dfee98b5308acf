"""what the target says of its relations is what they are"""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from qb_engine.analysis.figures import circumstances, expected_rows, figures
from qb_engine.database import Target
from qb_engine.sql import read

Conn = psycopg.Connection[tuple[Any, ...]]


def test_a_counted_table_is_told_with_its_rows_and_sizes(connection: Conn) -> None:
    connection.execute("CREATE TABLE users (id int PRIMARY KEY, name text)")
    connection.execute(
        "INSERT INTO users SELECT n, repeat('x', 50) FROM generate_series(1, 5000) n"
    )
    connection.execute("ANALYZE users")
    found = figures(connection, ["public.users", "public.users_pkey", "public.nobody"])
    users, index = found["public.users"], found["public.users_pkey"]
    assert set(found) == {"public.users", "public.users_pkey"}
    assert (users.kind, users.rows, index.kind, index.rows) == ("table", 5000, "index", 5000)
    row = connection.execute(
        "SELECT pg_total_relation_size('users'), pg_relation_size('users'),"
        " pg_relation_size('users_pkey')"
    ).fetchone()
    assert (users.bytes, users.table_bytes, index.bytes) == row


def test_a_table_that_nobody_counted_is_not_taken_for_empty(connection: Conn) -> None:
    connection.execute("CREATE TABLE fresh (id int)")
    assert figures(connection, ["public.fresh"])["public.fresh"].rows == 0
    connection.execute("ALTER TABLE fresh SET (autovacuum_enabled = off)")
    connection.execute("ANALYZE fresh")
    connection.execute("INSERT INTO fresh SELECT generate_series(1, 20000)")
    assert (figures(connection, ["public.fresh"])["public.fresh"].rows or 0) > 1000


def test_partitions_are_added_up(connection: Conn) -> None:
    connection.execute("""
        CREATE TABLE log (id int, at int) PARTITION BY RANGE (at);
        CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM (0) TO (10);
        CREATE TABLE log_2 PARTITION OF log FOR VALUES FROM (10) TO (100) PARTITION BY LIST (id);
        CREATE TABLE log_2_a PARTITION OF log_2 DEFAULT;
        CREATE INDEX ON log (at);
        INSERT INTO log SELECT n, n % 20 FROM generate_series(1, 2000) n;
        CREATE TABLE bare (id int) PARTITION BY LIST (id);
    """)
    connection.execute("ANALYZE log")
    found = figures(connection, ["public.log", "public.log_2", "public.log_at_idx", "public.bare"])
    log, part = found["public.log"], found["public.log_2"]
    assert (log.kind, log.partitions, log.rows) == ("partitioned table", 2, 2000)
    assert (part.partitions, part.rows) == (1, 1000)
    row = connection.execute(
        "SELECT pg_total_relation_size('log_1') + pg_total_relation_size('log_2_a')"
    ).fetchone()
    assert row is not None
    assert log.bytes == row[0]
    assert found["public.log_at_idx"].bytes == 2 * 16384
    assert (found["public.bare"].rows, found["public.bare"].bytes) == (0, 0)


def test_names_are_exact_whatever_they_hold(connection: Conn) -> None:
    connection.execute("""
        CREATE SCHEMA "odd.one"; CREATE TABLE "odd.one"."a ""b"".c" (id int);
        CREATE TABLE "Users" (id int); CREATE VIEW seen AS SELECT id FROM "Users"
    """)
    odd = 'odd.one.a "b".c'
    found = figures(connection, [odd, "public.Users", "public.users", "public.seen"])
    assert set(found) == {odd, "public.Users", "public.seen"}
    assert (found["public.seen"].kind, found["public.seen"].rows) == ("view", None)


def test_a_locked_table_is_told_by_the_catalog_without_waiting(
    connection: Conn, database: Target
) -> None:
    connection.execute("CREATE TABLE held (id int PRIMARY KEY); CREATE TABLE free (id int)")
    connection.execute("INSERT INTO held SELECT generate_series(1, 1000)")
    connection.execute("VACUUM ANALYZE held")
    with psycopg.connect(database.conninfo) as other:
        other.execute("LOCK TABLE held IN ACCESS EXCLUSIVE MODE")
        found = figures(connection, ["public.held", "public.free"])
    assert found["public.held"].rows == 1000
    assert (found["public.held"].table_bytes or 0) >= 8192
    assert found["public.free"].rows == 0


def test_what_a_role_may_not_see_is_not_guessed(connection: Conn, database: Target) -> None:
    name = f"little_{connection.info.dbname}"
    connection.execute("CREATE TABLE users AS SELECT n AS id FROM generate_series(1, 100) n")
    connection.execute("ANALYZE users")
    connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'little'".encode())
    try:
        connection.execute(
            "REVOKE EXECUTE ON FUNCTION pg_catalog.pg_total_relation_size(regclass) FROM public"
        )
        with psycopg.connect(database.conninfo, autocommit=True) as little:
            little.execute(f"SET ROLE {name}".encode())
            users = figures(little, ["public.users"])["public.users"]
        assert (users.rows, users.writes, users.reads) == (100, None, None)
    finally:
        connection.execute(f"DROP OWNED BY {name}; DROP ROLE {name}".encode())


def test_many_relations_take_one_question(connection: Conn) -> None:
    connection.execute("""
        DO $$ BEGIN FOR n IN 1..2000 LOOP
          EXECUTE format('CREATE TABLE t%s (id int)', n);
        END LOOP; END $$
    """)
    names = [f"public.t{n}" for n in range(1, 2001)]
    assert len(figures(connection, names)) == 2000


def test_invalid_indexes_are_named(connection: Conn) -> None:
    connection.execute("CREATE TABLE users (id int); INSERT INTO users VALUES (1), (1)")
    with pytest.raises(psycopg.errors.UniqueViolation):
        connection.execute("CREATE UNIQUE INDEX CONCURRENTLY once ON users (id)")
    found = circumstances(connection, production=True, small_rows=5)
    assert found.invalid_indexes == {"public.once"}
    assert (found.production, found.small_rows, found.small_bytes) == (True, 5, 10 * 1024 * 1024)
    assert (found.version or 0) >= 150_000


def test_the_planner_says_how_many_rows_a_change_touches(connection: Conn) -> None:
    connection.execute("CREATE TABLE users (id int PRIMARY KEY, name text)")
    connection.execute("INSERT INTO users SELECT n, 'x' FROM generate_series(1, 1000) n")
    connection.execute("ANALYZE users")
    statements = read("""
        UPDATE users SET name = 'y';
        DELETE FROM users WHERE id = 7;
        INSERT INTO users SELECT id + 1000, name FROM users;
        WITH gone AS (DELETE FROM users RETURNING id) UPDATE users SET name = 'z' WHERE id = 1;
        UPDATE users SET nothing = 1;
        ALTER TABLE users ADD age int
    """)
    found = expected_rows(connection, enumerate(statements, 1))
    assert found == {1: 1000, 2: 1, 3: 1000, 4: 1001}
    assert connection.execute("SELECT count(*) FROM users WHERE name = 'x'").fetchone() == (1000,)


def test_a_change_of_a_held_table_is_left_out_in_time(connection: Conn, database: Target) -> None:
    connection.execute("CREATE TABLE users (id int)")
    with psycopg.connect(database.conninfo) as other:
        other.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
        assert expected_rows(connection, enumerate(read("DELETE FROM users"), 1)) == {}


def test_reads_and_writes_are_told_per_second(connection: Conn) -> None:
    connection.execute("CREATE TABLE users (id int PRIMARY KEY)")
    connection.execute("SELECT pg_stat_reset()")
    connection.execute("INSERT INTO users SELECT generate_series(1, 500)")
    connection.execute("SELECT count(*) FROM users")
    connection.execute("SELECT pg_stat_force_next_flush()")
    users = figures(connection, ["public.users"])["public.users"]
    assert users.writes is not None
    assert users.reads is not None
    assert users.writes > 0
    assert users.reads > 0
