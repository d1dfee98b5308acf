"""hazards as tables and notes, the same for plan, lint and fix"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from qb_engine.commands._steps import short
from qb_engine.report import Column, Table

if TYPE_CHECKING:
    from qb_engine.analysis.facts import Examined
    from qb_engine.analysis.hazards import Finding


def findings_table(findings: Iterable[Finding], title: str = "what may go wrong") -> Table:
    """Hazards, a row each: the statement's number, how bad, what happens, what to do instead."""
    columns = (
        Column("#", "count"), Column("severity"), Column("hazard"), Column("what happens"),
        Column("instead"), Column("known"),
    )  # fmt: skip
    rows = [
        (f.number, _severity(f), f.hazard, f.message, f.accepted or f.fix, str(f.provenance))
        for f in findings
    ]
    return Table(title, columns, tuple(rows), empty="nothing: no hazard was found")


def counted(findings: Sequence[Finding]) -> str:
    """`2 errors, 1 warning`; empty when there is none that nobody accepted."""
    kinds = [str(f.severity) for f in findings if not f.accepted]
    words = []
    for kind in ("error", "warning", "notice"):
        if number := kinds.count(kind):
            words.append(f"{number} {kind}{'s' if number > 1 else ''}")
    return ", ".join(words)


def blocked_bars(examined: Iterable[Examined]) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Labels and seconds for a chart of how long each statement may keep others waiting."""
    shown = [
        (f"{each.number} {short(each.statement.sql, 34)}", each.facts.seconds[1])
        for each in examined
        if each.facts.seconds and each.facts.locks
    ]
    return tuple(label for label, _ in shown), tuple(seconds for _, seconds in shown)


def _severity(finding: Finding) -> str:
    return "accepted" if finding.accepted else str(finding.severity).upper()
