"""any text that is written as a literal is read as it was"""

from __future__ import annotations

import json
import math
from pathlib import Path

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from qb_engine.migrations.typescript import methods, numbers

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


def sent(literal: str, parameters: str = "[]", newline: str = "\n") -> tuple[str, object]:
    text = f"export class A1 {{\n async up(q) {{ await q.query({literal}, {parameters}); }}\n}}"
    read = methods(Path("a.ts"), text=text.replace("\n", newline) if newline != "\n" else text)
    assert read.up.unread is None, read.up.unread
    (query,) = read.up.queries
    return query.sql, query.parameters


def template(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("`", "\\`").replace("${", "\\${")
    return "`" + escaped.replace("\r", "\\r") + "`"


def quoted(text: str, quote: str) -> str:
    escaped = text.replace("\\", "\\\\").replace(quote, "\\" + quote)
    return quote + escaped.replace("\n", "\\n").replace("\r", "\\r") + quote


@settings(max_examples=150, deadline=None)
@given(TEXTS)
def test_a_template_is_read_as_it_was_written(text: str) -> None:
    assert sent(template(text))[0] == text


@settings(max_examples=100, deadline=None)
@given(TEXTS, st.sampled_from("'\""))
def test_a_quoted_string_is_read_as_it_was_written(text: str, quote: str) -> None:
    assert sent(quoted(text, quote))[0] == text


@settings(max_examples=60, deadline=None)
@given(TEXTS)
def test_escapes_of_every_kind_are_the_character(text: str) -> None:
    points = "".join(f"\\u{{{ord(c):x}}}" for c in text)
    units = text.encode("utf-16-be")
    halves = "".join(f"\\u{units[i] * 256 + units[i + 1]:04x}" for i in range(0, len(units), 2))
    assert sent(f"`{points}`")[0] == text
    assert sent(f"'{halves}'")[0] == text


@settings(max_examples=60, deadline=None)
@given(TEXTS, TEXTS)
def test_a_raw_template_keeps_its_text(before: str, after: str) -> None:
    for bad in ("`", "\\", "${", "\r"):
        assume(bad not in before + after)
    assume(not before.endswith("$"))
    assert sent(f'String.raw`{before}${{"x"}}\\n{after}`')[0] == f"{before}x\\n{after}"


@settings(max_examples=100, deadline=None)
@given(st.lists(VALUES, max_size=4))
def test_parameters_are_read_as_they_were_written(values: list[object]) -> None:
    assume("__proto__" not in json.dumps(values))
    read = sent("'x'", json.dumps(values, ensure_ascii=False))[1]
    assert json.dumps(read, sort_keys=True) == json.dumps(values, sort_keys=True)


@settings(max_examples=200, deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_written_so_that_it_is_read_again(value: float) -> None:
    text = numbers.written(value)
    assert numbers.from_text(text) == value
    assert math.copysign(1, value) == 1 or text.startswith("-") or value == 0
