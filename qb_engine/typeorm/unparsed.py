"""where a script does not parse: the line, the column, and what stands there"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qb_engine.migrations.typescript.grammar import Source, errors

SHOWN = 90  # characters of the line in a sentence


@dataclass(frozen=True, slots=True)
class Unparsed:
    """The first place of a script that does not parse; line and column are counted from 1."""

    line: int
    column: int
    text: str  # of its line

    def __str__(self) -> str:
        shown = f", at: {self.text}" if self.text else ", at its end"
        return f"line {self.line}, column {self.column} does not parse{shown}"


def unparsed(path: Path, text: str | None = None) -> Unparsed | None:
    """Where a script does not parse first; None for one that does."""
    source = Source(path, text)
    broken = errors(source.root)
    if not broken:
        return None
    line = broken[0]
    columns = []
    waiting = [source.root]
    while waiting:
        node = waiting.pop()
        odd = node.is_error or node.is_missing or node.type == "html_comment"
        if odd and node.start_point.row == line - 1:
            columns.append(node.start_point.column)
        waiting.extend(node.children)
    whole = source.data.split(b"\n")[line - 1]
    before = whole[: min(columns, default=0)].decode("utf-8", "replace")
    shown = " ".join(whole.decode("utf-8", "replace").split())
    return Unparsed(
        line, len(before) + 1, shown if len(shown) <= SHOWN else shown[: SHOWN - 3] + "..."
    )
