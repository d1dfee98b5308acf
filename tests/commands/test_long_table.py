"""a table of many rows looks as it would, and is written quickly"""

from __future__ import annotations

import io

from rich.console import Console, RenderableType

from qb_engine.commands._long_table import LONG
from qb_engine.commands._terminal import laid_out, rich_table
from qb_engine.report import Column, Table

COLUMNS = (
    Column("migration"), Column("ok", "check"), Column("statements", "count"),
    Column("time", "seconds"), Column("note"),
)  # fmt: skip
ROWS = tuple(
    (f"2024_{n}_ä" + "é" * (n % 3), n % 2 == 0, n, n / 7, None if n % 5 else "next: 日本")
    for n in range(LONG + 1)
)


def printed(table: RenderableType) -> list[str]:
    console = Console(file=io.StringIO(), width=132)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_it_looks_like_a_short_one() -> None:
    table = Table("migrations", COLUMNS, ROWS)
    assert printed(rich_table(table)) == printed(laid_out(table))


def test_a_row_that_is_longer_than_a_line_is_laid_out() -> None:
    table = Table("migrations", COLUMNS, (*ROWS, ("x" * 140, None, 1, 1.0, "")))
    assert printed(rich_table(table)) == printed(laid_out(table))
    table = Table("migrations", COLUMNS, (*ROWS, ("x", None, 1, 1.0, "two\nlines")))
    assert printed(rich_table(table)) == printed(laid_out(table))


def test_a_password_is_masked() -> None:
    secret = "postgresql://me:hunter2@host/db"
    table = Table("migrations", COLUMNS, (*ROWS, ("x", None, 1, 1.0, secret)))
    assert not any("hunter2" in line for line in printed(rich_table(table)))
