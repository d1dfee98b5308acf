"""a name that is missing comes with the names that may have been meant"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from qb_engine.database import Target
from qb_engine.execution.why import explain
from qb_engine.sql import read_one

Connection = psycopg.Connection[tuple[Any, ...]]

SCHEMA = """
CREATE TABLE users (id int, name text, "E mail" text);
CREATE SCHEMA "S x" CREATE TABLE customers (id int);
CREATE INDEX users_by_name ON users (name);
CREATE FUNCTION full_name(text) RETURNS text LANGUAGE sql AS 'SELECT $1';
"""

MEANT = [
    ("ALTER TABLE users DROP COLUMN nme", "name"),
    ("SELECT nam FROM users", "name"),
    ('SELECT "Email" FROM users', '"E mail"'),
    ("UPDATE users SET nmae = ''", "name"),
    ("CREATE INDEX ON users (nam)", "name"),
    ("SELECT * FROM usrs", "users"),
    ("SELECT * FROM public.usrs", "users"),
    ("SELECT * FROM custmers", '"S x".customers'),
    ("DROP INDEX users_by_nam", "users_by_name"),
    ("ALTER TABLE users ADD x intteger", "integer"),
    ("SELECT ful_name('a')", "full_name"),
    ("DROP FUNCTION ful_name(text)", "full_name"),
]


@pytest.fixture(scope="module")
def prepared(shared_database: Target) -> Target:
    with psycopg.connect(shared_database.conninfo) as conn:
        conn.execute(SCHEMA)
    return shared_database


@pytest.fixture
def asked(prepared: Target) -> Iterator[Connection]:
    with psycopg.connect(prepared.conninfo, autocommit=True) as conn:
        yield conn


def failure(connection: Connection, sql: str) -> psycopg.Error:
    with pytest.raises(psycopg.Error) as raised:
        connection.execute(sql.encode())
    return raised.value


@pytest.mark.parametrize(("sql", "meant"), MEANT)
def test_what_may_have_been_meant_is_offered(asked: Connection, sql: str, meant: str) -> None:
    found = explain(failure(asked, sql), read_one(sql), asked)
    assert found.code == "does-not-exist"
    assert found.todo.startswith("did you mean ")
    assert meant in found.todo.removeprefix("did you mean ").partition("?")[0].split(", ")


def test_where_nothing_is_near_the_general_advice_stays(asked: Connection) -> None:
    sql = "SELECT * FROM zzzzzzzz"
    assert "migration that creates it" in explain(failure(asked, sql), read_one(sql), asked).todo


def test_names_are_offered_whatever_the_language_of_the_server(asked: Connection) -> None:
    """Only the quotes around a name matter, and they differ."""
    from qb_engine.execution.why import _NAMED

    for message in ('column "nme" fehlt', "Spalte »nme« fehlt", "colonne « nme » absente"):
        found = _NAMED.search(message)
        assert found is not None
        assert found[1] == "nme"


def test_a_connection_that_is_gone_is_not_asked(asked: Connection) -> None:
    sql = "SELECT nam FROM users"
    error = failure(asked, sql)
    asked.close()
    assert explain(error, read_one(sql), asked).code == "does-not-exist"


def test_other_errors_ask_nothing(asked: Connection) -> None:
    sql = "SELECT 1 / 0"
    error = failure(asked, sql)
    asked.close()
    assert explain(error, read_one(sql), asked).code == "bad-value"
