"""reports as HTML: escaped, in words, the same each time, and the same facts as plain text"""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser

import pytest

from qb_engine import secrets
from qb_engine.errors import StatementError
from qb_engine.report import plain
from qb_magic.render.html import error_html, report_html
from tests.magic.samples import NASTY, Sample


class Reader(HTMLParser):
    """The elements of a page, the classes they carry, and the text a reader sees."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.texts.append(data)


def words(text: str) -> set[str]:
    return {w for w in re.findall(r"[\w.,:<>$&'\"/-]+", text) if set(w) - set("-*:")}


def test_nothing_of_a_value_becomes_markup() -> None:
    """A name that looks like HTML is shown as it is, wherever it stands."""
    page = report_html(Sample(NASTY))
    read = Reader(page)
    assert "script" not in read.elements
    assert not read.open
    assert "".join(read.texts).count('<script>alert("x")</script>') == 3  # headline, cell, note


def test_html_says_what_plain_text_says() -> None:
    report = Sample("all is well")
    seen = words("".join(f"{t} " for t in Reader(report_html(report)).texts))
    told = {"OK" if w == "ok:" else w for w in words(plain(report))}
    assert {w.strip("():") for w in told} <= {w.strip("():") for w in seen}


def test_states_are_words() -> None:
    """Colour is an extra: without any style the words are still there."""
    page = re.sub(r"<style>.*?</style>|class=\"[^\"]*\"", "", report_html(Sample(good=False)))
    for word in ("NOT OK", "PASS", "FAIL", "WARN"):
        assert f">{word}<" in page


def test_the_same_report_is_the_same_page() -> None:
    """Notebook tests compare HTML: no identifiers that change, nothing of the clock."""
    assert report_html(Sample()) == report_html(Sample())
    assert " id=" not in report_html(Sample())


def test_a_table_has_a_caption_and_headings() -> None:
    page = report_html(Sample())
    assert ">checks</caption>" in page
    assert page.count('<th scope="col"') == 7
    assert "none are declared" in page


def test_a_table_is_read_without_a_style_sheet() -> None:
    """Notebooks that are not trusted lose it: alignment and line ends are in the cells."""
    page = re.sub(r"<style>.*?</style>", "", report_html(Sample()), flags=re.DOTALL)
    assert "two<br>lines" in page
    assert page.count("text-align:left") + page.count("text-align:right") == 7 * 4 + 1


def test_an_error_shows_its_four_parts_escaped() -> None:
    error = StatementError(
        "column <b> is missing", where="a.sql:3", why="line 1\nline 2", todo="mend it"
    )
    page = error_html(error)
    assert 'role="alert"' in page
    assert "column &lt;b&gt; is missing" in page
    for part in ("a.sql:3", "line 1\nline 2", "mend it"):
        assert part in unescape(page)


@pytest.mark.parametrize("password", ["s3cr3t-canary", "a&b<c>d"])
def test_no_password_reaches_a_page(password: str) -> None:
    secrets.remember(password)
    page = report_html(Sample(f"cannot use {password} here"))
    assert password not in page
    assert password not in unescape(page)
