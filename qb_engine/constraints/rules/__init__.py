"""What a migration expects beyond the schema: rules on its data, its cost, and the user's own.

A kind of rule is one file with a `KIND`; it is found here by being here. Rules are declared in
`expect`, made by `rules_of`, and asked `before` and `after` in the migration's own transaction.
"""

from __future__ import annotations

from qb_engine.constraints.rules.broken import NOT_ROLLED_BACK, RuleBroken, insist
from qb_engine.constraints.rules.declared import kinds, rules_of
from qb_engine.constraints.rules.moments import Memo, after, asked, before, later
from qb_engine.constraints.rules.reading import Limits, Reader
from qb_engine.constraints.rules.rule import DeclaredRule, Observed, Outcome, Rule, Verdict

__all__ = [
    "NOT_ROLLED_BACK",
    "DeclaredRule",
    "Limits",
    "Memo",
    "Observed",
    "Outcome",
    "Reader",
    "Rule",
    "RuleBroken",
    "Verdict",
    "after",
    "asked",
    "before",
    "insist",
    "kinds",
    "later",
    "rules_of",
]
