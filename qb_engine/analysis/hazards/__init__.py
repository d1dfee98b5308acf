"""What may go wrong, judged from facts: one file per hazard.

Each file holds a record `HAZARD` and a pure function `find(at) -> findings` over one statement in
its situation. A new hazard is a new file; it is found here. `judge` walks a migration once.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterable
from functools import lru_cache
from importlib import import_module

from qb_engine.analysis.hazards.hazard import (
    Circumstances,
    Finding,
    Hazard,
    Severity,
    Situation,
)

__all__ = [
    "Circumstances",
    "Finding",
    "Hazard",
    "Severity",
    "Situation",
    "all_hazards",
    "hazard",
    "judge",
]

Find = Callable[[Situation], Iterable[Finding]]


@lru_cache(maxsize=1)
def all_hazards() -> tuple[tuple[Hazard, Find], ...]:
    """Every hazard there is with its function, by id."""
    found = []
    for module in pkgutil.iter_modules(__path__):
        content = import_module(f"{__name__}.{module.name}")
        if hasattr(content, "HAZARD"):
            found.append((content.HAZARD, content.find))
    return tuple(sorted(found, key=lambda each: each[0].id))


def hazard(id: str) -> Hazard | None:
    """The record of a hazard by its id; None when there is none."""
    return next((record for record, _ in all_hazards() if record.id == id), None)


from qb_engine.analysis.hazards.judge import judge  # noqa: E402 - it asks for all of them
