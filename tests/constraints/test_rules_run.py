"""a run whose rules are not met leaves nothing behind, or says what it left"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from qb_engine.constraints.rules import RuleBroken

Connection = psycopg.Connection[Any]
Qb = Callable[..., Any]
Write = Callable[[str, str], None]


@pytest.fixture
def shop(connection: Connection) -> Connection:
    connection.execute("CREATE TABLE users (id int, a int); INSERT INTO users VALUES (1), (2)")
    return connection


def states(qb: Qb) -> list[str]:
    return [s["state"] for s in qb("status").as_dict()["migrations"]]


def columns(conn: Connection) -> list[str]:
    return [name for (name,) in conn.execute(
        "SELECT attname::text FROM pg_attribute WHERE attrelid = 'users'::regclass AND attnum > 0"
        " AND NOT attisdropped ORDER BY attnum"
    )]  # fmt: skip


def test_a_broken_rule_rolls_the_migration_back_and_a_mended_one_lets_it_pass(
    qb: Qb, write: Write, shop: Connection
) -> None:
    text = (
        "-- qb:expect\n-- - row_count_change: {{table: users, equals: 0}}\n-- - max_seconds: 60\n"
        "-- - not_null: users.{}\n"
        "-- qb:up\nALTER TABLE users ADD b int; UPDATE users SET b = id"
    )
    write("20240101_a.sql", text.format("a"))
    with pytest.raises(RuleBroken) as caught:
        qb("run")
    assert "no NULL in users.a" in caught.value.what
    assert caught.value.where.endswith("20240101_a.sql:4")
    assert "rolled back: nothing of 20240101_a was kept" in caught.value.why
    assert columns(shop) == ["id", "a"]
    write("20240101_a.sql", text.format("b"))
    qb("run")
    assert columns(shop) == ["id", "a", "b"]
    assert states(qb) == ["applied"]
    write("20240101_a.sql", text.format("a"))
    assert states(qb) == ["applied"]  # what is expected is no part of what ran


def test_a_rule_for_before_keeps_the_migration_from_running(
    qb: Qb, write: Write, shop: Connection
) -> None:
    write("20240101_a.sql", (
        "-- qb:expect [{sql: SELECT id FROM users WHERE id > 1, when: before}]\n"
        "-- qb:up\nDELETE FROM users"
    ))  # fmt: skip
    with pytest.raises(RuleBroken, match="breaks a rule") as caught:
        qb("run")
    assert "id=2" in caught.value.why
    assert shop.execute("SELECT count(*) FROM users").fetchall() == [(2,)]


def test_locks_and_lost_rows_are_seen_in_the_run_itself(
    qb: Qb, write: Write, shop: Connection
) -> None:
    write("20240101_a.sql", (
        "-- qb:expect\n-- - max_lock: SHARE\n-- - row_count_change: {table: users, min: 0}\n"
        "-- qb:up\nALTER TABLE users ALTER id TYPE bigint; DELETE FROM users WHERE id = 1"
    ))  # fmt: skip
    with pytest.raises(RuleBroken) as caught:
        qb("run")
    assert len(caught.value.outcomes) == 2
    assert "ACCESS EXCLUSIVE on public.users" in caught.value.why
    assert "-1 (2 before, 1 now)" in caught.value.why
    assert shop.execute("SELECT count(*) FROM users").fetchall() == [(2,)]


def test_where_statements_run_outside_a_transaction_they_stay_and_that_is_said(
    qb: Qb, write: Write, shop: Connection
) -> None:
    text = (
        "-- qb:expect\n"
        "-- - uses_index: {{sql: SELECT a FROM users WHERE id = 1, index: users_id}}\n"
        "-- - not_null: users.{}\n"
        "-- qb:up\nUPDATE users SET id = 3 WHERE id = 1;\n"
        "CREATE INDEX CONCURRENTLY users_id ON users (id)"
    )
    write("20240101_a.sql", text.format("a"))
    with pytest.raises(RuleBroken) as caught:
        qb("run")
    assert len(caught.value.outcomes) == 1
    assert "nothing was rolled back" in caught.value.why
    assert "nothing of 20240101_a was kept" not in caught.value.why
    assert states(qb) == ["partial"]
    write("20240101_a.sql", text.format("id"))
    qb("run")
    assert states(qb) == ["applied"]
    assert shop.execute("SELECT count(*) FROM users WHERE id = 3").fetchall() == [(1,)]


def test_each_part_of_a_folder_is_held_to_what_it_expects(
    qb: Qb, write: Write, shop: Connection
) -> None:
    """What `post` expects is not asked before its backfill has run."""
    folder = "20240101_fill"
    write(f"{folder}/pre.sql", "-- qb:expect ['SELECT id FROM users WHERE id > 5']\n"
                               "-- qb:up\nALTER TABLE users ADD b int")  # fmt: skip
    write(f"{folder}/post.sql", "-- qb:expect [{not_null: users.b}]\n-- qb:up\nSELECT 1")
    write(f"{folder}/backfill.py", (
        "from qb_engine import Backfill\nclass F(Backfill):\n    table = 'users'\n"
        "    set = {'b': '1'}\n    where = 'b IS NULL'\n    key = 'id'\n"
    ))  # fmt: skip
    qb("run")
    assert states(qb) == ["expanded"]


def test_a_malformed_rule_is_refused_before_anything_runs(
    qb: Qb, write: Write, shop: Connection
) -> None:
    write("20240101_a.sql", "-- qb:expect [{rule: nowhere}]\n-- qb:up\nDELETE FROM users")
    with pytest.raises(Exception, match="no rule of that name"):
        qb("run")
    assert shop.execute("SELECT count(*) FROM users").fetchall() == [(2,)]
    assert states(qb) == ["pending"]
