"""SQL text becomes statements with their place, or an error that points at the line"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qb_engine.sql import Source, SqlError, ident, literal, read, read_one


def test_statements_keep_their_lines() -> None:
    text = "-- é first\n\n/* a /* nested */ note */ CREATE TABLE a();\n\nSELECT 1; SELECT ';';\n"
    found = read(text, Source("f.sql", 10))
    assert [(s.sql, str(s.source)) for s in found] == [
        ("CREATE TABLE a()", "f.sql:12"),
        ("SELECT 1", "f.sql:14"),
        ("SELECT ';'", "f.sql:14"),
    ]


def test_dollar_quotes_hold_semicolons() -> None:
    body = "DO $x$ BEGIN PERFORM 1; PERFORM ';'; END $x$"
    assert [s.sql for s in read(f"{body}; SELECT 1")] == [body, "SELECT 1"]


def test_a_syntax_error_in_the_second_of_three_names_its_line() -> None:
    with pytest.raises(SqlError) as caught:
        read("SELECT 1;\nSELCT 2;\nSELECT 3;", Source("m.sql", 5))
    assert caught.value.where == "m.sql:6"
    assert "SELCT 2;\n^" in caught.value.why


def test_a_psql_command_is_refused_by_name() -> None:
    with pytest.raises(SqlError, match=r"\\i is a psql command") as caught:
        read("SELECT 'é';\n\\i other.sql\nSELECT 2")
    assert caught.value.where == "line 2"


def test_a_backslash_in_a_string_is_not_a_psql_command() -> None:
    assert read_one(r"SELECT E'\\d \i'").kind == "select"


@pytest.mark.parametrize(
    "word", ["BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT a", "START TRANSACTION"]
)
def test_transaction_control_is_refused_with_its_line(word: str) -> None:
    with pytest.raises(SqlError, match="cannot send its own") as caught:
        read(f"SELECT 1;\n{word};")
    assert caught.value.where == "line 2"


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE INDEX CONCURRENTLY i ON t (a)",
        "DROP INDEX CONCURRENTLY i",
        "REINDEX TABLE CONCURRENTLY t",
        "REINDEX DATABASE d",
        "ALTER TABLE t DETACH PARTITION p CONCURRENTLY",
        "VACUUM t",
        "CREATE DATABASE d",
        "ALTER SYSTEM SET work_mem = '1MB'",
    ],
)
def test_what_refuses_a_transaction_is_known(sql: str) -> None:
    assert read_one(sql).refuses_transaction


@pytest.mark.parametrize(
    "sql",
    [
        "REFRESH MATERIALIZED VIEW CONCURRENTLY m",
        "CREATE INDEX i ON t (a)",
        "ANALYZE t",
        "ALTER TABLE t DETACH PARTITION p",
        "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'REINDEX TABLE CONCURRENTLY t'",
    ],
)
def test_what_runs_in_a_transaction_is_not_mistaken(sql: str) -> None:
    assert not read_one(sql).refuses_transaction


def test_relations_are_found_with_their_schema() -> None:
    sql = 'UPDATE "Order Items" o SET a = 1 FROM s.users u WHERE u.id = o.id'
    assert read_one(sql).relations == (("", "Order Items"), ("s", "users"))
    assert read_one("DROP TABLE s.a, b").relations == (("s", "a"), ("", "b"))


@given(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1))
def test_a_quoted_name_is_read_back_unchanged(name: str) -> None:
    node = read_one(f"SELECT 1 FROM {ident(name)}").relations
    assert node[0][1] == name.encode()[:63].decode(errors="ignore") or len(name.encode()) > 63


@given(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0")))
def test_a_literal_is_read_back_unchanged(value: str) -> None:
    target = read_one(f"SELECT {literal(value)}").node.target_list[0].res_target.val
    assert target.a_const.sval.sval == value
