"""do the rules of the applied migrations hold on the data that is there now?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from qb_engine import ledger
from qb_engine.constraints.rules import Limits, later, rules_of
from qb_engine.project import seconds

if TYPE_CHECKING:
    from qb_engine.constraints.rules import DeclaredRule, Outcome
    from qb_engine.execution.place import Place
    from qb_engine.ledger import Standing


@dataclass(frozen=True, slots=True)
class DataValidation:
    """What was found of each rule, in the order of the migrations, and whose were left out."""

    outcomes: tuple[Outcome, ...]
    left_out: tuple[str, ...] = ()

    @property
    def broken(self) -> tuple[Outcome, ...]:
        return tuple(outcome for outcome in self.outcomes if not outcome.ok)


def validate_data(place: Place) -> DataValidation:
    """Ask the rules of every applied migration again, as far as they speak of later, too.

    Each has a read-only transaction of its own under the timeouts of qb.toml. Of a migration that
    waits for its backfill, only the parts that ran are asked.
    """
    timeouts = place.project.config.timeouts
    limits = Limits(seconds(timeouts.lock), seconds(timeouts.statement))
    with place.connected("qb validate") as conn:
        known = ledger.standing(conn) if ledger.exists(conn) else {}
        rules, left_out = _rules(place, known)
        return DataValidation(later(conn, rules, limits), left_out)


def _rules(
    place: Place, known: dict[str, Standing]
) -> tuple[tuple[DeclaredRule, ...], tuple[str, ...]]:
    found: list[DeclaredRule] = []
    left_out: list[str] = []
    ids = [entry.id for entry in place.migrations.entries]
    for id in ids:
        standing = known.get(id)
        if standing is None or standing.status == "rolled back":
            continue
        if standing.status.startswith("partial"):
            left_out.append(f"{id} is half applied: its rules are asked once it is whole")
            continue
        migration = place.migrations.get(id)
        waits = standing.status == "expanded"
        parts = migration.before_backfill() if waits else migration.parts
        found += rules_of(migration, place.project.root, parts)
    left_out += [
        f"{id} is applied, and its file is gone: its rules are not known"
        for id, standing in known.items()
        if id not in ids and standing.status != "rolled back"
    ]
    return tuple(found), tuple(left_out)
