"""What goes wrong with TypeORM's migrations: one file per trap.

Each file holds a record `TRAP` and a pure function `find(project) -> findings` over what files,
data source and history say. A new trap is a new file; it is found here.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterable
from functools import lru_cache
from importlib import import_module

from qb_engine.typeorm.traps.project import File, HistoryTable, Migration, Options, Project, Row
from qb_engine.typeorm.traps.trap import Example, Finding, Severity, Trap

__all__ = [
    "Example",
    "File",
    "Finding",
    "HistoryTable",
    "Migration",
    "Options",
    "Project",
    "Row",
    "Severity",
    "Trap",
    "all_traps",
    "judge",
]

Find = Callable[[Project], Iterable[Finding]]


@lru_cache(maxsize=1)
def all_traps() -> tuple[tuple[Trap, Find], ...]:
    """Every trap there is with its function, by id."""
    found = []
    for module in pkgutil.iter_modules(__path__):
        content = import_module(f"{__name__}.{module.name}")
        if hasattr(content, "TRAP"):
            found.append((content.TRAP, content.find))
    return tuple(sorted(found, key=lambda each: each[0].id))


from qb_engine.typeorm.traps.judge import judge  # noqa: E402 - it asks for all of them
