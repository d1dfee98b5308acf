"""an error is drawn under the line it stands on, wherever PostgreSQL met it"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from qb_engine.database import Target
from qb_engine.execution.drawing import WIDTH, told
from qb_engine.sql import Source, read_one

Connection = psycopg.Connection[tuple[Any, ...]]
FILE = Source("m.sql", 7)


@pytest.fixture(scope="module")
def prepared(shared_database: Target) -> Target:
    with psycopg.connect(shared_database.conninfo) as conn:
        conn.execute("CREATE TABLE t (id int PRIMARY KEY, name text)")
    return shared_database


@pytest.fixture
def connection(prepared: Target) -> Iterator[Connection]:
    """A connection whose transaction is rolled back."""
    with psycopg.connect(prepared.conninfo) as conn:
        yield conn
        conn.rollback()


@pytest.fixture
def drawn(connection: Connection) -> Any:
    """What is said of a statement that fails, the lines from the drawing on."""

    def fail(sql: str) -> list[str]:
        statement = read_one(sql, FILE)
        with pytest.raises(psycopg.Error) as raised:
            connection.execute(statement.sql.encode())
        found = "\n".join(told(statement, raised.value)).splitlines()
        begin = next((i for i, line in enumerate(found) if line.startswith("m.sql:")), len(found))
        query = next((i for i, line in enumerate(found) if line.startswith("query: ")), begin)
        return found[min(begin, query) :]

    return fail


def marked(lines: list[str]) -> str:
    """The text of a drawing from its caret on."""
    line, caret = lines
    assert caret.strip() == "^"
    return line[caret.index("^") :]


def test_a_line_of_a_statement_of_several_is_the_one_drawn(drawn) -> None:
    lines = drawn("SELECT id,\n       nam\n  FROM t")
    assert lines == ["m.sql:8:        nam", "                ^"]


def test_comments_before_a_statement_count_as_lines(drawn) -> None:
    assert drawn("-- one\n/* two\n */ SELECT nam FROM t")[0].startswith("m.sql:9: ")


def test_a_tab_takes_the_columns_that_the_caret_counts(drawn) -> None:
    assert drawn("SELECT\t1,\n\tnam FROM t") == ["m.sql:8:     nam FROM t", "             ^"]


def test_wide_and_combining_characters_are_counted_as_they_are_shown(drawn) -> None:
    line, caret = drawn("SELECT '日本', 'e\u0301', nam FROM t")
    before = line[: line.index("nam")]
    assert caret.index("^") == len(before) + 2 - 1  # two wide ones, one without a width


def test_windows_line_ends_are_not_shown(drawn) -> None:
    assert drawn("SELECT 1,\r\n nam\r\n FROM t")[0] == "m.sql:8:  nam"


@pytest.mark.parametrize("before", [0, 30, 2_000])
def test_a_long_line_is_cut_around_the_place(drawn, before: int) -> None:
    lines = drawn(f"SELECT {'1, ' * before}nam, {'22, ' * 500}3 FROM t")
    assert marked(lines).startswith("nam, ")
    assert len(lines[0]) <= len("m.sql:7: ") + WIDTH + len("......")
    assert lines[0].endswith("...")


def test_a_place_in_a_do_block_is_drawn_in_the_file(drawn) -> None:
    lines = drawn("DO $$\nBEGIN\n  PERFORM 1;\n  SELECT nam INTO STRICT x FROM t;\nEND $$")
    assert lines[0].startswith("m.sql:10: ")


BLOCKS = {
    "a statement": ("DO $$\nBEGIN\n  UPDATE t SET nam = 1;\nEND $$", "m.sql:9:", "nam = 1;"),
    "a condition": ("DO $$\nBEGIN\n  IF nope > 1 THEN NULL; END IF;\nEND $$", "m.sql:9:", "nope"),
    "PERFORM": ("DO $$\nBEGIN\n  PERFORM nope(1),\n 2 FROM t;\nEND $$", "m.sql:9:", "nope(1),"),
    "the second of two": (
        "DO $$\nBEGIN\n  PERFORM id FROM t;\n  PERFORM nope FROM t;\nEND $$",
        *("m.sql:10:", "nope FROM t;"),
    ),
    "RAISE": ("DO $$\nBEGIN\n  RAISE EXCEPTION 'no';\nEND $$", "m.sql:9:", "RAISE"),
    "an assignment": ("DO $$\nDECLARE x int;\nBEGIN\n  x := 1/0;\nEND $$", "m.sql:10:", "x := 1"),
    "a tag": ("DO $x$\n\nBEGIN\n  PERFORM 1/0;\nEND $x$", "m.sql:10:", "PERFORM 1/0;"),
    "quotes": ("DO 'BEGIN\n RAISE EXCEPTION ''x'';\nEND'", "m.sql:8:", "RAISE"),
}


@pytest.mark.parametrize("where", BLOCKS)
def test_what_fails_inside_a_do_block_is_drawn_at_its_line(drawn, where: str) -> None:
    sql, place, text = BLOCKS[where]
    lines = drawn(sql)
    assert lines[0].startswith(f"{place} ")
    assert marked(lines).startswith(text)


def test_dynamic_sql_of_a_do_block_is_drawn_itself_and_at_its_line(drawn) -> None:
    query, caret, line, _ = drawn("DO $$\nBEGIN\n  EXECUTE 'SELECT ' || 'nope FROM t';\nEND $$")
    assert marked([query, caret]) == "nope FROM t"
    assert line.startswith("m.sql:9:   EXECUTE")


def test_the_query_of_another_function_is_drawn_itself(drawn, connection: Connection) -> None:
    connection.execute(
        "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1 + nope; END $$"
    )
    assert drawn("SELECT f()") == ["query: 1 + nope", "           ^"]


def test_a_function_body_that_is_wrong_is_drawn_in_the_file(drawn) -> None:
    lines = drawn("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$\n  SELECT nam FROM t\n$$")
    assert lines[0].startswith("m.sql:8: ")
    assert marked(lines) == "nam FROM t"


def test_what_stands_nowhere_is_not_drawn(drawn) -> None:
    assert drawn("ALTER TABLE t DROP COLUMN nam") == []


def test_a_secret_of_another_line_is_not_drawn(drawn) -> None:
    lines = drawn("CREATE ROLE r PASSWORD\n  's3cr3t-canary' CONNECTION LIMIT -7")
    assert "s3cr3t-canary" not in str(lines)


def test_a_caret_stands_right_of_a_masked_secret(drawn) -> None:
    lines = drawn("SELECT 'password=abcdef', nam FROM t")
    assert "abcdef" not in str(lines)
    assert marked(lines).startswith("nam")


def test_detail_and_hint_are_the_servers_own(connection: Connection) -> None:
    statement = read_one("INSERT INTO t VALUES (1), (1)", FILE)
    with pytest.raises(psycopg.Error) as raised:
        connection.execute(statement.sql.encode())
    assert told(statement, raised.value) == [
        'ERROR: duplicate key value violates unique constraint "t_pkey"',
        "DETAIL: Key (id)=(1) already exists.",
    ]


def test_a_deep_context_is_cut(connection: Connection) -> None:
    connection.execute(
        "CREATE FUNCTION deep(n int) RETURNS int LANGUAGE plpgsql AS"
        " $$ BEGIN RETURN CASE WHEN n = 0 THEN 1 / n ELSE deep(n - 1) END; END $$"
    )
    statement = read_one("SELECT deep(50)", FILE)
    with pytest.raises(psycopg.Error) as raised:
        connection.execute(statement.sql.encode())
    lines = "\n".join(told(statement, raised.value)).splitlines()
    assert len(lines) < 15
    assert "more lines" in lines[-1]


def test_characters_that_were_sent_before_do_not_count(connection: Connection) -> None:
    statement = read_one("SELECT nope", FILE)
    with pytest.raises(psycopg.Error) as raised:
        connection.execute(b"EXPLAIN " + statement.sql.encode())
    assert marked(told(statement, raised.value, ahead=len("EXPLAIN "))[-2:]) == "nope"
