"""what a panel knows: values that threads replace, never change"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from qb_engine.commands.panel import PanelMigration, PanelReport
from qb_engine.errors import QbError


@dataclass(frozen=True)
class Result:
    """What one action came to, as HTML that was made when it ended."""

    kind: str
    label: str
    ok: bool
    headline: str
    html: str


@dataclass(frozen=True)
class PanelState:
    """Everything that the view of a panel is made of.

    `doing` is the action that runs, `since` when it began (monotonic seconds); `fills` holds the
    last known progress per migration; `typed` the alias that production asks for; `asks` the action
    that waits for a yes.
    """

    report: PanelReport
    place: str = ""
    chosen: str = ""
    doing: str = ""
    since: float = 0.0
    said: str = ""
    error: QbError | None = None
    results: Mapping[str, tuple[Result, ...]] = field(default_factory=dict)
    fills: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    typed: str = ""
    asks: str = ""
    name: str = ""
    sql: str = ""
    python: str = ""

    @property
    def focus(self) -> PanelMigration | None:
        return next((m for m in self.report.migrations if m.id == self.chosen), None)

    @property
    def moving(self) -> bool:
        """True while something changes by itself: an action, or a backfill of the chosen one."""
        return bool(self.doing) or (self.focus is not None and self.focus.moving)

    def with_report(self, report: PanelReport) -> PanelState:
        """The same panel after a look at the target; the choice stays where it can.

        What is asked is asked of the chosen one, and of no other.
        """
        ids = [m.id for m in report.migrations]
        chosen = self.chosen if self.chosen in ids else report.chosen
        asks = self.asks if chosen == self.chosen else ""
        return replace(self, report=report, chosen=chosen, asks=asks)

    def with_result(self, migration: str, result: Result) -> PanelState:
        """The same panel with a new result on top; one per kind is kept."""
        kept = [r for r in self.results.get(migration, ()) if r.kind != result.kind]
        return replace(self, results={**self.results, migration: (result, *kept)})
