"""rules are written in Python and SQL files, and what is written wrong is said with its line"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qb_engine.constraints.rules import kinds
from qb_engine.constraints.rules.names import parts
from qb_engine.errors import InputError
from qb_engine.migrations import load_one


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def lines(path: Path) -> list[tuple[Any, int]]:
    return [(each.said, each.source.line) for each in load_one(path).expect]


# -- in files ----------------------------------------------------------------------------------

PYTHON = """
from qb_engine import Migration

class A(Migration):
    up = "CREATE TABLE a ()"
    expect = [
        "SELECT 1",
        {"not_null": "users.email"},
    ]
"""


def test_a_python_file_gives_each_rule_its_line(tmp_path: Path) -> None:
    path = write(tmp_path, "20240101_a.py", PYTHON)
    assert lines(path) == [("SELECT 1", 7), ({"not_null": "users.email"}, 8)]


def test_rules_made_by_an_expression_have_its_line(tmp_path: Path) -> None:
    text = PYTHON.split("    expect")[0] + "    expect = [f'SELECT {n}' for n in range(2)]\n"
    assert lines(write(tmp_path, "20240101_a.py", text)) == [("SELECT 0", 6), ("SELECT 1", 6)]


def test_an_sql_file_has_a_section_for_rules(tmp_path: Path) -> None:
    text = (
        "-- qb:up\nCREATE TABLE a ();\n-- qb:expect\n-- - SELECT 1\n-- - |\n--   SELECT\n--   2\n"
        "--\n-- - not_null: users.email\n--   when: before\n-- qb:down\nDROP TABLE a;\n"
    )
    path = write(tmp_path, "20240101_a.sql", text)
    assert lines(path) == [
        ("SELECT 1", 4),
        ("SELECT\n2\n", 5),
        ({"not_null": "users.email", "when": "before"}, 9),
    ]
    assert len(load_one(path).down) == 1


def test_rules_may_be_json_behind_the_mark(tmp_path: Path) -> None:
    said = [{"in": {"column": "a.b", "values": [1, None]}}, "SELECT 1"]
    text = f"-- qb:expect {json.dumps(said)}\n-- qb:up\nCREATE TABLE a ();\n"
    assert [each for each, _ in lines(write(tmp_path, "20240101_a.sql", text))] == said


def test_rules_stand_above_sql_without_sections(tmp_path: Path) -> None:
    text = "-- qb:expect\n-- - SELECT 1\nCREATE TABLE a ();\nCREATE TABLE b ();\n"
    path = write(tmp_path, "20240101_a.sql", text)
    assert lines(path) == [("SELECT 1", 2)]
    assert len(load_one(path).up) == 2


@pytest.mark.parametrize(
    ("section", "line", "words"),
    [
        ("-- - 'SELECT", 4, "neither YAML nor JSON"),
        ("-- users: {must_exist: true}", 3, "not a list of rules"),
        ("-- - 5", 3, "not a list of rules"),
        ("-- - SELECT 1\nSELECT 2;", 5, "neither YAML nor JSON"),
    ],
)
def test_a_section_that_is_no_list_of_rules_is_refused(
    tmp_path: Path, section: str, line: int, words: str
) -> None:
    text = f"-- qb:up\nCREATE TABLE a ();\n-- qb:expect\n{section}\n"
    path = write(tmp_path, "20240101_a.sql", text)
    with pytest.raises(InputError, match=words) as caught:
        load_one(path)
    assert caught.value.where == f"{path}:{line}"


@pytest.mark.parametrize("value", ["'SELECT 1'", "5", "{'not_null': 'a.b'}", "[5]", "[['a']]"])
def test_an_attribute_that_is_no_list_of_rules_is_refused(tmp_path: Path, value: str) -> None:
    text = PYTHON.split("    expect")[0] + f"    expect = {value}\n"
    path = write(tmp_path, "20240101_a.py", text)
    with pytest.raises(InputError, match="expect of A is") as caught:
        load_one(path)
    assert caught.value.where == f"{path}:6"
    assert "a list of rules" in caught.value.why


def test_each_part_of_a_folder_has_its_own_and_they_keep_their_order(tmp_path: Path) -> None:
    folder = tmp_path / "20240101_a"
    for name in ("post", "migration", "pre"):
        write(folder, f"{name}.sql", f"-- qb:expect ['SELECT ''{name}''']\nCREATE TABLE {name} ();")
    found = load_one(folder)
    assert [each.said for each in found.expect] == [
        "SELECT 'pre'", "SELECT 'migration'", "SELECT 'post'",
    ]  # fmt: skip
    assert [len(part.expect) for part in found.parts] == [1, 1, 1]


def test_what_is_expected_is_no_part_of_the_checksum(tmp_path: Path) -> None:
    sums = []
    for rule in ("SELECT 1", "SELECT 2"):
        text = f"-- qb:expect [{rule}]\n-- qb:up\nCREATE TABLE a ();\n"
        sums.append(load_one(write(tmp_path, "20240101_a.sql", text)).checksum)
    assert sums[0] == sums[1]


# -- as rules ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ("\n SELECT 1\n  FROM a;", "SELECT 1 FROM a"),
        ({"sql": "SELECT 1", "equals": 2}, "SELECT 1"),
        ({"not_null": "users.email"}, "no NULL in users.email"),
        ({"unique": {"table": "u", "columns": ["a", "b"]}}, "u (a, b) unique"),
        ({"in": {"column": "o.s", "values": ["x", None]}}, "o.s in (x, NULL)"),
        ({"references": {"column": "o.u", "to": "app.u.id"}}, "o.u references app.u.id"),
        ({"row_count_change": {"table": "u", "equals": 0}}, "rows of u: as many as before"),
        ({"row_count_change": {"table": "u", "min": -1, "max": 3}},
         "rows of u: at least -1 and at most +3"),
        ({"max_seconds": "500ms"}, "takes at most 0.5 s"),
        ({"max_lock": "ShareLock", "table": "a b.c"}, 'no lock above SHARE on "a b".c'),
        ({"uses_index": {"sql": "SELECT 1", "index": "i"}}, "index i used by SELECT 1"),
    ],
)  # fmt: skip
def test_a_rule_says_what_it_is_about(rules: Any, said: Any, what: str) -> None:
    (rule,) = rules(said)
    assert (rule.what, rule.when, str(rule.source)) == (what, "after", "a.py:1")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"notnull": "a.b"}, ("'notnull' is no rule", "did you mean 'not_null'?")),
        ({"not_null": "a.b", "unique": "a.b"}, ("two rules in one", "two items")),
        ({"when": "before"}, ("a rule says nothing", "max_lock")),
        ({}, ("a rule says nothing", "max_lock")),
        ({1: 2}, ("1 is no rule",)),
        ({"not_null": "a.b", "whn": "before"}, ("'whn' is unknown", "did you mean 'when'?")),
        ({"not_null": "a.b", "when": "later"}, ("when is 'later'", "before, after or both")),
        ({"not_null": "a.b", "later": "no"}, ("later is 'no'", "True or False")),
        ({"not_null": "email"}, ("the column is 'email'", '"users.email"')),
        ({"not_null": "a.b.c.d"}, ("the column is",)),
        ({"not_null": ["a.b"]}, ("its value is ['a.b']", "a mapping")),
        ({"not_null": {"table": "a", "column": "b"}}, ("'column' is unknown", "'columns'")),
        ({"not_null": {"table": "a"}}, ("'columns' is missing",)),
        ({"not_null": {"table": "a", "columns": "b"}}, ("columns is 'b'", "a list of names")),
        ({"not_null": {"table": "a", "columns": []}}, ("columns is []",)),
        ({"not_null": {"table": "a..b", "columns": ["c"]}}, ("the table is 'a..b'",)),
        ({"unique": {"table": "a", "columns": ["b"], "nulls_distinct": 1}}, ("True or False",)),
        ({"in": {"column": "a.b"}}, ("'values' is missing",)),
        ({"in": {"column": "a.b", "values": []}}, ("at least one value",)),
        ({"in": {"column": "a.b", "values": "xy"}}, ("values is 'xy'",)),
        ({"references": {"column": "a.b"}}, ("'to' is missing",)),
        ({"references": {"column": "a.b", "to": {"table": "c", "columns": ["d", "e"]}}},
         ("the same number of columns",)),
        ({"row_count_change": {"table": "a"}}, ("it gives no change",)),
        ({"row_count_change": {"table": "a", "equals": 0, "min": 1}}, ("it gives no change",)),
        ({"row_count_change": {"table": "a", "equals": "0"}}, ("a whole number",)),
        ({"row_count_change": {"table": "a", "min": 2, "max": 1}}, ("min 2 is above max 1",)),
        ({"row_count_change": {"table": "a", "min": 2}, "when": "before"}, ("asked before",)),
        ({"max_seconds": "fast"}, ("'fast'", "500ms")),
        ({"max_seconds": 0}, ("its value is 0",)),
        ({"max_seconds": True}, ("its value is True",)),
        ({"max_seconds": 2, "when": "before"}, ("it cannot be asked before", "one run")),
        ({"max_lock": "SHARED"}, ("'SHARED'", "SHARE UPDATE EXCLUSIVE")),
        ({"max_lock": "SHARE", "tabel": "a"}, ("did you mean 'table'?",)),
        ({"uses_index": {"sql": "SELECT 1", "idx": "i"}}, ("did you mean 'index'?",)),
        ({"uses_index": {"sql": "CREATE TABLE a ()", "index": "i"}}, ("SELECT, INSERT",)),
        ({"rule": "nowhere"}, ("no rule of that name", "rules.py")),
    ],
)  # fmt: skip
def test_a_rule_of_another_form_is_refused(rules: Any, said: Any, words: tuple[str, ...]) -> None:
    """The error names the line and the nearest known key."""
    with pytest.raises(InputError) as caught:
        rules("SELECT 1", said)
    assert caught.value.where == "a.py:2"
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("DELETE FROM a", "may only read"),
        ("WITH gone AS (DELETE FROM a RETURNING *) SELECT * FROM gone", "may only read"),
        ("SELECT * INTO b FROM a", "may only read"),
        ("CREATE TABLE a ()", "may only read"),
        ("EXPLAIN ANALYZE DELETE FROM a", "may only read"),
        ("COPY a TO '/tmp/a'", "may only read"),
        ("SET row_security = on", "may only read"),
        ("SELECT 1; SELECT 2", "one statement is expected"),
        ("SELECT 1; DROP TABLE a", "one statement is expected"),
        ("COMMIT", "its own COMMIT"),
        ("SELEC 1", "syntax error"),
        ("-- nothing", "one statement is expected"),
        (" ", "a text"),
    ],
)
@pytest.mark.parametrize("form", [str, lambda text: {"sql": text, "equals": 1}])
def test_sql_that_is_no_query_is_refused(rules: Any, form: Any, sql: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        rules(form(sql))
    assert caught.value.where.startswith("a.py:1")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("users.email", ("users", "email")),
        ('"Order Items"."a.b"."x""y"', ("Order Items", "a.b", 'x"y')),
        ("Order Items.Größe", ("Order Items", "Größe")),
        ('naïve"quote.a', ('naïve"quote', "a")),
        ("", ()), (".a", ()), ("a.", ()), ('"a', ("\"a",)), ('"a"b', ()), ('"".a', ('""', "a")),
    ],
)  # fmt: skip
def test_names_are_dotted_and_quoted_where_they_hold_a_dot(text: str, found: Any) -> None:
    assert parts(text) == found


def test_every_kind_of_rule_has_an_example_that_is_read(rules: Any, tmp_path: Path) -> None:
    (tmp_path / "rules.py").write_text("def no_orphans(read, *, table):\n    return True\n")
    found = kinds()
    assert set(found) == {
        "sql", "not_null", "unique", "in", "references", "row_count_change", "max_seconds",
        "max_lock", "uses_index", "rule", "works",
    }  # fmt: skip
    for key, kind in found.items():
        assert key in kind.example
        assert len(rules(kind.example)) == 1
