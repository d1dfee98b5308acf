"""PostgreSQL's errors are sorted into pages of the catalogue, with something to do"""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from qb_engine import catalogue
from qb_engine.database import Target
from qb_engine.database.connect import connect, too_old
from qb_engine.database.sqlstates import TABLE, Explained, explain
from qb_engine.errors import ServerError

Connection = psycopg.Connection[tuple[Any, ...]]

SCHEMA = """
CREATE TABLE users (id int PRIMARY KEY, name text, email text);
INSERT INTO users VALUES (1, 'ada'), (2, 'ada');
CREATE VIEW people AS SELECT name FROM users;
CREATE TYPE mood AS ENUM ('sad');
CREATE FUNCTION guard() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
CREATE TABLE wide (a int);
CREATE TABLE spans (during int4range, EXCLUDE USING gist (during WITH &&));
INSERT INTO spans VALUES ('[1,5)');
CREATE MATERIALIZED VIEW empty_one AS SELECT 1 AS a WITH NO DATA;
"""

# what fails (statements before a ; prepare it), its SQLSTATE, the code and a word of what to do
MET = [
    ("ALTER TABLE users ADD email text", "42701", "already-exists", "qb history"),
    ("CREATE TABLE users ()", "42P07", "already-exists", "qb history"),
    ("CREATE TYPE mood AS ENUM ()", "42710", "already-exists", "another name"),
    ("CREATE SCHEMA public", "42P06", "already-exists", "another name"),
    (
        "CREATE FUNCTION guard() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        *("42723", "already-exists", "OR REPLACE"),
    ),
    ("ALTER TABLE users DROP emial", "42703", "does-not-exist", "column"),
    ("SELECT * FROM nothing", "42P01", "does-not-exist", "migration that creates it"),
    ("DROP TYPE nothing", "42704", "does-not-exist", "create the object"),
    ("SELECT nothing()", "42883", "does-not-exist", "search_path"),
    ("CREATE TABLE nowhere.t ()", "3F000", "does-not-exist", "schema"),
    ("CREATE UNIQUE INDEX u ON users (name)", "23505", "constraint-violated", "by u$| u "),
    ("ALTER TABLE users ALTER email SET NOT NULL", "23502", "constraint-violated", "users.email"),
    ("ALTER TABLE users ADD CHECK (id > 1)", "23514", "constraint-violated", "users_id_check"),
    (
        "CREATE TABLE o (u int REFERENCES users); INSERT INTO o VALUES (9)",
        *("23503", "constraint-violated", "o_u_fkey"),
    ),
    ("INSERT INTO spans VALUES ('[4,6)')", "23P01", "constraint-violated", "spans_during_excl"),
    ("ALTER TABLE users DROP name", "2BP01", "has-dependents", "drop what depends"),
    ("ALTER TABLE users ALTER name TYPE varchar(9)", "0A000", "not-supported", "another way"),
    ("SELECT 1 / (id - 1) FROM users", "22012", "bad-value", "nullif"),
    ("SELECT name::int FROM users", "22P02", "bad-value", "find the rows"),
    ("SELECT 'aé'::varchar(1)::int", "22P02", "bad-value", "find the rows"),
    ("ALTER TABLE users ALTER email TYPE int", "42804", "wrong-type", "USING"),
    ("SELECT now()::int", "42846", "wrong-type", "cast"),
    ("REFRESH MATERIALIZED VIEW users", "42809|0A000", "wrong-type|not-supported", ""),
    ("SELECT * FROM empty_one", "55000", "wrong-state", "state"),
    ("SELECT guard()", "P0001", "raised-by-code", "raised"),
    ("VACUUM users", "25001", "needs-no-transaction", "transaction = False"),
    (
        "DO $$ BEGIN COMMIT;END $$",
        *("2D000", "needs-no-transaction", "transaction = False"),
    ),
    ("SET TRANSACTION READ ONLY; CREATE TABLE t ()", "25006", "read-only", "primary"),
    (
        "ALTER TYPE mood ADD VALUE 'ok'; SELECT 'ok'::mood",
        *("55P04", "unsafe-enum-use", "migration of its own"),
    ),
    (
        "SET LOCAL statement_timeout = '20ms'; SELECT pg_sleep(9)",
        *("57014", "statement-timeout", "backfill"),
    ),
    ("SELECT pg_cancel_backend(pg_backend_pid())", "57014", "statement-cancelled", "log"),
    ("SELECT pg_terminate_backend(pg_backend_pid())", "57P01", "connection-lost", "server runs"),
    ("SELECT repeat('x', 2000000000)", "54000", "limit-exceeded", "limit"),
    (
        "SET LOCAL temp_file_limit = '1kB'; SELECT count(*) FROM"
        " (SELECT g FROM generate_series(1, 500000) g ORDER BY g DESC) x",
        *("53400", "limit-exceeded", "temp_file_limit"),
    ),
    ("SELCT 1", "42601", "bad-sql", "marked"),
    ("SELECT 1 FROM users, users", "42712", "bad-sql", "alias"),
    ("CREATE TABLE f (n text REFERENCES users (name))", "42830", "bad-sql", "unique constraint"),
    ("CREATE INDEX ON users ((random()))", "42P17", "bad-sql", "immutable"),
    ("CREATE TABLE two (a int PRIMARY KEY, b int PRIMARY KEY)", "42P16", "bad-sql", "table"),
    ("CREATE ROLE pg_mine", "42939", "missing-privilege", "another name"),
    ("SELECT id, count(*) FROM users", "42803", "statement-failed", ""),
    (
        "INSERT INTO users VALUES (3); ALTER TABLE users ADD FOREIGN KEY (id)"
        " REFERENCES users DEFERRABLE INITIALLY DEFERRED; INSERT INTO users VALUES (4);"
        " ALTER TABLE users ADD a int",
        *("55006", "in-use", "qb locks"),
    ),
]


