"""drafts are kept by name, looked at when they are saved, and survive a restart"""

from __future__ import annotations

from pathlib import Path

import pytest

from qb_engine import drafting
from qb_engine.errors import InputError
from qb_engine.project import Project
from qb_engine.sql import Source, SqlError


@pytest.fixture
def home(tmp_path: Path) -> Project:
    return Project.create(tmp_path / "shop")


def test_a_draft_is_read_back_as_it_was_written(home: Project) -> None:
    """Plain files in the project's own folder; another process sees them."""
    text = 'ALTER TABLE "Order Items" ADD "naïve""quote" text; -- 100% \\ :x\n'
    drafting.save(home, "first", text)
    drafting.save(home, "first", "SELECT 1", part="pre")
    again = Project(home.root)
    assert drafting.get(again, "first").parts == {"migration": text, "pre": "SELECT 1\n"}
    assert (home.home / "drafts" / "first" / "migration.sql").read_text() == text


def test_the_last_draft_is_the_one_saved_last(home: Project) -> None:
    """Saving again, and changing the language, replaces a part."""
    with pytest.raises(InputError, match="no draft yet"):
        drafting.last(home)
    drafting.save(home, "first", "SELECT 1")
    drafting.save(home, "second", "SELECT 2")
    drafting.save(home, "first", "up = 'SELECT 3'", python=True)
    assert [d.name for d in drafting.drafts(home)] == ["first", "second"]
    assert drafting.last(home).name == "first"
    assert drafting.get(home, "first").parts == {"migration": "up = 'SELECT 3'\n"}
    drafting.discard(home, "first")
    assert [d.name for d in drafting.drafts(home)] == ["second"]


@pytest.mark.parametrize(
    "name", ["", "a b", "1st", "../up", "a-b", "naïve", "x" * 101, "_a", "a\n"]
)
def test_a_name_that_cannot_name_a_file_is_refused(home: Project, name: str) -> None:
    """Letters, digits and _; the error offers a name."""
    with pytest.raises(InputError) as raised:
        drafting.save(home, name, "SELECT 1")
    assert "letters, digits and _" in raised.value.why
    assert not (home.home / "drafts").exists()


def test_an_unknown_name_names_the_nearest(home: Project) -> None:
    """A misspelt draft, a misspelt part."""
    drafting.save(home, "add_user_email", "SELECT 1")
    with pytest.raises(InputError, match="add_user_email"):
        drafting.get(home, "add_user_emial")
    with pytest.raises(InputError, match="'post'"):
        drafting.save(home, "x", "SELECT 1", part="pots")


@pytest.mark.parametrize(
    ("text", "python", "line", "words"),
    [
        ("SELECT 1;\nSELECT 2;\nALTR TABLE x", False, 4, "syntax error"),
        ("SELECT 1;\n\\d users", False, 3, "psql"),
        ("-- nothing", False, 2, "no statement"),
        ("up = [\n  AddColumn(", True, 3, "Python"),
        ("x = 1\nup = [nosuch()]", True, 3, "NameError"),
        ("x = 1", True, 2, "nothing about its migration"),
        ("\nup = AddColumn('t', 'a', 'int; DROP TABLE t')", True, 3, "syntax error"),
        ("class A(Migration): pass\nclass B(Migration): pass", True, 2, "2 Migration"),
    ],
)
def test_a_draft_is_looked_at_when_it_is_saved(
    home: Project, text: str, python: bool, line: int, words: str
) -> None:
    """The error has the cell's line, whose first line is the magic's; nothing is kept."""
    with pytest.raises(InputError) as raised:
        drafting.save(home, "broken", text, python=python, source=Source("", 2))
    assert words in str(raised.value)
    assert raised.value.where == f"line {line}"
    assert drafting.drafts(home) == ()


def test_a_backfill_part_is_a_backfill_class(home: Project) -> None:
    """It is Python, and says what it fills."""
    text = 'class Fill(Backfill):\n    table = "users"\n    set = {"a": "b"}\n'
    drafting.save(home, "fill", text, part="backfill")
    assert (home.home / "drafts" / "fill" / "backfill.py").is_file()
    with pytest.raises(InputError, match="backfill"):
        drafting.save(home, "fill", "x = 1", part="backfill")
    assert not issubclass(SqlError, SyntaxError)
