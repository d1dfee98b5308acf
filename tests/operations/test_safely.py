"""safe steps as values: their names, their order, what they say"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qb_engine import operations
from qb_engine.analysis.fixing.compose import compose
from qb_engine.operations import Generic
from qb_engine.operations.safely import Fill, Safely, Seen, Step, Uncovered, named
from qb_engine.schema import ObjectId, Snapshot
from qb_engine.sql import read_one

COLUMNS = {
    "id": {"type": "integer", "nullable": False},
    "mail": {"type": "text", "nullable": True},
}
SCHEMA = Snapshot(
    MappingProxyType(
        {
            ObjectId("table", "public", "users"): {
                "columns": list(COLUMNS), "owner": "me", "kind": "table",
            },
            **{ObjectId("column", "public", "users", n): c for n, c in COLUMNS.items()},
            ObjectId("constraint", "public", "users", "users_pkey"): {
                "kind": "primary key", "definition": "PRIMARY KEY (id)", "columns": ["id"],
            },
        }
    )
)  # fmt: skip
BUSY = Seen(
    version=150000, rewrites=frozenset({"public.users"}), scans=frozenset({"public.users"}),
    builds=frozenset({"public.users"}),
)  # fmt: skip
IDLE = Seen(big=lambda table: False, filled=lambda table: False, many=lambda table: False)


def answer(sql: str, seen: Seen = BUSY) -> Safely | Uncovered | None:
    (operation,) = operations.read(read_one(sql))
    return operation.safely(SCHEMA, seen)


@given(st.lists(st.text(min_size=1, max_size=80), min_size=1, max_size=3))
def test_a_helpers_name_is_always_the_same_and_never_cut_by_the_server(parts: list[str]) -> None:
    assert named("check", *parts) == named("check", *parts)
    assert len(named("check", *parts).encode()) <= 63


def test_long_names_that_begin_alike_stay_apart() -> None:
    assert named("new", "a" * 80 + "b") != named("new", "a" * 80 + "c")


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE users ALTER mail SET NOT NULL",
        "ALTER TABLE users ADD CHECK (id > 0)",
        "ALTER TABLE users ADD UNIQUE (mail)",
        "ALTER TABLE users ALTER id TYPE bigint",
        "ALTER TABLE users ADD COLUMN n uuid NOT NULL DEFAULT gen_random_uuid()",
        "ALTER TABLE users ADD COLUMN plan text NOT NULL",
        "ALTER TABLE users RENAME TO people",
        "CREATE INDEX ON users (mail)",
        "UPDATE users SET mail = 'x'",
        "DELETE FROM users",
    ],
)
def test_what_nobody_notices_stays_as_it_is(sql: str) -> None:
    assert answer(sql, IDLE) is None


@pytest.mark.parametrize(
    ("sql", "word"),
    [
        ("UPDATE users SET mail = o.a FROM o WHERE o.b = users.id", "joins"),
        ("UPDATE users AS u SET mail = 'x'", "another name"),
        ("WITH a AS (SELECT 1) UPDATE users SET mail = 'x'", "WITH"),
        ("UPDATE users SET (mail) = (SELECT 'a')", "several columns"),
        ("DELETE FROM users USING o WHERE o.a = users.id", "joins"),
        ("ALTER TABLE users ADD EXCLUDE USING btree (mail WITH =)", "exclusion"),
        ("ALTER TABLE users RENAME COLUMN mail TO email", "two names"),
        ("ALTER TABLE users ADD a text GENERATED ALWAYS AS (lower(mail)) STORED", "generated"),
    ],
)
def test_what_has_no_safe_way_says_why(sql: str, word: str) -> None:
    found = answer(sql)
    assert isinstance(found, Uncovered)
    assert word in found.reason


@pytest.mark.parametrize("where", ["id = 5", "id IN (1, 2, 3)", "id = 5 AND mail = 'x'"])
def test_rows_that_are_named_by_their_key_are_no_bulk(where: str) -> None:
    assert answer(f"UPDATE users SET mail = 'x' WHERE {where}") is None
    assert answer(f"DELETE FROM users WHERE {where}") is None


def test_a_value_may_be_given_for_a_column_without_a_default() -> None:
    sql = "ALTER TABLE users ADD COLUMN plan text NOT NULL"
    found = answer(sql, Seen())
    assert isinstance(found, Safely)
    assert found.fill is not None
    assert found.fill.set == {"plan": None}
    told = answer(sql, Seen(values={"users.plan": "'free'"}))
    assert isinstance(told, Safely)
    assert told.fill is not None
    assert told.fill.set == {"plan": "'free'"}


def test_every_operation_may_be_asked() -> None:
    for kind in operations.all_operations():
        method: Callable[..., object] = kind.safely
        assert callable(method)
    assert Generic("GRANT SELECT ON users TO reader").safely(SCHEMA, BUSY) is None


def test_steps_are_values() -> None:
    step = Step("SELECT 1", "for nothing")
    assert step == Step("SELECT 1", "for nothing")
    assert step.sql == "SELECT 1"
    assert Fill("users", {"a": "1"}, "", "") == Fill("users", {"a": "1"}, "", "")
    assert compose([]).pieces == ()
