"""the hazards of a file of SQL, looked at on a shadow"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from qb_engine.analysis.arrange import Arranged, Tx, arrange
from qb_engine.analysis.examine import examine
from qb_engine.analysis.facts import Examined
from qb_engine.analysis.hazards import Circumstances, Finding, judge
from qb_engine.execution.stage import Policy
from qb_engine.sql import Source, SqlError
from qb_engine.sql.script import read_script, transaction_word

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qb_engine.shadow import Shadow
    from qb_engine.sql import Statement

STATEMENT_S = 30.0  # on an empty shadow nothing honest takes longer
POLICY = Policy(
    lock_timeout=10.0,
    statement_timeout=STATEMENT_S,
    debug=True,
    stepped=True,
    going_on=True,
)


@dataclass(frozen=True)
class Linted:
    """A file with what its statements do and what may go wrong; `problems` do not parse."""

    file: str
    examined: tuple[Examined, ...]
    findings: tuple[Finding, ...]
    problems: tuple[SqlError, ...] = ()


def lint_text(
    shadow: Shadow,
    text: str,
    *,
    file: str = "",
    tx: Tx | None = None,
    circumstances: Circumstances | None = None,
) -> Linted:
    """Look at the statements of a text on a shadow of their own, where they are committed.

    Without `tx` they are arranged as qb's runner would, or as the text says by BEGIN and COMMIT.
    """
    script = read_script(text, Source(file))
    own = any(transaction_word(s) == "begin" for s in script.statements)
    tx = tx or (Tx.EXPLICIT if own else Tx.RUNNER)
    return _linted(
        shadow, file, script.statements, tuple(script.problems.values()), tx, circumstances
    )


def _linted(
    shadow: Shadow,
    file: str,
    statements: Sequence[Statement],
    problems: tuple[SqlError, ...],
    tx: Tx,
    circumstances: Circumstances | None,
) -> Linted:
    arranged = arrange(statements, tx, file)
    examined = placed(examine(shadow, arranged.blocks, POLICY), arranged)
    known = replace(
        circumstances or Circumstances(), wrapped=bool(arranged.wrapped), unended=arranged.unended
    )
    return Linted(file, examined, judge(examined, known), problems)


def placed(examined: tuple[Examined, ...], arranged: Arranged) -> tuple[Examined, ...]:
    """The steps in the transactions that they would run in, not those they were looked at in."""
    return tuple(replace(each, transaction=arranged.transactions[each.number]) for each in examined)
