"""a table of many short rows for the terminal, written as lines

rich lays out every cell of every row, which for thousands of rows takes longer than a command does.
Where each row fits on a line there is nothing to lay out but the widths of the columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.segment import Segment

from qb_engine.report import RIGHT, Table, format_value
from qb_engine.secrets import mask

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

LONG = 60  # rows; up to there rich is quick
GAP = "   "


class LongTable:
    """A table whose rows are lines, looking like the one it stands for.

    `otherwise` makes what is printed where a row does not fit on one.
    """

    def __init__(
        self, table: Table, otherwise: Callable[[], RenderableType], marks: dict[str, str]
    ) -> None:
        self._table = table
        self._otherwise = otherwise
        self._marks = marks

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        columns = self._table.columns
        rows = [
            [mask(format_value(value, c.kind)) for value, c in zip(row, columns)]
            for row in self._table.rows
        ]
        heads = [column.name for column in columns]
        texts = [heads, *rows]
        widths = [max(map(cell_len, each)) for each in zip(*texts)]
        whole = sum(widths) + len(GAP) * (len(widths) - 1) + 2
        broken = any(not cell.isprintable() for row in texts for cell in row)
        if broken or whole > options.max_width:
            yield self._otherwise()
            return
        yield Segment(mask(self._table.title), console.get_style("italic"))
        yield Segment("\n\n")
        yield from self._line(console, heads, widths, head=True)
        yield Segment(f" {'─' * (whole - 2)} \n")
        for row in rows:
            yield from self._line(console, row, widths)
        yield Segment("\n")

    def _line(
        self, console: Console, row: Iterable[str], widths: Iterable[int], *, head: bool = False
    ) -> Iterable[Segment]:
        yield Segment(" ")
        for at, (text, width, column) in enumerate(zip(row, widths, self._table.columns)):
            named = "bold" if head else self._marks.get(text, "") if column.kind == "check" else ""
            space = " " * (width - cell_len(text))
            whole = f"{space}{text}" if column.kind in RIGHT else f"{text}{space}"
            style = console.get_style(named) if named else None
            yield Segment(f"{GAP if at else ''}{whole}", style)
        yield Segment(" \n")
