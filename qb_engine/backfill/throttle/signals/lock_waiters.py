"""nobody waits long for rows that a batch holds"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from qb_engine.backfill.throttle.signal import Signal, duration, option, optional


@dataclass(frozen=True)
class LockWaiters(Signal):
    """Sessions that wait behind a batch of ours, by pg_blocking_pids, looked for while it runs.

    Between batches nothing is locked, so it is not read there: one connection of the worker looks
    while a batch runs longer than `slow`. When somebody has waited longer than `slow`, the next
    batches are half as large and grow slowly; longer than `cancel`, and the batch is cancelled, to
    be tried again with fewer rows. A batch of one row is not cancelled.
    """

    name: ClassVar[str] = "lock_waiters"
    between: ClassVar[bool] = False

    slow: float | None = option(0.1, optional(duration), "seconds of waiting: smaller batches")
    cancel: float | None = option(2.0, optional(duration), "seconds of waiting: cancel the batch")


SIGNAL = LockWaiters
