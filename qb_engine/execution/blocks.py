"""statements to steps, and steps to the transactions they run in; pure"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from qb_engine.migrations import Part
from qb_engine.sql import Statement

MAY_COMMIT = ("call", "do")  # their bodies may send COMMIT themselves


@dataclass(frozen=True, slots=True)
class Step:
    """One statement of a plan, with its number (from 1) and the file part it belongs to."""

    number: int
    statement: Statement
    part: str
    outside: str = ""  # why it runs outside a transaction; empty when it runs in one


@dataclass(frozen=True, slots=True)
class Block:
    """Steps that run together: in one transaction, or one step outside any."""

    number: int
    steps: tuple[Step, ...]
    transactional: bool

    @property
    def savepoints(self) -> bool:
        """False when a savepoint would change what a statement of the block does."""
        return not any(step.statement.refuses_savepoint for step in self.steps)


def blocks(
    parts: Iterable[Part], *, down: bool = False, refused: frozenset[int] = frozenset()
) -> tuple[Block, ...]:
    """Arrange the statements of parts into blocks, in order.

    A part is one transaction; a statement that refuses one is cut out and runs between. `refused`
    holds the numbers of steps that the server itself was seen to refuse in a transaction.
    """
    found: list[Block] = []
    number = 0
    parts = list(parts)
    for part in reversed(parts) if down else parts:
        together: list[Step] = []
        for statement in part.down if down else part.up:
            number += 1
            outside = statement.refuses_transaction
            alone = not part.in_transaction(down=down)
            if alone and statement.kind in MAY_COMMIT:
                outside = outside or "the migration says transaction = False"
            if number in refused:
                outside = outside or "the server refused it in a transaction"
            step = Step(number, statement, part.file, outside)
            if not outside and not alone:
                together.append(step)
                continue
            if together:
                found.append(Block(len(found) + 1, tuple(together), True))
                together = []
            # alone, but recorded in its own transaction where it can be
            found.append(Block(len(found) + 1, (step,), not outside))
        if together:
            found.append(Block(len(found) + 1, tuple(together), True))
    return tuple(found)


def without_effect(arranged: Iterable[Block]) -> tuple[Step, ...]:
    """The SET LOCAL statements with which nothing else shares a transaction."""
    return tuple(
        step for block in arranged if all(map(_is_local, block.steps)) for step in block.steps
    )


def _is_local(step: Step) -> bool:
    statement = step.statement
    return statement.kind == "variable_set" and bool(statement.node.is_local)


def steps_where(arranged: Iterable[Block], wanted: Callable[[Step], bool]) -> tuple[Block, ...]:
    """The blocks with only the steps that are wanted; empty blocks are left out."""
    found = []
    for block in arranged:
        if steps := tuple(step for step in block.steps if wanted(step)):
            found.append(replace(block, steps=steps))
    return tuple(found)
