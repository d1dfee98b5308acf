"""what a migration must not ask of sessions that a pooler hands on"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from qb_engine.errors import RefusedError

if TYPE_CHECKING:
    from qb_engine.execution.blocks import Block, Step


def refuse_settings(arranged: Sequence[Block], kept: Iterable[Step] = ()) -> None:
    """Raise RefusedError for SET TRANSACTION, and for a SET that a later transaction needs.

    Within its own transaction a SET works, and is taken back before the commit.
    """
    for step in (step for block in arranged for step in block.steps):
        if step.statement.kind == "variable_set" and step.statement.refuses_savepoint:
            raise RefusedError(
                "the isolation of a transaction cannot be chosen here",
                where=f"{step.statement.source}, statement {step.number}: "
                f"{step.statement.first_line}",
                why="a pooler that changes sessions stands before this database: what qb asks at "
                "the start of a transaction, to know its session, comes before the statement",
                todo="connect to the server directly, past the pooler",
                code="pooled-connection",
            )
    earlier = [*kept, *(step for block in arranged[:-1] for step in block.steps)]
    for step in earlier:
        node = step.statement.node
        if step.statement.kind != "variable_set" or node.is_local:
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
