"""the protocol every result follows: `ok`, tables, charts, JSON, and the same facts per face"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from qb_engine.secrets import mask

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["text", "code", "check", "count", "bytes", "seconds", "rate", "percent", "time"]

# Columns whose values change from run to run keep one width, so that plain text stays comparable.
MIN_WIDTH: dict[Kind, int] = {"seconds": 8, "bytes": 9, "rate": 11, "time": 19}
RIGHT: frozenset[Kind] = frozenset({"count", "bytes", "seconds", "rate", "percent"})


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its heading and the kind of its values.

    Units: `seconds` are floats, `bytes` ints, `rate` rows per second, `percent` 0 to 100, `check`
    is True (PASS), False (FAIL), None (-) or a word of its own.
    """

    name: str
    kind: Kind = "text"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of plain values under typed columns."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]
    empty: str = "nothing to show"


@dataclass(frozen=True, slots=True)
class Bars:
    """A chart of one horizontal bar per label."""

    title: str
    labels: tuple[str, ...]
    values: tuple[float, ...]
    unit: Kind = "seconds"


@dataclass(frozen=True, slots=True)
class Span:
    """Something that lasted: `start` and `end` in seconds from the chart's origin."""

    lane: str
    start: float
    end: float
    label: str = ""
    weight: int = 1  # strength from 1 to 8, as PostgreSQL orders its lock modes


@dataclass(frozen=True, slots=True)
class Timeline:
    """A chart of spans in lanes over time."""

    title: str
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """One node of a tree, with a number that says how heavy it is."""

    label: str
    detail: str = ""
    weight: float = 0.0
    children: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True)
class Tree:
    """A chart of a tree: a query plan."""

    title: str
    root: Node


@dataclass(frozen=True, slots=True)
class Line:
    """A chart of one quantity over another."""

    title: str
    xs: tuple[float, ...]
    ys: tuple[float, ...]
    x_label: str = "seconds"
    y_label: str = ""


Chart = Bars | Timeline | Tree | Line


class Report:
    """What a command returns. Subclasses are frozen dataclasses of plain values.

    A subclass gives `name`, `headline()` and `tables()`; the rest has a sensible default.
    """

    name: ClassVar[str] = "report"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__repr__" not in cls.__dict__:  # else a dataclass writes one that lists its fields
            cls.__repr__ = Report.__repr__  # type: ignore[method-assign]

    @property
    def ok(self) -> bool:
        """True when what was asked is met; the command line exits with 1 otherwise."""
        return True

    @property
    def exit_code(self) -> int:
        return 0 if self.ok else 1

    def headline(self) -> str:
        """One sentence that says the result."""
        return self.name

    def tables(self) -> Sequence[Table]:
        """The tables to show, most important first; the first one is `df`."""
        return ()

    def notes(self) -> Sequence[str]:
        """Sentences below the tables: warnings and what to do next."""
        return ()

    def charts(self) -> Sequence[Chart]:
        """Pictures, where one says more than the tables."""
        return ()

    def as_dict(self) -> dict[str, Any]:
        """The facts as JSON values, without `report` and `ok`."""
        if dataclasses.is_dataclass(self):
            return {f.name: jsonable(getattr(self, f.name)) for f in dataclasses.fields(self)}
        return {}

    def to_json(self, *, indent: int | None = None) -> str:
        """One JSON object: `report`, `ok`, then the facts."""
        whole = {"report": self.name, "ok": self.ok, **self.as_dict()}
        # masked before, so that a literal that was cut off cannot take the JSON behind it along
        text = json.dumps(_masked(whole), default=str, ensure_ascii=False, indent=indent)
        return mask(text)

    def written(self) -> str:
        """The whole as a text in another format that was asked for; empty when none was."""
        return ""

    @property
    def df(self) -> pd.DataFrame:
        """The first table as a pandas data frame, made on demand."""
        import pandas as pd

        tables = self.tables()
        if not tables:
            return pd.DataFrame()
        first = tables[0]
        return pd.DataFrame(list(first.rows), columns=[c.name for c in first.columns])

    def __str__(self) -> str:
        return plain(self)

    def __repr__(self) -> str:
        return plain(self)


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {key: _masked(each) for key, each in value.items()}
    return [_masked(each) for each in value] if isinstance(value, list | tuple) else value


