"""a backfill's report that may go on showing how far it is, where the face can do that"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from qb_engine.backfill.reporting.report import BackfillReport

if TYPE_CHECKING:
    from qb_engine.database import Target


@dataclass(frozen=True)
class LiveReport(BackfillReport):
    """The report of a backfill that is under way.

    `on` is the target itself, for what goes on working on it; it may hold a password.
    """

    target: str = ""
    on: Target | None = field(default=None, repr=False, compare=False)


def live(report: BackfillReport, target: Target) -> BackfillReport:
    """The same report with where it is from, while there is something to follow."""
    if not report.progress.moving and report.progress.state != "paused":
        return report
    facts: dict[str, Any] = {each.name: getattr(report, each.name) for each in fields(report)}
    return LiveReport(**facts, target=target.name, on=target)