@pytest.fixture(scope="module")
def prepared(shared_database: Target) -> Target:
    """A database with the schema that the statements fail on."""
    with psycopg.connect(shared_database.conninfo) as conn:
        conn.execute(SCHEMA)
    return shared_database


@pytest.fixture
def met(prepared: Target) -> Iterator[Callable[[str], psycopg.Error]]:
    """The error of the last of several statements, whose transaction is rolled back."""
    with psycopg.connect(prepared.conninfo) as conn:

        def fail(text: str) -> psycopg.Error:
            *before, last = text.split("; ")
            for each in before:
                conn.execute(each.encode())
            with pytest.raises(psycopg.Error) as raised:
                conn.execute(last.encode())
            return raised.value

        yield fail
        if not conn.closed:
            conn.rollback()


@pytest.mark.parametrize(("sql", "state", "code", "todo"), MET, ids=[m[0][:40] for m in MET])
def test_an_error_has_a_page_and_a_next_step(
    met, sql: str, state: str, code: str, todo: str
) -> None:
    error = met(sql)
    assert re.fullmatch(state, error.sqlstate or "")
    meant = explain(error)
    assert re.fullmatch(code, meant.code)
    assert re.search(todo, meant.todo)


def test_a_lock_that_is_not_got_names_its_page(met, prepared: Target) -> None:
    with psycopg.connect(prepared.conninfo) as other:
        other.execute("LOCK TABLE users")
        error = met("SET LOCAL lock_timeout = '20ms'; SELECT * FROM users")
    assert explain(error).code == "lock-timeout"


def test_a_deadlock_names_its_page(prepared: Target) -> None:
    """Two sessions wait for each other; the one that the server ends says so."""
    waiting = "SELECT count(*) FROM pg_locks WHERE pid = %s AND NOT granted"

    def wait_for_two() -> None:
        one.execute("SELECT pg_advisory_xact_lock(2)")

    with psycopg.connect(prepared.conninfo) as one, psycopg.connect(prepared.conninfo) as two:
        one.execute("SET deadlock_timeout = '30s'; SELECT pg_advisory_xact_lock(1)")
        two.execute("SET deadlock_timeout = '10ms'; SELECT pg_advisory_xact_lock(2)")
        other = threading.Thread(target=wait_for_two)
        other.start()
        while two.execute(waiting, [one.info.backend_pid]).fetchone() == (0,):
            pass
        with pytest.raises(psycopg.errors.DeadlockDetected) as raised:
            two.execute("SELECT pg_advisory_xact_lock(1)")
        two.rollback()
        other.join()
    assert explain(raised.value).code == "deadlock"


def test_a_role_without_privilege_is_told_so(met) -> None:
    error = met("SET LOCAL ROLE pg_read_all_settings; DROP TABLE users")
    assert explain(error) == Explained(
        "missing-privilege", "connect as a role with that privilege, or have it granted"
    )


def test_a_connection_that_is_gone_has_no_sqlstate(connection: Connection) -> None:
    connection.close()
    with pytest.raises(psycopg.OperationalError) as raised:
        connection.execute("SELECT 1")
    assert explain(raised.value).code == "connection-lost"


def test_sessions_that_run_out_are_told_from_a_server_that_is_gone(
    database: Target, connection: Connection
) -> None:
    role = f"crowded_{secrets.token_hex(4)}"  # roles are the whole server's
    connection.execute(f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 0".encode())
    try:
        with pytest.raises(ServerError) as raised:
            connect(Target("crowded", make_conninfo(database.conninfo, user=role)))
    finally:
        connection.execute(f"DROP ROLE {role}".encode())
    assert raised.value.code == "too-many-connections"


def test_a_server_that_does_not_answer_cannot_be_connected_to() -> None:
    with pytest.raises(ServerError) as raised:
        connect(Target("nowhere", "host=127.0.0.1 port=1 dbname=x"))
    assert raised.value.code == "cannot-connect"


def test_every_sqlstate_of_the_table_leads_to_a_page() -> None:
    assert {code for code, _ in TABLE.values()} <= set(catalogue.codes())


def test_advice_can_be_followed_by_the_command_that_goes_on() -> None:
    """It is the beginning of a sentence, and its blanks can all be filled."""
    for _, todo in TABLE.values():
        assert todo.endswith("...") or not todo.endswith(".")
        assert todo % {"constraint_name": "c", "column_name": "c", "table_name": "t"}


def test_a_server_of_an_older_version_is_told_by_its_number() -> None:
    error = too_old(Target("old", "host=h dbname=d user=u"), 140_011)
    assert error.code == "server-too-old"
    assert "14.11" in error.why
