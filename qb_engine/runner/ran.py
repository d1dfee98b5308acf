"""what the run of one migration came to"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qb_engine.analysis.verify import Verified
    from qb_engine.execution import Observation
    from qb_engine.execution.sample import Sample


@dataclass(frozen=True, slots=True)
class Ran:
    """One migration's run: how it ended and what was observed.

    `status` is `applied`, `expanded` (its backfill comes next), `contracted` (what comes after it
    ran), `rolled back` (a run down) or `not met` (its constraints; nothing was run). `samples` are
    the looks from outside, on the clock of the observations.
    """

    migration: str
    status: str
    seconds: float
    seen: tuple[Observation, ...] = ()
    verified: Verified | None = None
    note: str = ""
    samples: tuple[Sample, ...] = ()
