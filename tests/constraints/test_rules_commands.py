"""what the commands say of rules: verify before, validate later"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from qb_engine.errors import InputError
from qb_engine.project import Project

Connection = psycopg.Connection[Any]
Qb = Callable[..., Any]
Write = Callable[[str, str], None]


def test_verify_asks_the_rules_for_before(
    qb: Qb, write: Write, connection: Connection, project: Project
) -> None:
    connection.execute("CREATE TABLE users (id int); INSERT INTO users VALUES (NULL)")
    (project.root / "rules.py").write_text("def yes(read):\n    return True\n")
    write("20240101_a.py", (
        "from qb_engine import Migration\nclass A(Migration):\n"
        "    constraints = {'users': {'must_exist': True}}\n"
        "    expect = [{'not_null': 'users.id', 'when': 'before'},\n"
        "              {'rule': 'yes', 'when': 'both'}, 'SELECT 1']\n"
        "    up = 'ALTER TABLE users ALTER id SET NOT NULL'\n"
    ))  # fmt: skip
    report = qb("verify")
    assert not report.ok
    assert report.headline() == "1 of 1 constraints and 2 rules of 20240101_a are not met"
    assert report.tables()[1].rows == (
        ("no NULL in users.id", "20240101_a.py:4", "no row", "1 row\nid=NULL", False),
        ("yes()", "20240101_a.py:5", "met", "met", True),
    )
    assert [rule["ok"] for rule in report.as_dict()["rules"]] == [False, True]
    connection.execute("DELETE FROM users")
    assert qb("verify").headline() == "all 1 constraints and 2 rules of 20240101_a are met"


def test_a_malformed_rule_is_said_before_anything_is_asked(qb: Qb, write: Write) -> None:
    write("20240101_a.sql", "-- qb:expect\n-- - notnull: a.b\nCREATE TABLE a (b int)")
    with pytest.raises(InputError, match="did you mean 'not_null'") as caught:
        qb("verify")
    assert caught.value.where.endswith("20240101_a.sql:2")


def test_a_section_without_a_rule_is_not_taken_for_one_that_is_met(qb: Qb, write: Write) -> None:
    write("20240101_a.sql", "-- qb:expect\n# - not_null: a.b\n-- qb:up\nCREATE TABLE a (b int)")
    with pytest.raises(InputError, match="holds no rule") as caught:
        qb("run")
    assert caught.value.code == "bad-rule"


def test_validate_asks_the_rules_of_what_is_applied(
    qb: Qb, write: Write, connection: Connection
) -> None:
    write("20240101_a.sql", (
        "-- qb:expect\n-- - not_null: a.b\n-- - max_seconds: 60\n-- - unique: gone.id\n"
        "-- - SELECT b FROM a WHERE b > 100\n"
        "-- qb:up\nCREATE TABLE a (b int); CREATE TABLE gone (id int)"
    ))  # fmt: skip
    write("20240102_b.sql", "-- qb:up\nDROP TABLE gone")
    qb("run")
    write("20240103_c.sql", "-- qb:expect ['SELECT 1']\n-- qb:up\nCREATE TABLE c ()")
    report = qb("validate", "--data")
    assert report.ok
    assert report.headline().endswith("2 rules met")
    results = [(row[1], row[-1]) for row in report.tables()[-1].rows]
    assert results == [
        ("20240101_a.sql:2", True), ("20240101_a.sql:3", None), ("20240101_a.sql:4", None),
        ("20240101_a.sql:5", True),
    ]  # fmt: skip
    found = [row[3] for row in report.tables()[-1].rows]
    assert "it speaks of one run" in found[1]
    assert "is gone" in found[2]
    connection.execute("INSERT INTO a VALUES (NULL), (101)")
    report = qb("validate", "--data")
    assert report.exit_code == 1
    assert report.headline().endswith("2 of 2 rules not met")
    assert report.to_json()
    assert qb("validate").ok


def test_rules_of_what_waits_for_its_backfill_are_asked_as_far_as_it_came(
    qb: Qb, write: Write, connection: Connection
) -> None:
    connection.execute("CREATE TABLE users (id int PRIMARY KEY, email text)")
    connection.execute("INSERT INTO users VALUES (1)")
    folder = "20240101_fill"
    write(f"{folder}/migration.sql", "-- qb:expect ['SELECT 1 WHERE false']\n"
                                     "-- qb:up\nALTER TABLE users ADD a int")  # fmt: skip
    write(f"{folder}/post.sql", "-- qb:expect [{not_null: users.email}]\n"
                                "-- qb:up\nALTER TABLE users ALTER email SET NOT NULL")  # fmt: skip
    write(f"{folder}/backfill.py", (
        "from qb_engine import Backfill\nclass F(Backfill):\n    table = 'users'\n"
        "    set = {'email': \"'x'\"}\n    where = 'email IS NULL'\n"
    ))  # fmt: skip
    qb("run")
    report = qb("validate", "--data")
    assert [row[1] for row in report.tables()[-1].rows] == [f"{folder}/migration.sql:1"]
    assert report.ok


def test_without_rules_validate_says_so(qb: Qb, write: Write) -> None:
    write("20240101_a.sql", "CREATE TABLE a ()")
    qb("run")
    assert qb("validate", "--data").headline().endswith("no rule speaks of its data")


def test_a_dry_run_asks_the_rules_before_it_rolls_back(
    qb: Qb, write: Write, connection: Connection
) -> None:
    connection.execute("CREATE TABLE users (id int); INSERT INTO users VALUES (1), (2)")
    write("20240101_a.sql", (
        "-- qb:expect\n-- - {sql: SELECT 1 WHERE false, when: before}\n-- - not_null: users.a\n"
        "-- - row_count_change: {table: users, equals: 0}\n-- - max_seconds: 60\n"
        "-- - {max_lock: SHARE, table: users}\n"
        "-- qb:up\nALTER TABLE users ADD a int; DELETE FROM users WHERE id = 1"
    ))  # fmt: skip
    report = qb("dryrun")
    assert report.exit_code == 1
    assert report.headline().endswith("rolled back; 3 of 5 rules not met")
    assert [row[-1] for row in report.tables()[1].rows] == [True, False, False, True, False]
    assert report.as_dict()["rules"][2]["found"] == "-1 (2 before, 1 now)"
    assert "ACCESS EXCLUSIVE on public.users" in report.as_dict()["rules"][4]["found"]
    assert connection.execute("SELECT count(*) FROM users").fetchall() == [(2,)]


def test_a_dry_run_that_leaves_a_statement_out_does_not_judge_the_rest(
    qb: Qb, write: Write, connection: Connection
) -> None:
    connection.execute("CREATE TABLE users (id int)")
    write("20240101_a.sql", (
        "-- qb:expect\n"
        "-- - uses_index: {sql: SELECT id FROM users WHERE id = 1, index: users_id}\n"
        "-- qb:up\nCREATE INDEX CONCURRENTLY users_id ON users (id)"
    ))  # fmt: skip
    report = qb("dryrun")
    assert report.ok
    assert "statement 1 cannot run in a transaction" in report.as_dict()["rules"][0]["found"]
