"""reports made up for tests: every kind of column, chart and word"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar

from qb_engine.report import (
    Bars,
    Chart,
    Column,
    Line,
    Node,
    Report,
    Span,
    Table,
    Timeline,
    Tree,
)

NASTY = '<script>alert("x")</script> & \'quoted\' $a^b$ naïve"quote'


@dataclass(frozen=True)
class Sample(Report):
    """A report that shows what it was given."""

    name: ClassVar[str] = "sample"
    text: str = "all is well"
    good: bool = True
    pictures: tuple[Chart, ...] = ()

    @property
    def ok(self) -> bool:
        return self.good

    def headline(self) -> str:
        return self.text

    def tables(self) -> Sequence[Table]:
        columns = (
            Column("what"), Column("sql", "code"), Column("met", "check"), Column("rows", "count"),
            Column("size", "bytes"), Column("time", "seconds"), Column("at", "time"),
        )  # fmt: skip
        at = datetime(2024, 3, 15, 10, 30, tzinfo=UTC)
        return (
            Table(
                "checks",
                columns,
                (
                    (self.text, "SELECT 1 < 2", True, 200_000, 4096, 0.25, at),
                    ("two\nlines", None, False, None, None, None, None),
                    ("odd", "x", "WARN", 0, 0, 0.0, None),
                ),
            ),
            Table("nothing", columns, (), empty="none are declared"),
        )

    def notes(self) -> Sequence[str]:
        return (f"note: {self.text}",)

    def charts(self) -> Sequence[Chart]:
        return self.pictures


EVERY_CHART: tuple[Chart, ...] = (
    Bars("time per statement", ("1 ALTER TABLE users ...", NASTY), (0.001, 1.25)),
    Timeline(
        "locks held",
        (
            Span("public.users", 0.0, 1.0, "ACCESS EXCLUSIVE", 8),
            Span("public.users", 0.5, 1.0, "SHARE", 5),
            Span("public.orders", 0.9, 1.0, NASTY, 3),
        ),
    ),
    Tree("plan", Node("Update on users", "cost 4000", 4000, (Node("Seq Scan", "", 3000),))),
    Line("backfill", (0.0, 1.0, 2.0), (0.0, 50_000.0, 90_000.0), y_label="rows"),
)
EMPTY_CHARTS: tuple[Chart, ...] = (
    Bars("no bars", (), ()),
    Timeline("no spans", ()),
    Tree("a leaf", Node("Result")),
    Line("no line", (), ()),
)
