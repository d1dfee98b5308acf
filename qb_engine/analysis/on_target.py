"""what was seen on a shadow, joined with what the target says, and with what the shadow lacks"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from qb_engine.analysis.facts import Examined, Figures, Provenance
from qb_engine.analysis.figures import expected_rows, figures

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.shadow import Lacking

# what the target does not have yet was made by a migration before this one
NOT_THERE = Figures(rows=0, bytes=0, table_bytes=0, writes=0.0, reads=0.0)


def relations_of(examined: Iterable[Examined]) -> frozenset[str]:
    """Every relation that steps lock, work on or change, as it was before the migration."""
    found: set[str] = set()
    for each in examined:
        facts = each.facts
        found |= {lock.relation for lock in facts.locks}
        found |= {work.relation for work in facts.work}
        found |= {work.index for work in facts.work if work.index}
        found |= facts.changes.kinds.keys() - set(facts.changes.created) - facts.changes.new
        found |= {change.before for change in facts.changes.renamed}
    return frozenset(found)


def joined(conn: Connection, examined: Iterable[Examined]) -> tuple[Examined, ...]:
    """Steps with the target's figures of all that they touch, and the rows that DML would change.

    The target is only read. What it does not have counts as empty there.
    """
    steps = tuple(examined)
    names = relations_of(steps)
    known: dict[str, Figures] = dict.fromkeys(names, NOT_THERE)
    known.update(figures(conn, names))
    rows = expected_rows(conn, [(each.number, each.statement) for each in steps])
    return tuple(_with(each, known, rows) for each in steps)


def _with(step: Examined, known: Mapping[str, Figures], rows: Mapping[int, float]) -> Examined:
    own = {name: known[name] for name in relations_of([step]) if name in known}
    facts = replace(step.facts, figures=own, rows=rows.get(step.number, step.facts.rows))
    return replace(step, facts=facts)


def doubted(step: Examined, doubts: Sequence[Lacking]) -> Examined:
    """The step; its facts are less certain where it touches what the shadow stands in for."""
    touched = relations_of([step])
    lacking = tuple(each.name for each in doubts if touched.intersection(each.objects))
    if not lacking:
        return step
    return replace(step, facts=replace(step.facts, lacking=lacking, provenance=Provenance.STATIC))
