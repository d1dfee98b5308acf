"""rules about rows: met, broken and impossible, on a real database"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from qb_engine.constraints.rules import DeclaredRule, Memo, Outcome, after

Rules = Callable[..., tuple[DeclaredRule, ...]]
Ask = Callable[[Any], Outcome]
Connection = psycopg.Connection[Any]

SHOP = """
CREATE TYPE state AS ENUM ('open', 'paid');
CREATE TYPE pair AS (a int, b int);
CREATE TABLE users (id int PRIMARY KEY, email text, born date, score numeric);
INSERT INTO users VALUES (1, 'a', '2000-01-01', 0.1), (2, NULL, NULL, NULL), (3, 'a', NULL, 2);
CREATE TABLE orders (id int, user_id int, state state, place pair, note json, kind text);
INSERT INTO orders VALUES
    (1, 1, 'open', ROW(NULL, NULL), '{}', 'x'), (2, NULL, 'paid', NULL, '1', NULL),
    (3, 7, 'paid', ROW(1, 2), NULL, 'y'), (4, 7, NULL, NULL, NULL, 'y');
CREATE SCHEMA "Order Items";
CREATE TABLE "Order Items"."naïve""quote" ("a.b" int, "select" int);
INSERT INTO "Order Items"."naïve""quote" VALUES (1, NULL), (1, NULL), (NULL, 5);
CREATE TABLE nothing (a int, b int);
"""


@pytest.fixture(autouse=True)
def shop(connection: Connection) -> Connection:
    connection.execute(SHOP)
    return connection


CASES: list[tuple[Any, bool, str]] = [
        ("SELECT id FROM users WHERE id > 9", True, "no row"),
        ("SELECT id, email FROM users WHERE id > 1 ORDER BY id", False,
         "2 rows\nid=2, email=NULL\nid=3, email=a"),
        ("SELECT n FROM generate_series(1, 9) AS n", False,
         "more than 5 rows\nn=1\nn=2\nn=3\nn=4\nn=5\n..."),
        ("SELECT 1 AS a, 2 AS a -- both", False, "1 row\na=1, a=2"),
        ("VALUES (repeat('x', 99))", False, f"1 row\ncolumn1={'x' * 57}..."),
        ("SELECT 'a' || chr(10) || 'b' AS a", False, "1 row\na=a b"),
        ("WITH u AS (SELECT 1 AS a) SELECT a FROM u", False, "1 row\na=1"),
        ("SELECT id FROM users WHERE email LIKE '%z%'", True, "no row"),
        ({"sql": "SELECT count(*) FROM users", "equals": 3}, True, "3"),
        ({"sql": "SELECT count(*) FROM users -- all", "equals": 4}, False, "3"),
        ({"sql": "SELECT score FROM users WHERE id = 1", "equals": 0.1}, True, "0.1"),
        ({"sql": "SELECT born FROM users WHERE id = 1", "equals": "2000-01-01"}, True,
         "2000-01-01"),
        ({"sql": "SELECT email FROM users WHERE id = 2", "equals": None}, True, "NULL"),
        ({"sql": "SELECT email FROM users WHERE id = 2", "equals": "a"}, False, "NULL"),
        ({"sql": "SELECT true", "equals": True}, True, "True"),
        ({"sql": "SELECT 'paid'::state", "equals": "paid"}, True, "paid"),
        ({"sql": "SELECT '{\"a\": 1}'::jsonb", "equals": {"a": 1}}, True, "{'a': 1}"),
        ({"sql": "SELECT array_agg(id ORDER BY id) FROM users", "equals": [1, 2, 3]}, True,
         "[1, 2, 3]"),
        ({"sql": "SELECT id FROM users", "equals": 1}, False, "more than 1 rows of 1 columns"),
        ({"sql": "SELECT 1, 2", "equals": 1}, False, "1 row of 2 columns"),
        ({"sql": "SELECT 1 WHERE false", "equals": None}, False, "no row of 1 columns"),
        ({"not_null": "users.id"}, True, "no row"),
        ({"not_null": "users.email"}, False, "1 row\nid=2, email=NULL"),
        ({"not_null": {"table": "users", "columns": ["id", "born"]}}, False,
         "2 rows\nid=2, born=NULL\nid=3, born=NULL"),
        ({"not_null": "orders.place"}, False, "2 rows\nplace=NULL\nplace=NULL"),
        ({"not_null": 'Order Items.naïve"quote.select'}, False, "2 rows\nselect=NULL\nselect=NULL"),
        ({"not_null": "nothing.a"}, True, "no row"),
        ({"unique": "users.id"}, True, "no value twice"),
        ({"unique": "users.born"}, True, "no value twice"),
        ({"unique": {"table": "users", "columns": ["born"], "nulls_distinct": False}}, False,
         "1 value more than once\nborn=NULL, rows=2"),
        ({"unique": "users.email"}, False, "1 value more than once\nemail=a, rows=2"),
        ({"unique": {"table": "users", "columns": ["email", "id"]}}, True, "no value twice"),
        ({"unique": '"Order Items"."naïve""quote"."a.b"'}, False,
         "1 value more than once\na.b=1, rows=2"),
        ({"unique": "nothing.a"}, True, "no value twice"),
        ({"in": {"column": "orders.kind", "values": ["x", "y"]}}, True, "no other value"),
        ({"in": {"column": "orders.kind", "values": ["x'", None]}}, False,
         "2 other values\nkind=y, rows=2\nkind=x, rows=1"),
        ({"in": {"column": "orders.state", "values": ["open", "paid", "unheard"]}}, True,
         "no other value"),
        ({"in": {"column": "orders.state", "values": ["open"]}}, False,
         "1 other value\nstate=paid, rows=2"),
        ({"in": {"column": "users.id", "values": [1, 2, 3]}}, True, "no other value"),
        ({"in": {"column": "nothing.a", "values": [1]}}, True, "no other value"),
        ({"references": {"column": "orders.user_id", "to": "users.id"}}, False,
         "1 value without a row there\nuser_id=7, rows=2"),
        ({"references": {"column": "users.id", "to": "users.id"}}, True, "all are there"),
        ({"references": {"table": "orders", "columns": ["user_id", "id"],
                         "to": {"table": "public.users", "columns": ["id", "id"]}}}, False,
         "2 values without a row there\nuser_id=7, id=3, rows=1\nuser_id=7, id=4, rows=1"),
        ({"references": {"column": "nothing.a", "to": "nothing.b"}}, True, "all are there"),
]  # fmt: skip


def test_each_rule_says_what_it_found(ask: Ask) -> None:
    """Met, broken, NULLs, an empty table, names with quotes and spaces, odd types."""
    for said, ok, found in CASES:
        outcome = ask(said)
        assert (said, outcome.ok, outcome.found) == (said, ok, found)
        assert outcome.expected
        assert outcome.check.what == outcome.rule.what
        assert outcome.verdict is not None
        assert outcome.verdict.fix or ok


IMPOSSIBLE: list[tuple[Any, str]] = [
    ("SELECT id + 'x' FROM users", "invalid input syntax for type integer"),
    ("SELECT 1 / (id - id) FROM users", "division by zero"),
    ({"sql": "SELECT email FROM users WHERE id = 1", "equals": 5}, "operator does not exist"),
    ({"unique": "orders.note"}, "could not identify an equality operator for type json"),
    ({"in": {"column": "users.id", "values": ["x"]}}, "invalid input syntax"),
    ({"references": {"column": "orders.id", "to": "users.email"}}, "operator does not exist"),
]


def test_a_rule_that_cannot_be_asked_is_not_met_and_says_why(
    rules: Rules, shop: Connection
) -> None:
    for said, words in IMPOSSIBLE:
        (outcome,) = after(shop, rules(said), Memo(), ())
        assert (said, outcome.ok) == (said, False)
        assert words in outcome.found


GONE: list[Any] = [
    "SELECT 1 FROM nowhere",
    "SELECT nowhere FROM users",
    "SELECT 1::nowhere",
    {"not_null": "nowhere.a"},
    {"unique": "users.nowhere"},
    {"in": {"column": "nowhere.users.a", "values": [1]}},
    {"references": {"column": "users.id", "to": "nowhere.a"}},
    {"uses_index": {"sql": "SELECT 1", "index": "nowhere"}},
]


def test_what_is_not_there_breaks_a_rule_now_and_is_not_asked_later(
    ask: Ask, rules: Rules, shop: Connection
) -> None:
    """A later migration may have taken it away."""
    for said in GONE:
        (outcome,) = after(shop, rules(said), Memo(), ())
        assert (said, outcome.ok) == (said, False)
        outcome = ask(said)
        assert outcome.verdict is None
        assert "is gone" in outcome.skipped


WRITING = [
    "SELECT write()",
    "SELECT nextval('numbers')",
    "SELECT id FROM users FOR UPDATE",
    "SELECT set_config('transaction_read_only', 'off', true), write()",
    "SELECT setval('numbers', 7)",
]


def test_a_query_that_writes_is_refused_by_the_server(ask: Ask, shop: Connection) -> None:
    shop.execute(
        "CREATE SEQUENCE numbers; CREATE FUNCTION write() RETURNS int LANGUAGE sql AS"
        " 'INSERT INTO nothing VALUES (1) RETURNING 1'"
    )
    for query in WRITING:
        outcome = ask(query)
        assert not outcome.ok
        assert "read-only transaction" in outcome.found or "read-write" in outcome.found
    assert shop.execute("SELECT count(*) FROM nothing").fetchall() == [(0,)]
    assert shop.execute("SELECT is_called FROM numbers").fetchall() == [(False,)]


def test_settings_that_a_query_changes_do_not_outlive_it(ask: Ask, shop: Connection) -> None:
    ask("SELECT set_config('search_path', 'nowhere', true) WHERE false")
    ask("SELECT set_config('search_path', 'nowhere', false)")
    assert shop.execute("SHOW search_path").fetchall() == [('"$user", public',)]


def test_rows_that_a_policy_hides_are_not_taken_for_none(ask: Ask, shop: Connection) -> None:
    """A rule that does not see every row must not say that it is met."""
    shop.execute(
        "CREATE ROLE hidden_from; GRANT ALL ON users TO hidden_from;"
        "ALTER TABLE users ENABLE ROW LEVEL SECURITY;"
        "CREATE POLICY few ON users USING (email IS NOT NULL); SET ROLE hidden_from"
    )
    try:
        outcome = ask({"not_null": "users.email"})
    finally:
        shop.execute("RESET ROLE; DROP OWNED BY hidden_from; DROP ROLE hidden_from")
    assert not outcome.ok
    assert "row-level security policy" in outcome.found
    assert outcome.verdict is not None
    assert "the table's owner" in outcome.verdict.fix


def test_domains_over_enums_and_partitions_are_read_like_others(ask: Ask, shop: Connection) -> None:
    shop.execute(
        "CREATE DOMAIN mood AS state; CREATE TABLE p (id int, m mood) PARTITION BY LIST (id);"
        "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1); INSERT INTO p VALUES (1, 'paid')"
    )
    assert not ask({"in": {"column": "p.m", "values": ["sunny"]}}).ok
    assert ask({"in": {"column": "p.m", "values": ["paid"]}}).ok
    assert not ask({"unique": {"table": "p", "columns": ["id"]}}).rule.momentary
