"""what is done about an error of a batch: the table's answer, within the backfill's own strategy"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qb_engine.backfill.batches import failures
from qb_engine.backfill.batches.failures import Verdict
from qb_engine.report import format_seconds

if TYPE_CHECKING:
    from qb_engine.backfill.spec import Spec
    from qb_engine.migrations.declaration import Backfill

FIRST_S = 0.05
LONGEST_S = 5.0
ATTEMPTS = 30  # of one batch in one lane: some two minutes; then the activity starts over
TRIED = (Verdict.AGAIN, Verdict.FEWER, Verdict.LATER)  # what trying again may mend


@dataclass(frozen=True, slots=True)
class Strategy:
    """How errors are tried again: `first` and `longest` are waits in seconds, doubled between.

    Without `attempts` and `deadline` it goes on for as long as it takes; `classes` are tried.
    """

    attempts: int | None = None
    first: float = FIRST_S
    longest: float = LONGEST_S
    deadline: float | None = None
    classes: tuple[str, ...] = tuple(verdict.value for verdict in TRIED)

    @property
    def ends(self) -> bool:
        return self.attempts is not None or self.deadline is not None

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Strategy:
        """The strategy that a declaration's `retry` asks for."""
        return cls(
            **{**given, **({"classes": tuple(given["classes"])} if "classes" in given else {})}
        )


@dataclass(frozen=True, slots=True)
class Action:
    """What to do now, how many seconds to wait before it, and why it is given up, if it is."""

    verdict: Verdict
    wait_s: float = 0.0
    said: str = ""


class Recovery:
    """The answers to the errors of one batch after the other; a batch that succeeds starts anew.

    `tries` counts what was tried again, `failed` every failure of the batch.
    """

    def __init__(self, spec: Spec, code: Backfill | None = None) -> None:
        self.code = code
        self.tries = 0
        self.failed = 0
        self._since = 0.0
        self.tuned(spec)

    def tuned(self, spec: Spec) -> None:
        """Take over what was changed while it runs."""
        self.spec = spec
        self.strategy = Strategy.of(spec.options.retry)

    def decide(self, error: BaseException) -> Action | None:
        """What to do about an error; None when it is to be tried by a lane that starts over."""
        self.failed += 1
        verdict = failures.judge(error)
        if verdict not in TRIED:
            return Action(verdict)
        self.tries += 1
        self._since = self._since or time.monotonic()
        if self.spec.options.retry_calls:
            return self._called(error, verdict)
        plan, waited = self.strategy, time.monotonic() - self._since
        if verdict.value not in plan.classes:
            return Action(Verdict.STOP, said=f"retry leaves out the class {verdict.value}")
        if plan.attempts is not None and self.tries >= plan.attempts:
            return Action(Verdict.STOP, said=_after(self.tries, waited))
        if plan.deadline is not None and waited >= plan.deadline:
            return Action(Verdict.STOP, said=_after(self.tries, waited))
        if not plan.ends and self.tries > ATTEMPTS:
            return None
        wait = backoff(self.tries, plan.first, plan.longest)
        if plan.deadline is not None:
            wait = min(wait, plan.deadline - waited)
        return Action(verdict, wait)

    @property
    def limited(self) -> bool:
        """True when it may be given up, so that tries before a lane's start count."""
        return self.strategy.ends or self.spec.options.retry_calls

    def resumed(self, tries: int, failing_s: float) -> None:
        """The batch that is next was tried before, by a lane that ended."""
        self.tries = self.failed = tries
        self._since = time.monotonic() - failing_s if tries else 0.0

    def succeeded(self) -> None:
        self.tries, self.failed, self._since = 0, 0, 0.0

    def _called(self, error: BaseException, verdict: Verdict) -> Action:
        """Ask the method of the declaration."""
        if self.code is None:
            return Action(Verdict.STOP, said="its retry is a method, and this worker has no file")
        try:
            answer = self.code.retry(failures.raised(error), self.tries)
        except (Exception, SystemExit) as raised:  # noqa: BLE001 - the user's code
            return Action(Verdict.STOP, said=f"retry raised {type(raised).__name__}: {raised}")
        if answer is None:
            waited = time.monotonic() - self._since
            return Action(Verdict.STOP, said=f"retry gave it up, {_after(self.tries, waited)}")
        if isinstance(answer, bool) or not isinstance(answer, int | float):
            return Action(Verdict.STOP, said=f"retry returned {answer!r:.60}, not seconds or None")
        if not math.isfinite(answer) or answer < 0:
            return Action(Verdict.STOP, said=f"retry returned {answer!r}, which cannot be waited")
        return Action(verdict, float(answer))


def backoff(tries: int, first: float = FIRST_S, longest: float = LONGEST_S) -> float:
    """Seconds to wait before the next try, with jitter so that two do not meet again."""
    return float(min(longest, first * 2.0 ** min(tries, 60)) * random.uniform(0.5, 1.0))


def _after(tries: int, seconds: float) -> str:
    word = "try" if tries == 1 else "tries"
    return f"after {tries} {word} in {format_seconds(seconds)}"
