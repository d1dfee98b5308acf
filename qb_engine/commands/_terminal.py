"""the terminal's face: rich tables on stdout, progress and questions on stderr"""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from qb_engine.commands._session import Face, Progress
from qb_engine.report import RIGHT, Report, Table, format_value
from qb_engine.secrets import mask

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

PIPE_WIDTH = 132
MARKS = {"PASS": "green", "FAIL": "bold red", "WARN": "yellow"}


class TerminalFace(Face):
    """Asks on the terminal when there is one; progress goes to stderr, results to stdout."""

    @property
    def interactive(self) -> bool:  # type: ignore[override]
        return sys.stdin is not None and sys.stdin.isatty()

    def say(self, text: str) -> None:
        console_for(stderr=True).print(mask(text), style="dim", highlight=False, markup=False)

    def ask_password(self, prompt: str) -> str | None:
        return getpass.getpass(mask(prompt)) if self.interactive else None

    def ask(self, prompt: str) -> str | None:
        return input(mask(prompt)) if self.interactive else None

    @contextmanager
    def progress(self, label: str, total: float | None = None) -> Iterator[Progress]:
        from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as RichProgress

        bars = RichProgress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            console=console_for(stderr=True),
            transient=True,  # the report that follows says how it ended
            disable=not sys.stderr.isatty(),
        )
        with bars:
            task = bars.add_task(mask(label), total=total, note="")

            class Bar:
                def update(self, done: float, total: float | None = None, note: str = "") -> None:
                    bars.update(task, completed=done, total=total, note=mask(note))

            yield Bar()

    def watching(self) -> AbstractContextManager[Callable[[Any], None]]:
        from qb_engine.commands.backfill.screen import watching

        return watching(console_for(stderr=True))


def show(report: Report) -> None:
    """Print a report to stdout."""
    console = console_for()
    console.print(renderable(report))


def renderable(report: Report) -> RenderableType:
    """A report as something rich prints: headline, tables, notes."""
    from rich.console import Group
    from rich.text import Text

    mark = ("✓ ", "bold green") if report.ok else ("✗ ", "bold red")
    parts: list[RenderableType] = [Text.assemble(mark, (mask(report.headline()), "bold"))]
    for table in report.tables():
        parts += [Text(""), rich_table(table)]
    notes = list(report.notes())
    if notes:
        parts.append(Text(""))
    parts += [Text(f"• {mask(note)}", style="dim") for note in notes]
    return Group(*parts)


def rich_table(table: Table) -> RenderableType:
    """A table for the terminal, its words coloured but never meant by colour alone."""
    from rich.text import Text

    from qb_engine.commands._long_table import LongTable

    if not table.rows:
        return Text(f"{mask(table.title)}: {table.empty}", style="dim")
    return LongTable(table, lambda: laid_out(table), MARKS)


def laid_out(table: Table) -> RenderableType:
    """A table whose cells may take several lines."""
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    out = RichTable(
        title=mask(table.title), title_justify="left", title_style="italic", box=box.SIMPLE_HEAD,
        pad_edge=False, header_style="bold",
    )  # fmt: skip
    for column in table.columns:
        right = column.kind in RIGHT
        out.add_column(
            column.name,
            justify="right" if right else "left",
            no_wrap=right or column.kind in ("check", "time"),
            overflow="fold",
        )
    for row in table.rows:
        cells = []
        for value, column in zip(row, table.columns):
            text = mask(format_value(value, column.kind))
            cells.append(Text(text, style=MARKS.get(text, "") if column.kind == "check" else ""))
        out.add_row(*cells)
    return out


def console_for(*, stderr: bool = False) -> Console:
    """A console as wide as the terminal; wide enough for tables where there is none."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    # a pipe has no width; 80 columns would fold every table
    width = None if stream.isatty() or "COLUMNS" in os.environ else PIPE_WIDTH
    return Console(stderr=stderr, highlight=False, width=width)
