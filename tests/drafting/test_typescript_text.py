"""the text of a TypeScript migration: read back, it says exactly what was written"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qb_engine.drafting.for_typeorm import calls
from qb_engine.drafting.typescript_text import (
    Call,
    MigrationText,
    Style,
    class_name,
    migration,
    pascal,
    template,
    value,
)
from qb_engine.errors import InputError
from qb_engine.migrations.typescript import describe, methods
from qb_engine.sql import read

TS = Path("1710460800000-Any.ts")
NAME = "Any1710460800000"
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0")) | st.lists(
    st.sampled_from(
        [
            "`",
            "${",
            "$",
            "{",
            "}",
            "\\",
            "\r",
            "\n",
            "\u2028",
            "'",
            '"',
            "$1",
            "--",
            "*/",
            "//",
            "n",
        ]
    )
).map("".join)
EXACT = 2**53  # beyond it JavaScript has not every number
NUMBERS = st.integers(-EXACT, EXACT) | st.floats(-EXACT, EXACT)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


GIVEN = st.none() | st.lists(JSON, max_size=3).map(tuple)


@settings(max_examples=60, deadline=None)
@example([("SELECT $1", ({"__proto__": '\\"__proto__": "__proto__":'},), "")], "")
@given(st.lists(st.tuples(TEXTS, GIVEN, TEXTS), max_size=4), TEXTS)
def test_any_text_reads_back_as_it_is(
    queries: list[tuple[str, tuple[Any, ...] | None, str]], reason: str
) -> None:
    """SQL, parameters and the reason there is no way back; comments are nothing."""
    up = tuple(Call(sql, given, (comment,)) for sql, given, comment in queries)
    text = migration(MigrationText(NAME, up, irreversible=f"because of {reason}x"))
    found = methods(TS, text=text)
    assert [(each.sql, each.parameters) for each in found.up.queries] == [
        (each.sql, each.parameters) for each in up
    ]
    assert found.up.unread is None
    assert found.down is not None
    assert found.down.throws == f"irreversible because of {' '.join((reason + 'x').split())}"


@settings(deadline=None)
@example({"__proto__": {"__proto__": None}})
@given(st.dictionaries(TEXTS, JSON, min_size=1, max_size=4))
def test_any_constraints_read_back_as_they_are(constraints: dict[str, Any]) -> None:
    text = migration(MigrationText(NAME, (Call("SELECT 1"),), constraints=constraints))
    (found,) = describe(TS, text).classes
    assert dict(found.constraints) == constraints


@pytest.mark.parametrize("style", ["typescript", "commonjs", "module"])
def test_each_style_reads_back_with_all_that_it_says(style: Style) -> None:
    made = MigrationText(
        NAME, (Call("SELECT 1"),), (Call("SELECT 2"),), constraints={"t": {"must_exist": True}},
        alone="CONCURRENTLY commits in between", back=("It loses rows.",),
    )  # fmt: skip
    file = TS if style == "typescript" else TS.with_suffix(".js")
    text = migration(made, style)
    script = describe(file, text)
    (found,) = script.classes
    assert (found.name, found.class_name, found.stamp) == (NAME, NAME, "1710460800000")
    assert found.exported
    assert found.transaction is False
    assert found.constraints == {"t": {"must_exist": True}}
    sent = methods(file, text=text)
    assert sent.down is not None
    assert [each.sql for each in (*sent.up.queries, *sent.down.queries)] == ["SELECT 1", "SELECT 2"]
    assert "revert" in text


def test_a_whole_file_is_as_one_would_write_it() -> None:
    made = MigrationText(
        NAME,
        (Call("UPDATE t SET a = $1", (1, "b", None, {"c": [True]}), ("why",)),),
        constraints={
            "users": {
                "must_exist": True,
                "columns": {"id": {"type": "varchar", "nullable": True}, "a b": {"type": "c"}},
            }
        },
    )
    assert migration(made) == (
        'import { MigrationInterface, QueryRunner } from "typeorm";\n'
        "\n"
        "export class Any1710460800000 implements MigrationInterface {\n"
        '    name = "Any1710460800000";\n'
        "\n"
        "    static constraints = {\n"
        "        users: {\n"
        "            must_exist: true,\n"
        '            columns: { id: { type: "varchar", nullable: true }, "a b": { type: "c" } },\n'
        "        },\n"
        "    };\n"
        "\n"
        "    public async up(queryRunner: QueryRunner): Promise<void> {\n"
        "        // why\n"
        "        await queryRunner.query(`UPDATE t SET a = $1`, "
        '[1, "b", null, {"c": [true]}]);\n'
        "    }\n"
        "\n"
        "    public async down(queryRunner: QueryRunner): Promise<void> {\n"
        "        // there is nothing to undo\n"
        "        await queryRunner.query(`SELECT 1`);\n"
        "    }\n"
        "}\n"
    )


def test_short_constraints_stand_on_one_line() -> None:
    found = {"users": {"must_exist": True, "columns": {"id": {"type": "varchar"}}}}
    assert value(found["users"], "", 0) == (
        '{ must_exist: true, columns: { id: { type: "varchar" } } }'
    )
    assert value({"__proto__": 1}) == '{ ["__proto__"]: 1 }'
    assert value({"1a": [], "ä": {}}) == '{ "1a": [], "ä": {} }'


def test_what_json_does_not_have_is_refused() -> None:
    for found in ({1, 2}, float("nan"), object(), b"x"):
        with pytest.raises(InputError, match="cannot stand in a TypeScript file"):
            value({"a": found})


def test_a_literal_keeps_what_javascript_would_change() -> None:
    assert template("a\\b`c${d}$e\r\nf") == "`a\\\\b\\`c\\${d}$e\\r\nf`"


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("add_user_email", "AddUserEmail"),
        ("2fa-thing", "Migration2faThing"),
        ("addHTTPHeader", "AddHTTPHeader"),
        ("class", "Class"),
        ("größe ändern", "GroeAndern"),
        ("a.b/../c", "ABC"),
        ("add_v2", "AddV2"),
    ],
)
def test_any_name_becomes_an_identifier(name: str, wanted: str) -> None:
    assert pascal(name) == wanted
    assert class_name(name, 1710460800000) == f"{wanted}1710460800000"


def test_a_name_without_letters_is_refused() -> None:
    with pytest.raises(InputError, match="cannot name a migration"):
        pascal("--- ñ".replace("ñ", "中"))


def test_comments_stay_with_their_statements() -> None:
    sql = """-- qb:constraints
-- users: {must_exist: true}
-- qb:up
-- first
/* of
   two lines */
SELECT 1; -- behind
SELECT '-- no
comment';

-- last one
SELECT 3"""
    found = list(calls(read(sql), sql))
    assert [each.comments for each in found] == [("first", "of\n   two lines"), (), ("last one",)]
