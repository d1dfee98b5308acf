"""the way back of a migration that stopped half way: found and tried on a scratch database

A written down undoes a whole part. Of a half applied one only that may run which undoes what ran:
it is tried on a scratch database that stands where the target does, and kept when the schema is
then the one before the migration. Where none is written, or it does not lead there, the way back
is derived from the statements that are committed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import psycopg

from qb_engine import ledger
from qb_engine.drafting.derive import derive
from qb_engine.errors import QbError
from qb_engine.execution import blocks, steps_where
from qb_engine.operations.generic import HARMLESS
from qb_engine.runner import beside
from qb_engine.runner.validate import IGNORED, applied, replay
from qb_engine.schema import diff, snapshot
from qb_engine.shadow import Scratch, Shadow, like, scratch
from qb_engine.shadow.shadow import loaded
from qb_engine.sql.whole_server import WHOLE_SERVER

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.execution import Step
    from qb_engine.execution.place import Place
    from qb_engine.migrations import Part
    from qb_engine.runner.trouble import Case
    from qb_engine.schema import Difference, ObjectId, Snapshot
    from qb_engine.sql import Statement

# what a statement of a down says when the thing that it undoes was never done
UNDONE = frozenset(
    {
        "42P01", "42703", "42704", "42883", "3F000",  # there is no such table, column, object, ...
        "42P07", "42701", "42710", "42723", "42P06",  # what it would bring back is there
    }
)  # fmt: skip
# of these nobody can read what they did
OPAQUE = ("do", "call", "truncate", "copy", "execute")


@dataclass(frozen=True, slots=True)
class WayBack:
    """The statements that undo what stands of a migration, by file; or why there are none.

    `source` is `down` (the file's own) or `derived`; `left_out` are statements of the file's down
    that undo what never ran; `loses` says what does not come back.
    """

    parts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    source: str = ""
    left_out: tuple[str, ...] = ()
    loses: tuple[str, ...] = ()
    problem: str = ""

    @property
    def statements(self) -> tuple[str, ...]:
        """All of them, in the order of the files."""
        return tuple(sql for statements in self.parts.values() for sql in statements)


@dataclass(frozen=True, slots=True)
class Tried:
    """What was learned on scratch databases.

    `differences` are those between the target's schema and what the ledger says ran; `seen` says
    for each committed statement whether the objects that it made, changed or removed are so on the
    target. `problem` says why nothing could be learned.
    """

    way: WayBack
    seen: dict[int, str] = field(default_factory=dict)
    differences: tuple[str, ...] = ()
    problem: str = ""
    start: Snapshot | None = field(default=None, repr=False)  # the schema from before, on a scratch


class _NotBackError(Exception):
    """A way back that does not lead back; says why."""


def tried(place: Place, case: Case) -> Tried:
    """Replay what stands on scratch databases, compare it with the target, and find the way back.

    The target is only read.
    """
    if case.down or case.undoing:
        return Tried(WayBack(problem="it is on its way back already"))
    if case.migration is None:
        return Tried(WayBack(problem=case.file), problem=case.file)
    if wrong := [s for s in case.steps if s.state in ("edited", "unknown")]:
        said = "was edited after it was committed" if wrong[0].state == "edited" else wrong[0].said
        problem = f"statement {wrong[0].number}: {said}"
        return Tried(WayBack(problem=problem), problem=problem)
    if case.parts == case.migration.after_backfill() and case.migration.backfill is not None:
        return Tried(
            WayBack(
                problem="it stopped in what comes after its backfill: let it go on, "
                "or roll the whole migration back then"
            ),
            problem="what comes after a backfill is not replayed",
        )
    try:
        with _before(place, case) as shadow:
            found, start = _tried(place, case, shadow)
        if not found.way.problem:
            return found
        with _before(place, case) as shadow:
            return replace(found, way=_derived(case, shadow, start, found.way.problem))
    except QbError as error:
        said = f"{error.what}: {error.why}" if error.why else error.what
        problem = f"the migrations cannot be replayed on a scratch database: {said}"
        return Tried(WayBack(problem=problem), problem=problem)


@contextmanager
def _before(place: Place, case: Case) -> Iterator[Shadow]:
    """A scratch database with the schema from before the run that stopped."""
    with place.connected("qb repair") as conn:
        base = ledger.baseline(conn).sql
        ran = [arranged for _, run, arranged in applied(place, conn) if run.run != case.run.run]
    server = scratch(place.project, place.scratch_url, place.opened)
    with loaded(server, base) as shadow:
        for arranged in ran:
            replay(place, shadow, steps_where(arranged, _local))
        yield shadow


def _tried(place: Place, case: Case, shadow: Shadow) -> tuple[Tried, Snapshot]:
    """What is learned on a scratch with the schema from before; and that schema."""
    conn = shadow.connect()
    try:
        start = snapshot(conn)
    finally:
        conn.close()
    touched, reached = _replayed(place, case, shadow, start)
    differences = compared(place, reached, shadow.scratch)
    seen = {number: _told(ids, differences) for number, ids in touched.items() if ids}
    try:
        way = _written(case, shadow, start)
    except _NotBackError as error:
        way = WayBack(problem=str(error))
    return Tried(way, seen, tuple(d.sentence() for d in differences), start=start), start


def _replayed(
    place: Place, case: Case, shadow: Shadow, start: Snapshot
) -> tuple[dict[int, list[ObjectId]], Snapshot]:
    """Run what stands, block by block: which objects each statement touches, and the schema then.

    Of a transaction with several statements, each has touched what it names.
    """
    standing = {step.number for step in case.steps if step.stands}
    touched: dict[int, list[ObjectId]] = {}
    conn = shadow.connect()
    try:
        now = start
        stands = steps_where(blocks(case.parts), lambda step: step.number in standing)
        for block in steps_where(stands, _local):
            replay(place, shadow, (block,))
            after = snapshot(conn)
            found = [d.id for d in diff(now, after)]
            for step in block.steps:
                sql = step.statement.sql
                touched[step.number] = [
                    id for id in found if len(block.steps) == 1 or (id.sub or id.name) in sql
                ]
            now = after
    finally:
        conn.close()
    return touched, now


def compared(
    place: Place, expected: Snapshot, server: Scratch | None = None
) -> tuple[Difference, ...]:
    """What the target's schema has otherwise than one that was read on a scratch server."""
    server = server or scratch(place.project, place.scratch_url, place.opened)
    with like(server, place.target, owners=False) as there:
        conn = there.connect()
        try:
            found = snapshot(conn)
        finally:
            conn.close()
    return beside.without_history(place, diff(expected, found, ignore=IGNORED))


def _told(ids: Sequence[ObjectId], differences: Sequence[Difference]) -> str:
    """Whether objects are on the target as they should be."""
    wrong = [d.sentence() for d in differences if d.id in ids]
    return "; ".join(wrong) or f"as it should be: {', '.join(map(str, ids))}"


# -- the way back that is written ----------------------------------------------------------------


def _written(case: Case, shadow: Shadow, start: Snapshot) -> WayBack:
    """The file's own down as far as it undoes what ran. Raise _NotBackError."""
    standing = {step.number for step in case.steps if step.stands}
    parts: dict[str, tuple[str, ...]] = {}
    left_out: list[str] = []
    number = 0
    wanted: list[tuple[Part, tuple[Statement, ...], bool]] = []
    for part in case.parts:
        numbers = range(number + 1, number + 1 + len(part.up))
        number += len(part.up)
        ran = tuple(s for n, s in zip(numbers, part.up) if n in standing)
        if ran:
            wanted.append((part, ran, len(ran) == len(part.up)))
    conn = shadow.connect()
    try:
        for part, ran, whole in reversed(wanted):
            if part.irreversible or not part.down:
                raise _NotBackError(part.irreversible or f"{part.file} gives no down")
            kept, out = _part_back(conn, part, ran, whole=whole)
            parts[part.file] = kept
            left_out += out
        differences = diff(start, snapshot(conn))
    finally:
        conn.close()
    if differences:
        raise _NotBackError(
            f"the written down would leave a difference: {differences[0].sentence()}"
        )
    return WayBack(parts, "down", tuple(left_out))


def _part_back(
    conn: Connection, part: Part, ran: Sequence[Statement], *, whole: bool
) -> tuple[tuple[str, ...], list[str]]:
    """What is to run of one part's down, and what is left out; it has run then."""
    opaque = [s for s in part.up if _opaque(s)]
    done = [s for s in ran if _opaque(s)]
    kept: list[str] = []
    out: list[str] = []
    for statement in part.down:
        if not whole and _opaque(statement):
            if not done:
                out.append(f"{statement.first_line}: nothing that writes rows had run")
                continue
            if len(done) < len(opaque):
                raise _NotBackError(
                    f"only {len(done)} of the {len(opaque)} statements of {part.file} that write "
                    f"rows ran, and {statement.first_line} may undo the others"
                )
        if statement.kind in WHOLE_SERVER:
            if not whole:
                raise _NotBackError(
                    f"{statement.first_line} changes the whole server, and cannot be tried"
                )
            kept.append(statement.sql)
            continue
        try:
            conn.execute(statement.sql.encode())
        except psycopg.Error as error:
            said = error.diag.message_primary or " ".join(str(error).split())
            if whole or _opaque(statement) or error.sqlstate not in UNDONE:
                raise _NotBackError(
                    f"the written down fails at {statement.first_line}: {said}"
                ) from None
            out.append(f"{statement.first_line}: {said}")
            continue
        kept.append(statement.sql)
    return tuple(kept), out


def _local(step: Step) -> bool:
    """False for what changes the whole server: a scratch may share it with the target."""
    return step.statement.kind not in WHOLE_SERVER


def _opaque(statement: Statement) -> bool:
    """True for what writes rows, or may: its effect cannot be read from the schema."""
    return (statement.is_dml or statement.kind in OPAQUE) and statement.kind not in HARMLESS


# -- the way back that is derived ----------------------------------------------------------------


def _derived(case: Case, shadow: Shadow, start: Snapshot, problem: str) -> WayBack:
    """The inverses of what is committed, proven on the scratch."""
    standing = {step.number for step in case.steps if step.stands}
    chosen: list[tuple[str, tuple[Statement, ...]]] = []
    number = 0
    for part in case.parts:
        mine = tuple(s for n, s in enumerate(part.up, number + 1) if n in standing)
        number += len(part.up)
        chosen.append((part.file, mine))
    conn = shadow.connect()
    try:
        found = derive([statements for _, statements in chosen], start, conn)
    finally:
        conn.close()
    wrong = next((way.irreversible for way in found.parts if way.irreversible), "")
    if wrong or not found.proven:
        said = wrong.removeprefix("because ") or "; ".join(found.notes)
        return WayBack(problem=f"{problem}; and none can be derived: {said}")
    parts = {file: way.down for (file, _), way in zip(chosen, found.parts)}
    loses = tuple(text for way in found.parts for text in way.loses)
    return WayBack({file: parts[file] for file in reversed(parts)}, "derived", (), loses)