def jsonable(value: Any) -> Any:
    """Turn values of ours (dataclasses, tuples, enums, sets, times) into JSON values."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, dict):
        return {str(k): jsonable(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(v) for v in value]
    if isinstance(value, set | frozenset):
        return sorted(jsonable(v) for v in value)
    if isinstance(value, datetime):
        return value.isoformat()
    if hasattr(value, "as_dict"):
        return value.as_dict()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: jsonable(getattr(value, f.name)) for f in dataclasses.fields(value)}
    return str(value)


# -- values as text, the same for every face ---------------------------------------------------


def stable() -> bool:
    """True when text must not change from run to run (QB_STABLE=1, as the notebook tests set)."""
    return os.environ.get("QB_STABLE", "") not in ("", "0")


def format_value(value: Any, kind: Kind = "text") -> str:
    """Write one value as every face shows it."""
    if kind == "check":
        return (
            {True: "PASS", False: "FAIL", None: "-"}.get(value, value)
            if not isinstance(value, str)
            else value
        )
    if value is None:
        return "-"
    if kind == "seconds":
        return format_seconds(float(value))
    if kind == "bytes":
        return format_bytes(int(value))
    if kind == "count":
        return f"{int(value):,}"
    if kind == "rate":
        return "(varies)" if stable() else f"{float(value):,.0f}/s"
    if kind == "percent":
        return f"{float(value):.0f} %"
    if kind == "time":
        if stable():
            return "(time)"
        return value.strftime("%Y-%m-%d %H:%M:%S") if isinstance(value, datetime) else str(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(format_value(v) for v in value)
    return mask(str(value))


def format_seconds(seconds: float) -> str:
    """A duration with two or three significant digits; a bucket in stable mode."""
    if stable():
        for limit, text in ((1.0, "<1 s"), (60.0, "<1 min")):
            if seconds < limit:
                return text
        return ">1 min"
    return exact_seconds(seconds)


def exact_seconds(seconds: float) -> str:
    """A duration with two or three significant digits, in stable mode too (for pictures)."""
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 0.0995:
        return f"{seconds * 1e3:.1f} ms"
    if seconds < 1:
        return f"{seconds * 1e3:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min {int(seconds % 60):02d} s"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60):02d} min"


def format_bytes(count: int) -> str:
    """A size in binary units; stable mode says only that it varies."""
    if stable():
        return "(varies)" if count else "0 B"
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if abs(size) < 1024:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TB"


def plain(report: Report) -> str:
    """A report as plain text: deterministic, no colour, no terminal needed."""
    parts = [f"{'ok' if report.ok else 'NOT OK'}: {report.headline()}"]
    parts += [plain_table(table) for table in report.tables()]
    parts += [f"* {note}" for note in report.notes()]
    return mask("\n".join(parts))


def plain_table(table: Table) -> str:
    """A table as aligned plain text."""
    if not table.rows:
        return f"\n{table.title}\n  ({table.empty})"
    cells = [
        [format_value(value, column.kind).split("\n") for value, column in zip(row, table.columns)]
        for row in table.rows
    ]
    widths = [
        max(
            len(column.name),
            MIN_WIDTH.get(column.kind, 0),
            *(len(line) for row in cells for line in row[i]),
        )
        for i, column in enumerate(table.columns)
    ]

    def line(texts: Sequence[str]) -> str:
        padded = (
            text.rjust(width) if column.kind in RIGHT else text.ljust(width)
            for text, width, column in zip(texts, widths, table.columns)
        )
        return "  " + "  ".join(padded).rstrip()

    out = [
        f"\n{table.title}",
        line([c.name for c in table.columns]),
        line(["-" * width for width in widths]),
    ]
    for row in cells:
        height = max(len(cell) for cell in row)
        for i in range(height):
            out.append(line([cell[i] if i < len(cell) else "" for cell in row]))
    return "\n".join(out)
