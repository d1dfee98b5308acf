"""the throttle of one lane: it waits before a batch where a signal says so, and sets its size"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import psycopg

from qb_engine.backfill import pace

if TYPE_CHECKING:
    from qb_engine.backfill.batch import Batch, Held
    from qb_engine.backfill.spec import Spec

Wait = Callable[[float], bool]


class Throttle:
    """How many keys the next batch takes, and when it may begin.

    `size` is in keys. `waited_ms`, `held_by` and `lag_s` tell of the wait before the last batch.
    """

    def __init__(self, spec: Spec, size: int = 0) -> None:
        self.spec = spec
        self.size = pace.bounded(size or pace.FIRST, spec.batch_limit)
        self.waited_ms = 0.0
        self.held_by = ""
        self.lag_s: float | None = None

    def tuned(self, spec: Spec) -> None:
        """Take over what was changed while it runs."""
        self.spec = spec
        self.size = pace.bounded(self.size, spec.batch_limit)

    def before(self, conn: psycopg.Connection[Any], held: Held, wait: Wait) -> bool:
        """Wait until a batch may begin; False when told to stop, or the ledger wants no more."""
        return wait(0)

    def after(self, batch: Batch) -> None:
        """Learn from a batch that was committed."""
        self.size = pace.next_size(
            self.size, batch.ms, largest=self.spec.batch_limit, seen=batch.seen
        )

    def fewer(self) -> None:
        """The batch took too long: try fewer rows."""
        self.size = pace.smaller(self.size)
