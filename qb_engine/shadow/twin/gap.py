"""what a twin lacks of its target: a value that is shown"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that the twin does not have as the target has it, and why."""

    name: str
    why: str
