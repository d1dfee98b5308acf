"""Reading the system catalogs: one file per group of kinds, each a few queries and their facts.

`STAGES` is the order: a group may rely on what the ones before it have collected.
"""

from __future__ import annotations

from qb_engine.schema.catalog import (
    comments,
    constraints,
    functions,
    indexes,
    relations,
    rules,
    schemas,
    sequences,
    sweep,
    types,
)
from qb_engine.schema.catalog.collector import Collector, Group
from qb_engine.schema.catalog.relations import HEADS, columns, settled
from qb_engine.schema.catalog.sweep import PRESENCE, RARE

# Sent one stage ahead, so that the server works on one while the rows of another become facts.
# Between the first two come the columns.
STAGES: tuple[tuple[Group, ...], ...] = (
    (indexes.WORDS, *schemas.GROUPS, *relations.GROUPS),  # the words, before anything is quoted
    (*types.GROUPS, *sequences.GROUPS, *constraints.GROUPS),
    indexes.GROUPS,
    (*functions.GROUPS, *rules.GROUPS, *sweep.GROUPS),
)
SETTLED_AFTER = STAGES[1]  # what `settled` writes, no stage after this one changes
LAST: tuple[Group, ...] = comments.GROUPS  # on objects of whatever kind

__all__ = [
    "HEADS",
    "LAST",
    "PRESENCE",
    "RARE",
    "SETTLED_AFTER",
    "STAGES",
    "Collector",
    "Group",
    "columns",
    "settled",
]
