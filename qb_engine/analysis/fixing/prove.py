"""the proof of a fix: original and fixed end in the same schema, and the fixed one has no hazard"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import psycopg

from qb_engine.analysis.accept import accepted
from qb_engine.analysis.examination import examine
from qb_engine.analysis.fixing.ground import POLICY
from qb_engine.analysis.hazards import Finding, Severity, judge
from qb_engine.database.connect import lost, server_error
from qb_engine.execution import blocks
from qb_engine.migrations.filling import amounts_to
from qb_engine.schema import Snapshot, diff, snapshot
from qb_engine.sql import read_one

if TYPE_CHECKING:
    from qb_engine.analysis.facts import Examined
    from qb_engine.analysis.fixing.compose import Composed
    from qb_engine.analysis.fixing.ground import Ground
    from qb_engine.migrations import LoadedMigration, Part
    from qb_engine.migrations.declaration import Backfill
    from qb_engine.shadow import Shadow


@dataclass(frozen=True)
class Proof:
    """What was found when original and fixed ran on copies of the same shadow.

    `differs` is what the fixed one leaves otherwise, `explained` what it does on purpose, `before`
    and `after` the hazards of the two, `left` those after that stood there before, on statements
    that stay as they were. `back` says what is wrong with its way back. `error` is a step's.
    """

    differs: tuple[str, ...] = ()
    explained: tuple[str, ...] = ()
    before: tuple[Finding, ...] = ()
    after: tuple[Finding, ...] = ()
    left: tuple[Finding, ...] = ()
    back: str = ""
    error: str = ""

    @property
    def worse(self) -> tuple[Finding, ...]:
        """Hazards of the fixed one, at or above the worst of the original, that are new."""
        known = [f.severity.rank for f in self.before if not f.accepted]
        worst = max(known, default=Severity.WARNING.rank)
        return tuple(f for f in self.after if f.severity.rank >= worst and not f.accepted)

    @property
    def ok(self) -> bool:
        return not (self.error or self.differs or self.worse)

    @property
    def why(self) -> str:
        """What is wrong, in a sentence; empty when nothing is."""
        if self.error:
            return f"it fails on the shadow: {self.error}"
        if self.differs:
            return "the schema would be another one: " + "; ".join(self.differs[:3])
        if self.worse:
            found = self.worse[0]
            return f"a hazard would remain: {found.hazard}: {found.message}"
        return ""


@dataclass(frozen=True)
class Ran:
    """What a migration did on a shadow: its steps with their facts, and the schema afterwards."""

    examined: tuple[Examined, ...]
    after: Snapshot
    error: str = ""


def run(shadow: Shadow, ground: Ground, migration: LoadedMigration) -> Ran:
    """Run a whole migration on a shadow, its backfill as the one UPDATE that it amounts to."""
    found = list(_parts(shadow, migration.before_backfill()))
    error = next((e.facts.error for e in found if e.facts.error), "")
    if not error and migration.backfill is not None:
        error = _fill(shadow, migration.backfill)
    if not error:
        behind = _parts(shadow, migration.after_backfill())
        shift = max((e.number for e in found), default=0)
        found += [
            replace(
                each,
                number=each.number + shift,
                transaction=None if each.transaction is None else each.transaction + shift,
            )
            for each in behind
        ]
        error = next((e.facts.error for e in found if e.facts.error), "")
    conn = shadow.connect()
    try:
        return Ran(_sized(found, ground), snapshot(conn), error)
    finally:
        conn.close()


def _parts(shadow: Shadow, parts: Sequence[Part]) -> tuple[Examined, ...]:
    arranged = blocks(parts)
    return examine(shadow, arranged, POLICY) if arranged else ()


def _fill(shadow: Shadow, backfill: Backfill) -> str:
    """Run a backfill as one statement; what the server said against it, empty when nothing."""
    conn = shadow.connect()
    try:
        conn.execute(amounts_to(backfill).encode())
        return ""
    except psycopg.Error as error:
        if lost(error):
            raise server_error("running the backfill on the shadow", error) from error
        return f"the backfill: {error.diag.message_primary or error}"
    finally:
        conn.close()


def _sized(found: Sequence[Examined], ground: Ground) -> tuple[Examined, ...]:
    names: set[str] = set()
    for each in found:
        names |= {lock.relation for lock in each.facts.locks}
        names |= {w.relation for w in each.facts.work} | set(each.facts.changes.kinds)
    figures = ground.figures(names) if names else {}
    return tuple(replace(e, facts=replace(e.facts, figures=figures)) for e in found)


def judged(ground: Ground, ran: Ran, migration: LoadedMigration) -> tuple[Finding, ...]:
    """The hazards of a migration as it stands; those that its comments accept are accepted."""
    found = judge(ran.examined, ground.circumstances)
    files = {f.file for f in found}
    said = accepted(found, dict.fromkeys(files, migration.text)) if found else ()
    known = {(f.hazard, f.number, f.relation): f.accepted for f in said}
    return tuple(
        replace(f, accepted=known.get((f.hazard, f.number, f.relation), "")) for f in found
    )


def prove(
    ground: Ground,
    before: tuple[Finding, ...],
    original: Ran,
    fixed: LoadedMigration,
    composed: Composed,
) -> Proof:
    """Run the fixed migration on a copy, up, down and up again, and compare with the original."""
    with ground.copy() as shadow:
        conn = shadow.connect()
        try:
            start = snapshot(conn)
        finally:
            conn.close()
        ran = run(shadow, ground, fixed)
        if ran.error:
            return Proof(error=ran.error)
        differs, explained = compare(original.after, ran.after, composed)
        found = _accepted(judge(ran.examined, ground.circumstances), composed)
        stayed = {read_one(sql).sql for sql in composed.kept}
        old = {(f.hazard, f.relation) for f in before}
        left = tuple(f for f in found if f.statement in stayed and (f.hazard, f.relation) in old)
        after = tuple(f for f in found if f not in left)
        back = "" if fixed.irreversible else _back(shadow, ground, fixed, start)
    return Proof(differs, explained, before, after, left, back)


def _accepted(found: Sequence[Finding], composed: Composed) -> tuple[Finding, ...]:
    reasons = composed.accepts
    return tuple(
        replace(f, accepted=reasons.get((f.statement, f.hazard), f.accepted)) for f in found
    )


def compare(
    wanted: Snapshot, found: Snapshot, composed: Composed
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What is otherwise, and what of it is meant to be."""
    differs: list[str] = []
    explained: list[str] = []
    for each in diff(wanted, found):
        said = composed.adds.get(each.id.sub or each.id.name)
        if each.id.kind in ("table", "view", "matview") and _only_order(each.expected, each.found):
            why = "; ".join(composed.moves) or "the safe way adds columns later"
            explained.append(f"{each.id}: its columns stand in another order: {why}")
        elif said is not None:
            explained.append(f"{each.sentence()}: {said}")
        else:
            differs.append(each.sentence())
    for name in sorted(set(wanted.unmodelled) ^ set(found.unmodelled)):
        differs.append(f"{name} is not in both")
    return tuple(differs), tuple(explained)


def _only_order(one: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> bool:
    if one is None or other is None or "columns" not in one or "columns" not in other:
        return False
    return {**one, "columns": sorted(one["columns"])} == {
        **other, "columns": sorted(other["columns"]),
    }  # fmt: skip


def _back(shadow: Shadow, ground: Ground, fixed: LoadedMigration, start: Snapshot) -> str:
    """Take it down and up again; what is then otherwise, empty when nothing."""
    found = examine(shadow, blocks(fixed.parts, down=True), POLICY)
    if error := next((e.facts.error for e in found if e.facts.error), ""):
        return f"its way back fails: {error}"
    conn = shadow.connect()
    try:
        back = snapshot(conn)
    finally:
        conn.close()
    for each in diff(start, back):
        if not (each.id.kind == "table" and _only_order(each.expected, each.found)):
            return f"its way back leaves a difference: {each.sentence()}"
    again = run(shadow, ground, fixed)
    return f"it fails the second time, after its way back: {again.error}" if again.error else ""
