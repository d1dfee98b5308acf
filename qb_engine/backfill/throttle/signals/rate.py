"""the rows per second that a backfill may write"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from qb_engine.backfill.throttle.signal import Signal


@dataclass(frozen=True)
class Rate(Signal):
    """`max_rate`: rows per second of all lanes and workers together.

    A bucket in the ledger: every batch is paid for when it is written, and the lane waits until its
    share of the time is over. So the rate holds however many lanes there are and wherever they run.
    It has no options here: `max_rate` of the declaration, or `qb backfill tune --max-rate`.
    """

    name: ClassVar[str] = "rate"
    between: ClassVar[bool] = False


SIGNAL = Rate
