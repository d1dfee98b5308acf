"""what a migration must not ask of sessions that a pooler hands on"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from qb_engine.errors import RefusedError

if TYPE_CHECKING:
    from qb_engine.execution.blocks import Block, Step


def refuse_settings(arranged: Sequence[Block], kept: Iterable[Step] = ()) -> None:
    """Raise RefusedError when a SET is meant for statements of a later transaction.

    Within its own transaction a SET works, and is taken back before the commit.
    """
    earlier = [*kept, *(step for block in arranged[:-1] for step in block.steps)]
    for step in earlier:
        node = step.statement.node
        if step.statement.kind != "variable_set" or node.is_local:
            continue
        if step.statement.refuses_savepoint:  # SET TRANSACTION, which ends with it
            continue
        raise RefusedError(
            "a setting cannot last longer than a transaction here",
            where=f"{step.statement.source}, statement {step.number}: {step.statement.first_line}",
            why="a pooler that changes sessions stands before this database, and the migration has "
            "several transactions: the next one would not know of it, but somebody else might",
            todo="name what is meant with its schema, write SET LOCAL where it is needed, "
            "or connect to the server directly, past the pooler",
            code="pooled-connection",
        )
