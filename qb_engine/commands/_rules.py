"""what was found of rules, as a table and as JSON, the same for every command that asks them"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from qb_engine.project import Project, seconds
from qb_engine.report import Column, Table

if TYPE_CHECKING:
    from qb_engine.constraints.rules import Limits, Outcome

_STAMPED = re.compile(r"\d{8,14}[_-][^/]*(?:/[^/]*)?$")


def rules_table(outcomes: Iterable[Outcome], title: str = "rules") -> Table:
    """Each rule: what, of which migration, expected, found; one that was not asked says why."""
    columns = (
        Column("rule"), Column("migration"), Column("expected"), Column("found"),
        Column("result", "check"),
    )  # fmt: skip
    rows = tuple(
        (o.rule.what, _place(o), o.expected, o.found, None if o.verdict is None else o.ok)
        for o in outcomes
    )
    return Table(title, columns, rows, empty="none are declared")


def rules_as_dicts(outcomes: Iterable[Outcome]) -> list[dict[str, Any]]:
    """The same as JSON values; `ok` is null for a rule that was not asked."""
    return [
        {
            "rule": o.rule.what,
            "place": str(o.rule.source),
            "expected": o.expected,
            "found": o.found,
            "ok": None if o.verdict is None else o.ok,
        }
        for o in outcomes
    ]


def limits(project: Project) -> Limits:
    """How long a rule may wait and take, by qb.toml."""
    from qb_engine.constraints.rules import Limits

    timeouts = project.config.timeouts
    return Limits(seconds(timeouts.lock), seconds(timeouts.statement))


def _place(outcome: Outcome) -> str:
    """The migration, its part where it is a folder, and the line."""
    whole = str(outcome.rule.source)
    found = _STAMPED.search(whole)
    return found[0] if found else whole.rpartition("/")[2]
