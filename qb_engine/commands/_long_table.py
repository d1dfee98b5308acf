"""a table of short cells for the terminal, written as lines

rich lays out every cell of every row, which for hundreds of rows takes longer than a command does.
Where no more than one column has to be folded there is nothing to lay out but the widths.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

from rich._wrap import divide_line
from rich.cells import cell_len
from rich.segment import Segment

from qb_engine.report import RIGHT, Column, Table, format_value
from qb_engine.secrets import mask

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

GAP = "   "
LEAST = 20  # cells of a column that is folded; below, all columns have to give way


class LongTable:
    """A table whose rows are lines, looking like the one it stands for.

    `otherwise` makes what is printed where more than one column would have to be folded.
    """

    def __init__(
        self, table: Table, otherwise: Callable[[], RenderableType], marks: dict[str, str]
    ) -> None:
        self._table = table
        self._otherwise = otherwise
        self._marks = marks

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        columns, title = self._table.columns, mask(self._table.title)
        heads = [column.name for column in columns]
        rows = [
            [mask(format_value(value, c.kind)).split("\n") for value, c in zip(row, columns)]
            for row in self._table.rows
        ]
        whole = [[max(map(cell_len, cell)) for cell in row] for row in rows]
        widths = [max(each) for each in zip(map(cell_len, heads), *whole)]
        fitted = _fitted(columns, widths, options.max_width)
        total = sum(fitted) + len(GAP) * (len(fitted) - 1) + 2
        texts = (text for row in rows for cell in row for text in cell)
        plain = title.isprintable() and all(text.isprintable() for text in texts)
        if not fitted or not plain or not 0 < cell_len(title) <= total:
            yield self._otherwise()
            return
        yield Segment(title, console.get_style("italic"))
        yield Segment("\n\n")
        yield from self._line(console, heads, fitted, head=True)
        yield Segment(f" {'─' * (total - 2)} \n")
        for row, sizes in zip(rows, whole):
            cells = [
                cell if size <= width else list(_folded(cell, width))
                for cell, size, width in zip(row, sizes, fitted)
            ]
            for line in zip_longest(*cells, fillvalue=""):
                yield from self._line(console, line, fitted)
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


def _fitted(columns: Sequence[Column], widths: Sequence[int], most: int) -> list[int]:
    """The widths of columns in a line of so many cells; empty when not one of them can give way."""
    found = list(widths)
    excess = sum(widths) + len(GAP) * (len(widths) - 1) + 2 - most
    if excess <= 0:
        return found
    widest = max(range(len(found)), key=found.__getitem__)
    found[widest] -= excess
    second = max((w for at, w in enumerate(found) if at != widest), default=0)
    folds = columns[widest].kind not in (*RIGHT, "check", "time")
    return found if folds and found[widest] > max(second + 2, LEAST) else []


def _folded(lines: Iterable[str], width: int) -> Iterator[str]:
    """Lines with those that are too long cut between words, or within one that is too long."""
    for line in lines:
        cuts = divide_line(line, width) if cell_len(line) > width else []
        for start, end in zip([0, *cuts], [*cuts, len(line)]):
            yield line[start:end].rstrip()
