"""rules asked before and after, inside the transaction that they may roll back"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from qb_engine.constraints.rules import (
    NOT_ROLLED_BACK,
    DeclaredRule,
    Limits,
    Memo,
    Outcome,
    RuleBroken,
    after,
    asked,
    before,
    insist,
    later,
)
from qb_engine.database import Target

Connection = psycopg.Connection[Any]
Rules = Callable[..., tuple[DeclaredRule, ...]]


@dataclass(frozen=True)
class Lock:
    relation: str
    mode: str
    index: bool = False


@dataclass(frozen=True)
class Step:
    """What the executor observed of a step."""

    number: int = 1
    sql: str = "UPDATE users SET a = 1"
    transaction: int | None = 1
    seconds: float = 0.1
    skipped: str = ""
    locks: tuple[Lock, ...] = ()


@pytest.fixture
def shop(connection: Connection) -> Connection:
    connection.execute("CREATE TABLE users (id int, a int); INSERT INTO users VALUES (1), (2)")
    return connection


@pytest.fixture
def other(database: Target, shop: Connection) -> Any:
    """Another session, of the application."""
    with psycopg.connect(database.conninfo, autocommit=True) as conn:
        yield conn


def one(outcomes: tuple[Outcome, ...]) -> tuple[bool, str]:
    (outcome,) = outcomes
    return outcome.ok, outcome.found


# -- when --------------------------------------------------------------------------------------


def test_each_rule_is_asked_when_it_says(shop: Connection, rules: Rules) -> None:
    found = rules(
        {"sql": "SELECT 1", "when": "before"},
        "SELECT 2",
        {"sql": "SELECT 3", "when": "both"},
        {"row_count_change": {"table": "users", "equals": 0}},
    )
    memo = before(shop, found)
    assert [o.rule.what for o in memo.outcomes] == ["SELECT 1", "SELECT 3"]
    assert [o.rule.what for o in asked(shop, found)] == ["SELECT 1", "SELECT 3"]
    assert [o.rule.what[:8] for o in after(shop, found, memo, ())] == [
        "SELECT 2", "SELECT 3", "rows of ",
    ]  # fmt: skip
    skipped = [o.skipped for o in later(shop, found)]
    assert "what was before" in skipped[0]
    assert skipped[1:3] == ["", ""]
    assert "compares with" in skipped[3]


def test_later_false_keeps_a_rule_to_its_migration(shop: Connection, rules: Rules) -> None:
    (outcome,) = later(shop, rules({"sql": "SELECT 1", "later": False}))
    assert (outcome.ok, outcome.verdict) == (True, None)
    assert "later: False" in outcome.skipped


def test_without_rules_about_before_nothing_is_sent(shop: Connection, rules: Rules) -> None:
    """So a migration may still begin with SET TRANSACTION ISOLATION LEVEL."""
    shop.execute("BEGIN")
    before(shop, rules("SELECT 1", {"max_seconds": 1}))
    shop.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; ROLLBACK")


# -- inside a transaction ----------------------------------------------------------------------


def test_rules_see_what_the_transaction_did_and_leave_it_writable(
    shop: Connection, rules: Rules
) -> None:
    shop.execute("BEGIN; ALTER TABLE users ADD email text; UPDATE users SET email = id")
    found = rules({"not_null": "users.email"}, "SELECT nowhere", "SELECT id FROM users")
    outcomes = after(shop, found, Memo(), ())
    assert [o.ok for o in outcomes] == [True, False, False]
    shop.execute("INSERT INTO users VALUES (3); COMMIT")
    assert shop.execute("SELECT count(*) FROM users").fetchall() == [(3,)]
    assert shop.execute("SHOW row_security").fetchall() == [("on",)]


def test_what_a_rule_writes_is_refused_inside_the_transaction_too(
    shop: Connection, rules: Rules
) -> None:
    shop.execute(
        "CREATE FUNCTION write(text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN"
        " EXECUTE $1; RETURN 1; END $$; BEGIN; UPDATE users SET a = 5"
    )
    texts = [
        "DELETE FROM users", "SET LOCAL transaction_read_only = off", "CREATE TABLE b ()",
        "COMMIT", "ROLLBACK",
    ]  # fmt: skip
    outcomes = after(shop, rules(*(f"SELECT write('{text}')" for text in texts)), Memo(), ())
    assert [o.ok for o in outcomes] == [False] * 5
    assert "read-only" in outcomes[0].found
    assert "only read" in outcomes[0].verdict.fix
    shop.execute("COMMIT")
    assert shop.execute("SELECT a FROM users").fetchall() == [(5,), (5,)]


def test_an_enum_value_of_the_same_transaction_may_be_expected(
    shop: Connection, rules: Rules
) -> None:
    """PostgreSQL refuses to name it before the end; the rule compares texts."""
    shop.execute("CREATE TYPE mood AS ENUM ('sad'); ALTER TABLE users ADD mood mood")
    shop.execute("BEGIN; ALTER TYPE mood ADD VALUE 'glad'")
    found = rules(
        {"in": {"column": "users.mood", "values": ["sad", "glad"]}},
        "SELECT id FROM users WHERE mood = 'glad'",
    )
    outcomes = after(shop, found, Memo(), ())
    shop.execute("ROLLBACK")
    assert outcomes[0].ok
    assert not outcomes[1].ok
    assert "::text" in outcomes[1].verdict.fix


def test_a_broken_rule_raises_with_all_that_is_known(shop: Connection, rules: Rules) -> None:
    outcomes = after(shop, rules({"not_null": "users.a"}, "SELECT 7 AS n"), Memo(), ())
    with pytest.raises(RuleBroken) as caught:
        insist(outcomes, "20240101_a")
    error = caught.value
    assert error.exit_code == 4
    assert error.what == "20240101_a breaks a rule of its own: no NULL in users.a"
    assert error.where == "a.py:1"
    for line in ("expected: no row", "found: 2 rows", "  a=NULL", "  n=7",
                 "not met either: SELECT 7 AS n (a.py:2)",
                 "rolled back: nothing of 20240101_a was kept"):  # fmt: skip
        assert line in error.why.splitlines()
    assert error.todo.endswith("then: qb run")
    insist(outcomes[:0], "20240101_a")


def test_where_nothing_could_be_rolled_back_that_is_said(shop: Connection, rules: Rules) -> None:
    outcomes = after(shop, rules("SELECT 7"), Memo(), ())
    with pytest.raises(RuleBroken) as caught:
        insist(outcomes, "20240101_a", kept=NOT_ROLLED_BACK)
    assert "rolled back: nothing of" not in caught.value.why
    assert "nothing was rolled back" in caught.value.why


def test_a_lock_that_a_rule_waits_for_is_for_the_runner_to_retry(
    shop: Connection, other: Connection, rules: Rules
) -> None:
    """Inside a transaction; alone it is only an answer that did not come."""
    other.execute("BEGIN; LOCK users")
    found = rules({"not_null": "users.id"})
    (outcome,) = asked_now(shop, found, Limits(lock_timeout=0.05))
    assert "lock timeout" in outcome.found
    shop.execute("BEGIN; SET LOCAL lock_timeout = '50ms'")
    with pytest.raises(psycopg.errors.LockNotAvailable):
        after(shop, found, Memo(), ())
    other.execute("ROLLBACK")
    assert one(after(shop, found, Memo(), ())) == (True, "no row")
    shop.execute("ROLLBACK")


def test_a_rule_that_takes_too_long_is_not_met_and_a_cancelled_one_raises(
    shop: Connection, other: Connection, rules: Rules
) -> None:
    slow = rules("SELECT pg_sleep(60)")
    (outcome,) = asked_now(shop, slow, Limits(statement_timeout=0.05))
    assert "statement timeout" in outcome.found
    pid = shop.info.backend_pid

    def cancel() -> None:
        while not other.execute(
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE pid = %s"
            " AND state = 'active' AND wait_event = 'PgSleep'", [pid],
        ).fetchall():  # fmt: skip
            pass

    thread = threading.Thread(target=cancel)
    thread.start()
    with pytest.raises(psycopg.errors.QueryCanceled):
        after(shop, slow, Memo(), ())
    thread.join()


def asked_now(conn: Connection, found: Any, limits: Limits) -> tuple[Outcome, ...]:
    return after(conn, found, Memo(), (), limits)


# -- the number of rows ------------------------------------------------------------------------


COUNTS: list[tuple[str, Any, bool, str]] = [
        ("UPDATE users SET a = 1", {"equals": 0}, True, "+0 (2 before, 2 now)"),
        ("DELETE FROM users WHERE id = 1", {"equals": 0}, False, "-1 (2 before, 1 now)"),
        ("DELETE FROM users WHERE id = 1", {"equals": -1}, True, "-1 (2 before, 1 now)"),
        ("TRUNCATE users", {"equals": 0}, False, "-2 (2 before, 0 now)"),
        ("INSERT INTO users SELECT 1 FROM generate_series(1, 1500)", {"min": 1, "max": 2000},
         True, "+1,500 (2 before, 1,502 now)"),
        ("ALTER TABLE users ALTER a TYPE bigint", {"equals": 0}, True, "+0 (2 before, 2 now)"),
        ("ALTER TABLE users RENAME TO people", {"equals": 0}, True, "+0 (2 before, 2 now)"),
        ("CREATE TABLE u AS TABLE users LIMIT 1; DROP TABLE users; ALTER TABLE u RENAME TO users",
         {"equals": 0}, False, "-1 (2 before, 1 now)"),
        ("DROP TABLE users", {"max": 0}, False, "there is no such table"),
]  # fmt: skip


def test_rows_are_counted_before_and_after(shop: Connection, rules: Rules) -> None:
    for work, expected, ok, found in COUNTS:
        rule = rules({"row_count_change": {"table": "users", **expected}})
        shop.execute("BEGIN")
        memo = before(shop, rule)
        shop.execute(work)
        outcomes = after(shop, rule, memo, ())
        shop.execute("ROLLBACK")
        assert (work, *one(outcomes)) == (work, ok, found)


def test_a_table_that_was_not_there_had_no_row(shop: Connection, rules: Rules) -> None:
    rule = rules({"row_count_change": {"table": "fresh", "equals": 2}})
    shop.execute("BEGIN")
    memo = before(shop, rule)
    shop.execute("CREATE TABLE fresh AS TABLE users")
    outcomes = after(shop, rule, memo, ())
    shop.execute("ROLLBACK")
    assert one(outcomes) == (True, "+2 (no table before, 2 now)")


def test_rows_that_others_write_meanwhile_do_not_break_a_rule(
    shop: Connection, other: Connection, rules: Rules
) -> None:
    """PostgreSQL counts what this transaction wrote, and that is what the rule is about."""
    rule = rules({"row_count_change": {"table": "users", "equals": 0}})
    for work, ok in (("SELECT 1", True), ("DELETE FROM users", False)):
        shop.execute("BEGIN")
        memo = before(shop, rule)
        other.execute("INSERT INTO users SELECT 1 FROM generate_series(1, 3)")
        shop.execute(work)
        outcomes = after(shop, rule, memo, ())
        shop.execute("ROLLBACK")
        assert outcomes[0].ok == ok
        assert ("by this transaction +0" in outcomes[0].found) == ok


def test_a_count_from_just_before_the_transaction_will_do(
    shop: Connection, other: Connection, rules: Rules
) -> None:
    """As long as all that ran since is in that one transaction."""
    rule = rules({"row_count_change": {"table": "users", "equals": 0}})
    memo = before(shop, rule)
    other.execute("INSERT INTO users VALUES (3)")
    shop.execute("BEGIN; UPDATE users SET a = 1")
    assert after(shop, rule, memo, [Step(1), Step(2)])[0].ok
    assert not after(shop, rule, memo, [Step(1), Step(2, transaction=2)])[0].ok
    assert not after(shop, rule, memo, [Step(1), Step(2, transaction=None)])[0].ok
    assert after(shop, rule, memo, [Step(1), Step(2, transaction=None, skipped="no")])[0].ok
    assert not after(shop, rule, memo, [])[0].ok
    shop.execute("DELETE FROM users WHERE id = 1")
    assert one(after(shop, rule, memo, [Step(1)])) == (
        True, "+0 (2 before, 2 now); by this transaction -1, the others' writes left out",
    )  # fmt: skip
    shop.execute("ROLLBACK")


def test_others_rows_in_a_partition_are_told_apart_too(
    shop: Connection, other: Connection, rules: Rules
) -> None:
    shop.execute(
        "CREATE TABLE p (id int) PARTITION BY LIST (id);"
        "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)"
    )
    rule = rules({"row_count_change": {"table": "p", "equals": 1}})
    shop.execute("BEGIN")
    memo = before(shop, rule)
    other.execute("INSERT INTO p VALUES (1), (1)")
    shop.execute("INSERT INTO p VALUES (1)")
    outcomes = after(shop, rule, memo, ())
    shop.execute("ROLLBACK")
    assert one(outcomes) == (True, "+3 (0 before, 3 now); by this transaction +1, the others' "
                             "writes left out")  # fmt: skip


def test_outside_a_transaction_everybody_counts(
    shop: Connection, other: Connection, rules: Rules
) -> None:
    rule = rules({"row_count_change": {"table": "users", "equals": 0}})
    memo = before(shop, rule)
    other.execute("INSERT INTO users VALUES (3)")
    assert one(after(shop, rule, memo, ())) == (False, "+1 (2 before, 3 now)")


def test_what_was_before_another_process_began_is_not_known(shop: Connection, rules: Rules) -> None:
    rule = rules({"row_count_change": {"table": "users", "equals": 0}})
    (outcome,) = after(shop, rule, Memo(), ())
    assert outcome.ok
    assert "not known" in outcome.skipped


# -- what a run cost ---------------------------------------------------------------------------


def test_the_time_of_all_steps_counts(shop: Connection, rules: Rules) -> None:
    steps = (Step(1, seconds=0.5), Step(2, seconds=0.6), Step(3, seconds=9, skipped="not run"))
    assert one(after(shop, rules({"max_seconds": 2}), Memo(), steps)) == (True, "1.1 s")
    assert one(after(shop, rules({"max_seconds": "1s"}), Memo(), steps)) == (
        False, "1.1 s\nlongest: statement 2",
    )  # fmt: skip
    assert one(after(shop, rules({"max_seconds": 1}), Memo(), ()))[0]


LOCKS: list[tuple[Any, bool]] = [
    ({"max_lock": "SHARE"}, False),
    ({"max_lock": "access exclusive lock"}, True),
    ({"max_lock": "SHARE", "table": "users"}, True),
    ({"max_lock": "ROW EXCLUSIVE", "table": "users"}, False),
    ({"max_lock": "SHARE", "table": "public.orders"}, False),
    ({"max_lock": "SHARE", "table": "app.orders"}, True),
    ({"max_lock": "SHARE", "table": "other"}, True),
]


def test_the_strongest_lock_on_a_table_counts(rules: Rules, shop: Connection) -> None:
    steps = (
        Step(1, locks=(Lock("public.users", "ShareLock"),)),
        Step(2, "ALTER TABLE orders ...", locks=(
            Lock("public.orders", "AccessExclusiveLock"),
            Lock("public.users", "AccessExclusiveLock", index=True),
        )),
    )  # fmt: skip
    for said, ok in LOCKS:
        (outcome,) = after(shop, rules(said), Memo(), steps)
        assert (said, outcome.ok) == (said, ok)
        if said == {"max_lock": "SHARE"}:
            assert outcome.found == (
                "ACCESS EXCLUSIVE on public.orders\nstatement 2: ALTER TABLE orders ..."
            )


def test_modes_are_in_the_executors_order() -> None:
    from qb_engine.constraints.rules.max_lock import MODES, spelled
    from qb_engine.execution import observation

    assert [spelled(mode) for mode in observation.MODES] == list(MODES)


def test_an_index_must_be_the_one_that_the_planner_chooses(shop: Connection, rules: Rules) -> None:
    shop.execute(
        'CREATE TABLE big (id int, "e mail" text, filler text);'
        "INSERT INTO big SELECT n, n, repeat('x', 500) FROM generate_series(1, 4000) AS n;"
        'CREATE INDEX "big e" ON big ("e mail"); CREATE INDEX users_a ON users (a); ANALYZE'
    )

    def uses(sql: str, index: str) -> tuple[bool, str]:
        found = rules({"uses_index": {"sql": sql, "index": index}})
        return one(after(shop, found, Memo(), ()))

    by_mail = "SELECT id FROM big WHERE \"e mail\" = '7'"
    assert uses(by_mail, "big e") == (True, "used")
    assert uses("UPDATE big SET id = 1 WHERE \"e mail\" = '7'", '"big e"') == (True, "used")
    assert uses("SELECT id FROM big WHERE id = 7", "big e") == (False, "not used\nSeq Scan on big")
    assert uses("SELECT id FROM users WHERE a = 1", "users_a") == (
        True, "usable; the table is small",
    )  # fmt: skip
    assert uses("SELECT a FROM users WHERE id = 1", "users_a")[0] is False
    assert uses(by_mail, "nowhere") == (False, "there is no such index")
    assert shop.execute("SELECT count(*) FROM big WHERE id = 1").fetchall() == [(1,)]
    assert shop.execute("SHOW enable_seqscan").fetchall() == [("on",)]


def test_an_index_over_partitions_is_used_through_theirs(shop: Connection, rules: Rules) -> None:
    shop.execute(
        "CREATE TABLE p (id int, a int) PARTITION BY LIST (id);"
        "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1); CREATE INDEX p_a ON p (a)"
    )
    found = rules({"uses_index": {"sql": "SELECT id FROM p WHERE a = 1", "index": "p_a"}})
    assert one(after(shop, found, Memo(), ()))[0]


def test_an_invalid_index_is_not_used(shop: Connection, rules: Rules) -> None:
    shop.execute("INSERT INTO users VALUES (1)")
    with pytest.raises(psycopg.errors.UniqueViolation):
        shop.execute("CREATE UNIQUE INDEX CONCURRENTLY once ON users (id)")
    found = rules({"uses_index": {"sql": "SELECT a FROM users WHERE id = 1", "index": "once"}})
    assert one(after(shop, found, Memo(), ())) == (False, "the index is not valid")
