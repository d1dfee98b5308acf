"""from a migration to its safe form, with the proof"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from qb_engine.analysis.fixing.compose import Answer, Composed, Left, compose
from qb_engine.analysis.fixing.files import accepting, files, remarks_of
from qb_engine.analysis.fixing.look import Command, look, seen_of, with_sizes
from qb_engine.analysis.fixing.prove import Proof, Ran, judged, prove, run
from qb_engine.analysis.fixing.ways import Refused, fallback, ways_back
from qb_engine.analysis.hazards import Situation
from qb_engine.errors import InputError
from qb_engine.migrations import load_one
from qb_engine.operations.safely import Safely, Uncovered
from qb_engine.operations.update_rows import keyless

if TYPE_CHECKING:
    from qb_engine.analysis.fixing.ground import Ground
    from qb_engine.drafting import WayBack
    from qb_engine.migrations import LoadedMigration
    from qb_engine.schema import Snapshot

TRIED = "NULL"  # stands for what only the user knows while the fix is proved


@dataclass(frozen=True)
class Fixed:
    """A migration made safe: its files by name in the order they run, and the proof.

    Without `files` nothing needs to be changed, or nothing can be. `open` names the columns whose
    values only the user knows.
    """

    migration: LoadedMigration
    files: Mapping[str, str] = field(default_factory=dict)
    proof: Proof = field(default_factory=Proof)
    notes: tuple[str, ...] = ()
    left: tuple[Left, ...] = ()
    open: tuple[str, ...] = ()
    irreversible: str = ""

    @property
    def ok(self) -> bool:
        return self.proof.ok


def fix(
    migration: LoadedMigration, ground: Ground, *, values: Mapping[str, str] | None = None
) -> Fixed:
    """Make a migration safe, as far as its operations know how, and prove it on copies of a shadow.

    `values` are SQL expressions for columns that have no default, by `table.column` or `column`.
    Raise InputError for a migration whose statements cannot be told, or that fails itself.
    """
    _refuse(migration)
    with ground.copy() as shadow:
        original = run(shadow, ground, migration)
    with ground.copy() as shadow:
        commands = with_sizes(ground, look(shadow, migration.up))
    reason = original.error
    if reason:
        original = _meant(migration, original, commands)
    composed = compose(answers(commands, ground, values or {}, failed=bool(reason)))
    if reason:
        said = f"as it stands the server refuses it: {reason}; compared with what it means to do"
        composed = replace(composed, notes=(said, *composed.notes))
    if composed.unchanged:
        proof = Proof(before=judged(ground, original, migration), error=reason)
        return Fixed(migration, proof=proof, left=composed.left)
    try:
        with ground.copy() as shadow:
            ways = ways_back(shadow, composed)
    except Refused as refused:
        return Fixed(migration, proof=Proof(error=str(refused)), left=composed.left)
    composed = replace(composed, notes=(*composed.notes, *_fired(composed, commands)))
    fixed, proof, ways = _proved(migration, ground, original, composed, ways)
    return Fixed(
        migration,
        fixed,
        proof,
        composed.notes,
        composed.left,
        tuple(c for c, v in (composed.fill.set if composed.fill else {}).items() if v is None),
        next((way.irreversible for way in ways if way.irreversible), ""),
    )


def _meant(migration: LoadedMigration, original: Ran, commands: Sequence[Command]) -> Ran:
    """What a migration that the server refuses means to do, as its statements do it one by one.

    Raise InputError where one of them fails by itself, too.
    """
    last = commands[-1] if commands else None
    if last is None or last.after is None:
        raise InputError(
            f"{migration.id} itself fails on the shadow",
            where=str(last.statement.source if last else migration.path),
            why=(last.facts.error if last else "") or original.error,
            todo=f"mend it first: qb plan {migration.id}",
            code="bad-sql",
        )
    return replace(original, after=last.after, error="")


def _fired(composed: Composed, commands: Sequence[Command]) -> Iterator[str]:
    """What is to be said of triggers that fire for each row that the backfill writes."""
    fill = composed.fill
    table = commands[0].before.table(fill.table, fill.schema or "public") if fill else None
    for trigger in table.triggers.values() if table else ():
        if " UPDATE" in trigger.definition and " UPDATE OF " not in trigger.definition:
            yield f"the trigger {trigger.name} fires for each row that the backfill writes"


def answers(
    commands: Sequence[Command],
    ground: Ground,
    values: Mapping[str, str],
    *,
    failed: bool = False,
) -> list[tuple[Command, Answer]]:
    """What each operation says of itself, in order."""
    made: set[str] = set()
    found: list[tuple[Command, Answer]] = []
    for command in commands:
        changes = command.facts.changes
        here = frozenset(made | set(changes.created) | changes.new)
        at = Situation(command.examined, ground.circumstances, made=here)
        locked = {lock.relation for lock in command.facts.locks if at.blocks_reads(lock.relation)}
        command = replace(command, strong=frozenset(t for t in locked if at.is_big(t)))
        seen = seen_of(
            command, ground, here, alone=len(commands) == 1, failed=failed, values=values
        )
        answer = command.operation.safely(command.before, seen)
        found.append((command, _walked(answer, commands[0].before)))
        made |= set(changes.created) | changes.new
    return found


def _walked(answer: Answer, start: Snapshot) -> Answer:
    """The answer, unless its backfill would have no key to go through the rows by."""
    fill = answer.fill if isinstance(answer, Safely) else None
    table = start.table(fill.table, fill.schema or "public") if fill else None
    if table is None or not (why := keyless(table)):
        return answer
    return Uncovered(
        f"it needs a backfill, and {why}",
        "give it a primary key, or a unique index over NOT NULL columns, in a migration before",
    )


def _proved(
    migration: LoadedMigration,
    ground: Ground,
    original: Ran,
    composed: Composed,
    ways: tuple[WayBack, ...],
) -> tuple[dict[str, str], Proof, tuple[WayBack, ...]]:
    """The files and their proof; with the user's own way back where ours does not lead back."""
    own = [s.sql for s in migration.down]
    if own and any(way.irreversible for way in ways):
        ways = fallback(ways, own)
    texts, proof = _tried(migration, ground, original, composed, ways)
    if proof.ok and proof.back:
        if own and (other := fallback(ways, own)) != ways:
            again, proved = _tried(migration, ground, original, composed, other)
            if proved.ok and not proved.back:
                return again, proved, other
        first = replace(ways[0], down=(), irreversible=f"because {proof.back}")
        ways = (first, *ways[1:])
        texts, proof = _tried(migration, ground, original, composed, ways)
    return texts, proof, ways


