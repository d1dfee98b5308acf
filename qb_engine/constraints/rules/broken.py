"""a rule that is not met stops the migration"""

from __future__ import annotations

from collections.abc import Sequence

from qb_engine.constraints.rules.rule import Outcome
from qb_engine.errors import RefusedError


class RuleBroken(RefusedError):
    """Rules of a migration are not met. `outcomes` are those that are not."""

    default_code = "rule-broken"

    def __init__(self, migration: str, outcomes: Sequence[Outcome], *, kept: str = "") -> None:
        self.migration = migration
        self.outcomes = tuple(outcome for outcome in outcomes if not outcome.ok)
        first, *others = self.outcomes
        why = _told(first)
        for outcome in others:
            why += [f"not met either: {_name(outcome)} ({outcome.rule.source})", *_told(outcome)]
        why.append(kept or f"rolled back: nothing of {migration} was kept")
        fix = first.verdict.fix if first.verdict else ""
        super().__init__(
            f"{migration} breaks a rule of its own: {_name(first)}",
            where=str(first.rule.source),
            why="\n".join(why),
            todo=f"{fix or 'mend the data, the migration or the rule'}; then: qb run",
        )


def insist(outcomes: Sequence[Outcome], migration: str, *, kept: str = "") -> None:
    """Raise RuleBroken when a rule is not met.

    Raise it within the transaction, so that it is rolled back; `kept` is a sentence that says what
    stays where that is not possible.
    """
    if any(not outcome.ok for outcome in outcomes):
        raise RuleBroken(migration, outcomes, kept=kept)


NOT_ROLLED_BACK = (
    "nothing was rolled back: the statements ran outside one transaction, and their changes stay"
)


def _name(outcome: Outcome) -> str:
    return outcome.rule.what


def _told(outcome: Outcome) -> list[str]:
    found = outcome.found.split("\n")
    return [f"expected: {outcome.expected}", f"found: {found[0]}", *(f"  {r}" for r in found[1:])]
