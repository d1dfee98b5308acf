"""how the statements of a file are put into transactions, by qb, by another runner, by itself"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from qb_engine.execution import Block, blocks
from qb_engine.execution.blocks import Step
from qb_engine.migrations import Part
from qb_engine.sql import Statement
from qb_engine.sql.script import transaction_word

REFUSED = "PostgreSQL does not allow it in a transaction block"


class Tx(StrEnum):
    """Who puts statements into transactions."""

    RUNNER = "runner"  # as qb would: one transaction, cut where a statement refuses it
    WRAPPED = "wrapped"  # another runner: one transaction around the whole file
    NONE = "none"  # nobody: each statement commits
    EXPLICIT = "explicit"  # the file itself, by BEGIN and COMMIT


@dataclass(frozen=True, slots=True)
class Arranged:
    """The blocks that are run to look at them, and the transaction each step would run in.

    `transactions` are by the step's number; None is outside any. `wrapped` names the statements
    that are put into a transaction although PostgreSQL refuses them there. `unended` is the number
    of the last statement of a transaction that the file never ends. `free` are those that are run
    outside a transaction if the server refuses them in one: nobody has put them there on purpose.
    """

    blocks: tuple[Block, ...]
    transactions: dict[int, int | None]
    wrapped: frozenset[int] = frozenset()
    unended: int | None = None
    free: frozenset[int] = frozenset()

    @property
    def keeps(self) -> bool:
        """True when it must be committed to be looked at: it is more than one transaction."""
        return len(self.blocks) > 1 or any(not block.transactional for block in self.blocks)

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps, in order."""
        return tuple(step for block in self.blocks for step in block.steps)


def arrange_parts(parts: Iterable[Part]) -> Arranged:
    """Put the statements of a migration into transactions as qb's runner does; pure."""
    found = blocks(parts)
    transactions = {
        step.number: block.number if block.transactional else None
        for block in found
        for step in block.steps
    }
    return Arranged(found, transactions, free=frozenset(transactions))


def arrange(statements: Sequence[Statement], tx: Tx, part: str = "") -> Arranged:
    """Put the statements of one file into transactions; BEGIN and COMMIT are no steps; pure."""
    number = transaction = 0
    open_ = tx in (Tx.RUNNER, Tx.WRAPPED)
    transactions: dict[int, int | None] = {}
    found: list[Block] = []
    together: list[Step] = []
    wrapped: set[int] = set()
    free: set[int] = set()

    def close() -> None:
        if together:
            found.append(Block(len(found) + 1, tuple(together), True))
            together.clear()

    transaction = 1
    for statement in statements:
        word = transaction_word(statement)
        if word:
            if tx is Tx.EXPLICIT and word != "savepoint":
                close()
                open_ = word == "begin"
                transaction += 1
            continue
        number += 1
        if tx is Tx.RUNNER or not open_:
            free.add(number)
        outside = statement.refuses_transaction
        step = Step(number, statement, part, outside)
        if outside:
            close()
            found.append(Block(len(found) + 1, (step,), False))
            if tx is Tx.RUNNER:
                transaction += 1
                transactions[number] = None
                transaction += 1
            elif open_:
                wrapped.add(number)
                transactions[number] = transaction
            else:
                transactions[number] = None
            continue
        if not open_:
            transaction += 1
        transactions[number] = transaction
        together.append(step)
        if not open_:
            close()
    close()
    unended = number if tx is Tx.EXPLICIT and open_ and number else None
    return Arranged(tuple(found), transactions, frozenset(wrapped), unended, frozenset(free))
