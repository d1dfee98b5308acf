"""after a crash: going on, going back, or taking it as it is; each verified, each recorded"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Literal

from qb_engine import ledger
from qb_engine.errors import QbError, RefusedError
from qb_engine.ledger import PartRow
from qb_engine.ledger.decisions import decide, disown, settle, settle_parts
from qb_engine.runner import beside, lock
from qb_engine.runner.crew import at_work
from qb_engine.runner.leftovers import (
    HalfDetached,
    InvalidIndex,
    Orphan,
    half_detached,
    invalid_indexes,
    orphans,
)
from qb_engine.runner.ran import Ran
from qb_engine.runner.recording import forget_backfill
from qb_engine.runner.request import Request
from qb_engine.runner.resume import clear
from qb_engine.runner.rollback import undo as roll_back_one
from qb_engine.runner.run import arranged, becomes, run_with
from qb_engine.runner.trouble import UNDO, Case, StepState, cases, coming_back, undoing
from qb_engine.runner.validate import validate
from qb_engine.runner.wayback import compared
from qb_engine.secrets import mask

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.execution.place import Place
    from qb_engine.migrations import Migrations
    from qb_engine.runner.crew import Crew
    from qb_engine.runner.wayback import Tried

Outcome = Literal["", "applied", "undone"]
NOBODY = StepState(0, "", "", "to run")

CONTINUED = "repaired: it went on"
AGAIN = "repaired: it went on, and stopped again"
UNDONE = "repaired: it was undone"
ACCEPTED = "accepted as it is"
ENDED = "repaired: what was left"

Left = InvalidIndex | HalfDetached


@dataclass(frozen=True, slots=True)
class Found:
    """Everything that a crash may have left: migrations half way, runs without a runner, objects.

    `left` are invalid indexes and half detached partitions that no half applied migration would
    come back to.
    """

    cases: tuple[Case, ...] = ()
    orphans: tuple[Orphan, ...] = ()
    left: tuple[Left, ...] = ()

    @property
    def nothing(self) -> bool:
        return not (self.cases or self.orphans or self.left)


@dataclass(frozen=True, slots=True)
class Repaired:
    """What a repair did: `ran` on the target, and what is not as it should be afterwards."""

    what: str
    ran: Ran | None = None
    wrong: tuple[str, ...] = ()


def look(conn: Connection, migrations: Migrations) -> Found:
    """What a crash has left. Only reads."""
    at_it = lock.holder(conn) is not None
    found = tuple(c for c in cases(conn, migrations) if not (at_it and c.run.status == "running"))
    ours = [step for case in found for step in case.steps if not step.stands]
    again = coming_back(found)
    left: list[Left] = [i for i in invalid_indexes(conn) if i.removal not in again]
    detaching = " ".join(step.sql for step in ours if step.state == "cut off")
    left += [h for h in half_detached(conn) if _own(h.partition) not in detaching]
    alone = [o for o in orphans(conn) if o.run not in {case.run.run for case in found}]
    return Found(found, tuple(alone), tuple(left))


def go_on(place: Place, case: Case, cut_off: str = "ask", *, reason: str = "") -> Repaired:
    """Run what is left of a migration, up or down, and see that it is whole then.

    The run is recorded as whole from then on; what it had stopped at stays in the decision.
    """
    with at_work(place) as crew:
        case = _same(crew, case)
        if case.file:
            raise _blocked(case)
        crew.decides = True
        try:
            ran = _go_on(crew, case, cut_off)
        except QbError:
            if not crew.control.closed:
                before = {"stopped_at": case.run.error}
                decide(crew.control, AGAIN, case.id, case.run.run, reason=reason, detail=before)
            raise
        wrong = _left(crew, case)
        detail = {
            "stopped_at": case.run.error, "statements": len(ran.seen), "became": ran.status,
            "wrong": list(wrong),
        }  # fmt: skip
        decide(crew.control, CONTINUED, case.id, case.run.run, reason=reason, detail=detail)
        if case.down and (ran.seen or ran.seconds):
            crew.keep_schema(ledger.history(crew.control, case.id)[0].run)
    return Repaired(CONTINUED, ran, wrong)


def _go_on(crew: Crew, case: Case, cut_off: str) -> Ran:
    """Run what is left of a migration, up or down."""
    if case.undoing:
        return _run_back(crew, case, case.run.run, resumed=True)
    if case.down:
        assert case.migration is not None, "its file is there"
        return roll_back_one(crew, case.migration, edited=True, out_of_order=True)
    request = Request(only=case.id, cut_off=cut_off, verify_first=False)
    (ran,) = run_with(crew, request)
    return ran


def start_again(place: Place, orphan: Orphan) -> Repaired:
    """Run a migration whose runner went before anything of it was kept."""
    with at_work(place) as crew:  # it is not recorded as running any more
        if orphan.direction == "down":
            migration = place.migrations.get(orphan.migration)
            ran = roll_back_one(crew, migration, out_of_order=True)
        else:
            (ran,) = run_with(crew, Request(only=orphan.migration, out_of_order=True))
        decide(crew.control, CONTINUED, orphan.migration, orphan.run, detail={"became": ran.status})
        if orphan.direction == "down":
            crew.keep_schema(ledger.history(crew.control, orphan.migration)[0].run)
    return Repaired(CONTINUED, ran)


def go_back(place: Place, case: Case, found: Tried, *, reason: str = "") -> Repaired:
    """Undo what stands of a migration, and compare the schema with the one that was before.

    `found` is the way back that was tried for this case. Raise RefusedError when there is none, or
    when something has happened since.
    """
    way = found.way
    if way.problem or case.migration is None:
        raise RefusedError(
            f"{case.id} cannot be undone",
            where=str(case.migration.path) if case.migration else place.target.display,
            why=way.problem or case.file,
            todo=f"qb repair {case.id} --continue finishes it; or undo it by hand, then: "
            f"qb repair {case.id} --accept --as undone --reason TEXT",
            code="irreversible",
        )
    with at_work(place) as crew:
        case = _same(crew, case)
        assert case.migration is not None, "its file was there a moment ago"
        for sql in [sql for step in case.steps for sql in step.clear]:
            clear(crew.control, sql)
        number = ledger.begin(crew.control, case.migration, "down", crew.fingerprint())
        parts = {file: list(statements) for file, statements in way.parts.items()}
        secret = any(mask(sql) != sql for sql in way.statements)
        decide(
            crew.control, UNDO, case.id, number,
            detail={"parts": parts, "source": way.source, "secret": secret, "of": case.run.run},
        )  # fmt: skip
        back = replace(case, migration=undoing(case.migration, parts))
        ran = _run_back(crew, back, number, resumed=False)
        crew.keep_schema(number)
        detail = {"statements": len(ran.seen)}
        decide(crew.control, UNDONE, case.id, number, reason=reason, detail=detail)
    wrong = compared(place, found.start) if found.start is not None else ()
    return Repaired(UNDONE, ran, tuple(d.sentence() for d in wrong))


def accept(place: Place, case: Case, reason: str, *, outcome: Outcome = "") -> Repaired:
    """Take a migration as applied or as undone, whatever ran of it; who says so is kept.

    Without an outcome, as what it was on its way to.
    """
    if not reason.strip():
        raise RefusedError(
            "a migration is not accepted without a reason",
            where=case.id,
            why="whoever looks at the history later has nothing else to go by",
            todo="say why: --reason TEXT",
        )
    with at_work(place) as crew:
        case = _same(crew, case)
        back = outcome == "undone" or (case.down and not outcome)
        status = _accepted(case, back=back)
        rows = [PartRow(p.file, p.kind, "undone" if back else "applied", "mixed")
                for p in (case.migration.parts if case.migration else ())]  # fmt: skip
        history = crew.history(beside.names_of(case.migration.parts)) if case.migration else None
        sums = None
        if case.migration is not None and not case.undoing:
            sums = {
                "checksum": case.migration.checksum,
                "raw_checksum": case.migration.raw_checksum,
                "down_checksum": ledger.way_back(case.migration),
            }
        with crew.control.transaction():
            if case.down and not back:  # the run up before it says how it stands
                disown(crew.control, case.run.run, f"taken back by hand: {reason}")
            else:
                settle(crew.control, case.run.run, status, checksums=sums)
                settle_parts(crew.control, case.run.run, rows)
            if back and case.migration is not None:
                forget_backfill(crew.control, case.migration)
            if case.migration is not None and history is not None:
                parts = case.migration.parts if back or status != "expanded" else case.parts
                beside.rewrite(crew.control, history, beside.names_of(parts), applied=not back)
            told: dict[str, Any] = {
                "as": status,
                "not_run": [s.sql for s in case.steps if not s.stands],
                "file": case.file,
            }
            decide(crew.control, ACCEPTED, case.id, case.run.run, reason=reason, detail=told)
        crew.keep_schema(case.run.run)
    return Repaired(ACCEPTED, Ran(case.id, status, 0.0), _drift(place))


def end_left(place: Place, left: Sequence[Left]) -> Repaired:
    """Bring to an end what was left half way: indexes that are not valid, partitions half out."""
    with at_work(place) as crew:
        there = {ending(each) for each in _all_left(crew.control)}
        for each in left:
            if ending(each) in there:
                clear(crew.control, ending(each))
        wrong = tuple(f"not done: {ending(each)}" for each in _all_left(crew.control))
        if ledger.exists(crew.control):
            detail = {"statements": [ending(each) for each in left], "wrong": list(wrong)}
            decide(crew.control, ENDED, "", None, detail=detail)
    return Repaired(ENDED, wrong=wrong)


def ending(left: Left) -> str:
    """The statement that brings to an end what was left half way."""
    if isinstance(left, HalfDetached):
        return f"ALTER TABLE {left.parent} DETACH PARTITION {left.partition} FINALIZE"
    if left.temporary:
        return left.removal
    return f"REINDEX INDEX CONCURRENTLY {left.name}"


def _all_left(conn: Connection) -> tuple[Left, ...]:
    return (*invalid_indexes(conn), *half_detached(conn))


def _own(name: str) -> str:
    """A name without its schema and its quotes."""
    return name.rpartition(".")[2].strip('"')


def _run_back(crew: Crew, case: Case, number: int, *, resumed: bool) -> Ran:
    """Run the way back of a migration that was written down for it."""
    assert case.migration is not None, "its way back is known"
    parts = tuple(part for part in case.migration.parts if part.down)
    status = "rolled back"
    done = arranged(crew, case.migration, parts, number, status, resumed)
    rows = [PartRow(p.file, p.kind, "undone", "mixed") for p in case.migration.parts if not p.down]
    settle_parts(crew.control, number, rows)
    return Ran(case.id, status, done.seconds, tuple(done.seen))


def _accepted(case: Case, *, back: bool) -> str:
    if back:
        return "rolled back"
    if case.migration is None or case.down:
        return "applied"
    return becomes(case.migration, case.parts)


def _same(crew: Crew, case: Case) -> Case:
    """The case as it is now; raise RefusedError when something has happened to it meanwhile."""
    now = next(
        (c for c in cases(crew.control, crew.place.migrations) if c.run.run == case.run.run), None
    )
    open_ones = {s.number for s in now.steps if s.state == "unknown"} if now else set()
    if now is None or any(
        (a.number, a.sql) != (b.number, b.sql)
        or (a.stands != b.stands and a.number not in open_ones)
        for a, b in zip_longest(now.steps, case.steps, fillvalue=NOBODY)
    ):
        raise RefusedError(
            f"{case.id} is not any more what was shown",
            where=crew.place.target.display,
            why="another runner has been at work on it",
            todo="look again: qb repair",
        )
    return replace(now, steps=case.steps)


def _left(crew: Crew, case: Case) -> tuple[str, ...]:
    """What is not whole after a migration went on."""
    standing = ledger.standing(crew.control).get(case.id)
    wrong = []
    if standing is not None and standing.status in ("partial", "partial down"):
        wrong.append(f"{case.id} is still half {'undone' if case.down else 'applied'}")
    tables = {index.name: index.table for index in invalid_indexes(crew.control)}
    named = " ".join(step.sql for step in case.steps)
    wrong += [f"the index {name} is not valid" for name in tables if _own(name) in named]
    return tuple(wrong)


def _drift(place: Place) -> tuple[str, ...]:
    """What the schema has otherwise than the applied migrations make."""
    try:
        found = validate(place)
    except QbError as error:  # of a file that is gone, or without a scratch server
        return (f"the schema was not compared: {error.what}",)
    if found.failure:
        return (f"the migrations could not be replayed to compare: {found.failure}",)
    return tuple(d.sentence() for d in found.differences)


def _blocked(case: Case) -> RefusedError:
    return RefusedError(
        f"{case.id} cannot go on",
        where=str(case.migration.path) if case.migration else case.id,
        why=case.file,
        todo="restore the file (git log --all -- its name finds it); or take it as it is: "
        f"qb repair {case.id} --accept --reason TEXT",
        code="missing-file" if case.migration is None else "edited-migration",
    )
