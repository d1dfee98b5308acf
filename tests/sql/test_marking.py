"""a caret stands below the place it marks, whatever the line is made of"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qb_engine.errors import InputError
from qb_engine.sql import read
from qb_engine.sql.marking import WIDTH, marked

PLAIN = st.text(alphabet="abc ,()\n", max_size=400)


@given(PLAIN, st.data())
def test_a_caret_stands_below_its_character(text: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(text)))
    line, caret = marked("here: ", text, at)
    column = caret.index("^")
    expected = text[at : at + 1]
    shown = line[column : column + 1]
    assert shown == expected or expected in ("", "\n")


@given(st.text(max_size=300), st.data())
def test_any_text_can_be_marked_anywhere(text: str, data: st.DataObject) -> None:
    lines = marked("", text, data.draw(st.integers(0, len(text) + 3)))
    assert len(lines) == 2
    assert lines[1].strip() == "^"
    assert len(lines[0]) <= WIDTH + len("......")


def test_tabs_and_wide_characters_take_their_columns() -> None:
    assert marked("", "\tx", 1) == ["    x", "    ^"]
    assert marked("", "日本x", 2) == ["日本x", "    ^"]


def test_a_secret_on_the_line_above_its_word_is_not_shown() -> None:
    with pytest.raises(InputError) as raised:
        read("ALTER ROLE r PASSWORD\n 's3cr3t-canary' NOPE 1 2")
    assert "s3cr3t-canary" not in str(raised.value)
    assert raised.value.code == "bad-sql"
