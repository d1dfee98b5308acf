"""a table of many rows looks as it would, and is written quickly"""

from __future__ import annotations

import io

import pytest
from rich.console import Console, RenderableType

from qb_engine.commands._terminal import laid_out, rich_table
from qb_engine.report import Column, Table

COLUMNS = (
    Column("migration"), Column("ok", "check"), Column("statements", "count"),
    Column("time", "seconds"), Column("note"),
)  # fmt: skip
ROWS = tuple(
    (f"2024_{n}_ä" + "é" * (n % 3), n % 2 == 0, n, n / 7, None if n % 5 else "next: 日本")
    for n in range(61)
)


def printed(table: RenderableType, width: int = 132) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_it_looks_like_a_short_one() -> None:
    table = Table("migrations", COLUMNS, ROWS)
    assert printed(rich_table(table)) == printed(laid_out(table))


@pytest.mark.parametrize("width", [40, 80, 100, 132, 200])
def test_what_is_longer_than_a_line_is_folded_alike(width: int) -> None:
    notes = (
        "x" * 250,
        "two\nlines, the second of which goes on for so long that it has to be folded somewhere",
        "https://example.org/" + "path/" * 30 + " and then words, 日本語の文字 " + "wide " * 20,
        "  indented, and with  gaps   between words that may stand where a line ends  " * 2,
        "",
    )
    for at in range(len(notes)):
        rows = (*ROWS[:4], *(("x", None, 1, 1.0, note) for note in notes[: at + 1]))
        table = Table("migrations", COLUMNS, rows)
        assert printed(rich_table(table), width) == printed(laid_out(table), width)
    two = tuple((note, note) for note in notes)
    table = Table("a title that is longer than its table" * 3, COLUMNS[::4], two)
    assert printed(rich_table(table), width) == printed(laid_out(table), width)


def test_what_cannot_be_printed_is_laid_out() -> None:
    table = Table("migrations", COLUMNS, (*ROWS, ("x", None, 1, 1.0, "a\tb\x1b[31m")))
    assert printed(rich_table(table)) == printed(laid_out(table))


def test_a_password_is_masked() -> None:
    secret = "postgresql://me:hunter2@host/db"
    table = Table("migrations", COLUMNS, (*ROWS, ("x", None, 1, 1.0, secret)))
    assert not any("hunter2" in line for line in printed(rich_table(table)))
