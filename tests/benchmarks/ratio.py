"""what a benchmark measures: one thing against another, in the same run"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Ratio:
    """How much of one thing another one takes, and what was aimed at.

    A ratio of two medians of one run, so that the machine's speed drops out.
    """

    name: str
    value: float
    target: float
    better: Literal["at least", "at most"]
    detail: str = ""

    @property
    def met(self) -> bool:
        """True when the target is reached."""
        if self.better == "at least":
            return self.value >= self.target
        return self.value <= self.target
