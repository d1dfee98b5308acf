"""the one driver: walks a migration once, with what its transactions hold, and asks each hazard"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from qb_engine.analysis.facts import Examined
from qb_engine.analysis.hazards.hazard import Circumstances, Finding, Situation
from qb_engine.execution.observation import strength


def judge(
    examined: Sequence[Examined],
    circumstances: Circumstances | None = None,
    broken: Sequence[Finding] = (),
) -> tuple[Finding, ...]:
    """What may go wrong, statement by statement in their order, worst first within each.

    `broken` is what rows of the target were found to break: it comes first, and takes the place of
    what the shadow could only guess of the same.
    """
    from qb_engine.analysis.hazards import all_hazards

    found: list[Finding] = []
    for at in situations(examined, circumstances or Circumstances()):
        here = [finding for _, find in all_hazards() for finding in find(at)]
        found += sorted(dict.fromkeys(here), key=lambda f: (-f.severity.rank, f.hazard, f.relation))
    asked = {(each.number, each.hazard) for each in broken}
    return (*broken, *(each for each in found if (each.number, each.hazard) not in asked))


def situations(examined: Sequence[Examined], circumstances: Circumstances) -> Iterator[Situation]:
    """Each statement with the locks that are held, and the tables that are made, before it."""
    held: dict[str, str] = {}
    first_of: dict[str, int] = {}
    made: set[str] = set()
    parents = {
        partition: parent
        for step in examined
        for partition, parent in step.facts.changes.parents.items()
    }
    transaction: int | None = None
    for number, step in enumerate(examined):
        if step.transaction is None or step.transaction != transaction:
            held, first_of = {}, {}
        transaction = step.transaction
        alone = bool(step.facts.refuses_transaction)  # it does not run with what is held
        yield Situation(
            step,
            circumstances,
            {} if alone else dict(held),
            {} if alone else dict(first_of),
            tuple(examined[:number]),
            tuple(examined[number + 1 :]),
            frozenset(made),
            parents,
        )
        changes = step.facts.changes
        made |= set(changes.created) | changes.new
        for change in changes.renamed:
            if change.before in made:
                made.add(change.after)
        made -= set(changes.dropped)
        for relation, mode in _taken(step):
            if strength(mode) > strength(held.get(relation, "")):
                held[relation] = mode
                first_of[relation] = step.number


def _taken(step: Examined) -> Iterable[tuple[str, str]]:
    return ((lock.relation, lock.mode) for lock in step.facts.locks)
