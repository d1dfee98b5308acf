"""what is done about an error of a batch: the table's answer, within the backfill's own strategy"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qb_engine.backfill import failures
from qb_engine.backfill.failures import Verdict

if TYPE_CHECKING:
    from qb_engine.backfill.spec import Spec
    from qb_engine.migrations.declaration import Backfill

FIRST_S = 0.05
LONGEST_S = 5.0
ATTEMPTS = 30  # of one batch on one connection: some two minutes; then the activity starts over


@dataclass(frozen=True, slots=True)
class Action:
    """What to do now, and how many seconds to wait before it."""

    verdict: Verdict
    wait_s: float = 0.0


class Recovery:
    """The answers to the errors of one batch after the other; a batch that succeeds starts anew."""

    def __init__(self, spec: Spec, code: Backfill | None = None) -> None:
        self.spec = spec
        self.code = code
        self.tries = 0
        self._since = 0.0

    def decide(self, error: BaseException) -> Action | None:
        """What to do about an error; None when it is not to be tried here any more."""
        self.tries += 1
        self._since = self._since or time.monotonic()
        verdict = failures.judge(error)
        if verdict in (Verdict.AGAIN, Verdict.FEWER):
            return None if self.tries > ATTEMPTS else Action(verdict, backoff(self.tries))
        return Action(verdict)

    def succeeded(self) -> None:
        self.tries, self._since = 0, 0.0


def backoff(tries: int, first: float = FIRST_S, longest: float = LONGEST_S) -> float:
    """Seconds to wait before the next try, with jitter so that two do not meet again."""
    return float(min(longest, first * 2.0**tries) * random.uniform(0.5, 1.0))
