"""what the panel of a backfill knows: values that threads replace, never change"""

from __future__ import annotations

from dataclasses import dataclass

from qb_engine.backfill.reporting.measure import Progress
from qb_engine.errors import QbError


@dataclass(frozen=True)
class FillState:
    """Everything that the view is made of.

    `away` is why the server cannot be asked now, `heard` what Temporal adds to the ledger, `asks`
    whether a cancel waits for its confirmation, `closed` why it is followed no more.
    """

    progress: Progress
    target: str
    production: bool = False
    heard: tuple[str, ...] = ()
    doing: str = ""
    said: str = ""
    error: QbError | None = None
    away: str = ""
    asks: bool = False
    closed: str = ""
    typed: str = ""
    max_rate: str = ""
    lanes: str = ""

    @property
    def settled(self) -> bool:
        """True when nothing will change any more."""
        if self.progress.state == "completed":
            return self.progress.post_state not in ("waiting", "running")
        return self.progress.ended