def _tried(
    migration: LoadedMigration,
    ground: Ground,
    original: Ran,
    composed: Composed,
    ways: tuple[WayBack, ...],
) -> tuple[dict[str, str], Proof]:
    expect = [each.said for each in migration.expect]
    remarks: dict[str, list[str]] = {}
    if migration.format == "sql":
        remarks = remarks_of(migration.text, migration.up)
    trial = composed
    if composed.fill is not None:
        known = {c: TRIED if v is None else v for c, v in composed.fill.set.items()}
        trial = replace(composed, fill=replace(composed.fill, set=known))
    with tempfile.TemporaryDirectory(prefix="qb-fix-") as scratch:
        folder = Path(scratch) / (migration.id if migration.stamp else "20000101000000_fix")
        folder.mkdir()
        for name, text in files(trial, ways, migration.constraints, expect, remarks).items():
            (folder / name).write_text(text, encoding="utf-8")
        before = judged(ground, original, migration)
        proof = prove(ground, before, original, load_one(folder), composed)
    # what the proof has accepted is accepted in the files, too, for who looks at them later
    for statement, lines in accepting(proof.after).items():
        remarks[statement] = [*remarks.get(statement, ()), *lines]
    return files(composed, ways, migration.constraints, expect, remarks), proof


def _refuse(migration: LoadedMigration) -> None:
    """Raise InputError for what qb cannot take apart."""
    where, todo = str(migration.path), ""
    if any(part.dynamic for part in migration.parts):
        why = "its SQL is made by a method, and may depend on the target"
        todo = "write its statements as text, then fix it"
    elif migration.backfill is not None:
        why = "it has a backfill already, and a folder has one"
        todo = "fix its statements by hand with what qb lint says"
    elif migration.format not in ("python", "sql", "folder"):
        why = f"it is written for {migration.format}, which has no parts"
        todo = "write it as a migration of qb's own: qb generate NAME --sql FILE"
    else:
        return
    raise InputError(
        f"{migration.id} cannot be taken apart", where=where, why=why, todo=todo, code="bad-draft"
    )
