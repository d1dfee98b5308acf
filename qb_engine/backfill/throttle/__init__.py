"""how fast a backfill goes: the size of a batch, and the signals that say go, slow or stop"""

from __future__ import annotations

from qb_engine.backfill.throttle.signal import Reading, Signal
from qb_engine.backfill.throttle.throttle import Throttle

__all__ = ["Reading", "Signal", "Throttle"]
