"""verify shows what was expected and what was found, and compares as PostgreSQL does"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from qb_engine.constraints import Check, infer, type_names, verify
from qb_engine.errors import InputError
from qb_engine.schema import snapshot
from qb_engine.sql import read

Connection = psycopg.Connection[Any]

SCHEMA = """
CREATE SCHEMA app;
CREATE SCHEMA "Order Items";
CREATE TYPE mood AS ENUM ('a');
CREATE TYPE app.mood AS ENUM ('b');
CREATE TYPE app.tone AS ENUM ('b');
CREATE TABLE users (
    id bigint PRIMARY KEY, email varchar(80) DEFAULT 'x', age int NOT NULL, feeling mood,
    tone app.tone, at timestamptz(3), every interval day to second(3), tags text[], d numeric(10,2)
);
CREATE TABLE "Order Items"."naïve""quote" ("Order Items" int DEFAULT 0);
CREATE INDEX users_age ON users (age);
"""


@pytest.fixture
def shop(connection: Connection) -> Connection:
    connection.execute(SCHEMA)
    return connection


def types(conn: Connection) -> Callable[[str], str]:
    return lambda name: type_names(conn, [name])[name]


def checks(conn: Connection, constraints: dict[str, Any]) -> tuple[Check, ...]:
    return verify(constraints, snapshot(conn), types(conn))


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("varchar", "character varying"),
        ("VARCHAR ( 20 )", "character varying(20)"),
        ("int4[]", "integer[]"),
        ("_int4", "integer[]"),
        ("bigserial", "bigint"),
        ("mood", "public.mood"),
        ("app.mood", "app.mood"),
        ("public.mood[]", "public.mood[]"),
        ("timestamptz(3)", "timestamp(3) with time zone"),
        ('"char"', '"char"'),
        ("nosuch", None),
        ("int NOT NULL", None),
        ("int, pg_sleep(9)", None),
        ("varchar(0)", None),
        ("", None),
    ],
)
def test_type_names_are_those_of_the_server(
    shop: Connection, name: str, canonical: str | None
) -> None:
    """As snapshots write them; what is no type is left out, and nothing else is run."""
    assert type_names(shop, [name]) == ({name: canonical} if canonical else {})


@pytest.mark.parametrize(
    ("column", "wanted", "ok"),
    [
        ("email", "varchar", True), ("email", "varchar(80)", True), ("email", "varchar(20)", False),
        ("email", "text", False), ("at", "timestamptz", True), ("at", "timestamp", False),
        ("at", "timestamptz(3)", True), ("every", "interval", True), ("tags", "_text", True),
        ("tags", "text", False), ("d", "decimal", True), ("d", "numeric(10,3)", False),
        ("feeling", "mood", True), ("feeling", "app.mood", False), ("tone", "tone", False),
        ("tone", "app.tone", True), ("id", "bigserial", True), ("id", "int8", True),
    ],
)  # fmt: skip
def test_types_compare_as_postgresql_compares_them(
    shop: Connection, column: str, wanted: str, ok: bool
) -> None:
    """varchar is character varying, with any length unless one is asked for."""
    (check,) = checks(shop, {"users": {"columns": {column: {"type": wanted}}}})[1:]
    assert (check.ok, check.expected) == (ok, wanted)


def test_an_unknown_type_is_not_met_and_says_so(shop: Connection) -> None:
    """A misspelt type does not pass, and does not stop the other checks."""
    found = checks(shop, {"users": {"columns": {"id": {"type": "bigit"}, "age": {"type": "int"}}}})
    assert [c.ok for c in found] == [True, False, True]
    assert "knows no type bigit" in found[1].found


def test_each_check_says_what_was_expected_and_found(shop: Connection) -> None:
    """The whole table of one look at everything that can be asked."""
    found = checks(
        shop,
        {
            "users": {
                "must_exist": True,
                "columns": {
                    "id": {"nullable": False},
                    "age": {"nullable": True, "default": True},
                    "email": {"default": "'x'"},
                    "phone": {"type": "text"},
                    "tags": {"must_exist": False},
                    "fresh": {"must_exist": False},
                },
                "indexes": {
                    "users_age": {"must_exist": True, "valid": True},
                    "other": {"must_exist": False},
                },
                "primary_key": ["id"],
            },
            "nothing": {"columns": {"a": {"type": "int"}}},
            "pets": {"must_exist": False},
            'Order Items.naïve"quote': {"columns": {"Order Items": {"default": "0"}}},
        },
    )
    assert [(c.what, c.expected, c.found, c.ok) for c in found] == [
        ("table users", "exists", "exists", True),
        ("nullability of users.id", "NOT NULL", "NOT NULL", True),
        ("nullability of users.age", "NULL allowed", "NOT NULL", False),
        ("default of users.age", "a default", "no default", False),
        ("default of users.email", "'x'", "'x'::character varying", True),
        ("column users.phone", "exists", "does not exist", False),
        ("column users.tags", "does not exist", "exists", False),
        ("column users.fresh", "does not exist", "does not exist", True),
        ("index users_age", "exists", "exists", True),
        ("validity of index users_age", "valid", "valid", True),
        ("index other", "does not exist", "does not exist", True),
        ("primary key of users", "id", "id", True),
        ("table nothing", "exists", "does not exist", False),
        ("column nothing.a", "exists", "does not exist", False),
        ("table pets", "does not exist", "does not exist", True),
        ('table Order Items.naïve"quote', "exists", "exists", True),
        ('default of Order Items.naïve"quote.Order Items', "0", "0", True),
    ]


def test_what_is_inferred_is_met(shop: Connection) -> None:
    """Constraints inferred from a schema hold in that schema."""
    sql = """
    ALTER TABLE users ADD phone text; UPDATE users SET email = 'x' WHERE tone IS NULL;
    ALTER TABLE "Order Items"."naïve""quote" ALTER "Order Items" SET NOT NULL;
    CREATE INDEX fresh ON users (every, at, d, feeling, tags);
    """
    constraints = infer(read(sql), snapshot(shop))
    assert len(constraints) == 2
    assert [c for c in checks(shop, constraints) if not c.ok] == []


@pytest.mark.parametrize(
    ("constraints", "words"),
    [
        ({"users": {"mustExist": True}}, "must_exist"),
        ({"users": {"columns": {"id": {"typ": "int"}}}}, "type"),
        ({"users": {"indexes": {"i": {"vaild": True}}}}, "valid"),
        ({"users": {"columns": ["id"]}}, "a dictionary is expected"),
        ({"users": True}, "a dictionary is expected"),
        ({"users": {"must_exist": "yes"}}, "True or False is expected"),
        ({"users": {"columns": {"id": {"type": 3}}}}, "name of a type"),
        ({"users": {"primary_key": "id"}}, "list of column names"),
        ({"users": {"must_exist": False, "columns": {}}}, "must not exist"),
        ({1: {}}, "a name is expected"),
    ],
)
def test_constraints_of_another_form_are_refused(
    connection: Connection, constraints: Any, words: str
) -> None:
    """The error names the place and the nearest known key."""
    with pytest.raises(InputError) as raised:
        verify(constraints, snapshot(connection), str, where="a.py:3")
    assert words in str(raised.value)
    assert raised.value.where == "a.py:3"
