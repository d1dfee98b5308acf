"""`qb repair`: after a crash, what happened, what is left, and the ways on"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import click

from qb_engine.commands import Session, qb_command
from qb_engine.commands._steps import short, steps_table
from qb_engine.errors import InputError, InterruptedRun
from qb_engine.report import Column, Report, Table, jsonable, plain

if TYPE_CHECKING:
    from qb_engine.execution.place import Place
    from qb_engine.runner.repair import Found, Repaired
    from qb_engine.runner.trouble import Case
    from qb_engine.runner.wayback import Tried


@dataclass(frozen=True)
class RepairReport(Report):
    """What a crash has left, what the catalog says of it, and what was done about it."""

    name: ClassVar[str] = "repair"
    target: str
    found: Found
    tried: tuple[Tried, ...] = ()  # one for each migration that stopped, when they were looked for
    done: Repaired | None = None
    runner: str = ""

    @property
    def ok(self) -> bool:
        if self.done is not None:
            return not self.done.wrong
        return self.found.nothing

    def headline(self) -> str:
        if self.done is not None:
            name = f"{self.done.ran.migration}: " if self.done.ran else ""
            became = f"; it is {self.done.ran.status} now" if self.done.ran else ""
            wrong = f"; {len(self.done.wrong)} not as it should be" if self.done.wrong else ""
            return f"{self.target}: {name}{self.done.what}{became}{wrong}"
        if self.found.nothing:
            return f"{self.target}: there is nothing to repair"
        counted = [
            _count(len(self.found.cases), "migration half way", "migrations half way"),
            _count(len(self.found.orphans), "run without a runner", "runs without a runner"),
            _count(len(self.found.left), "thing left half made", "things left half made"),
        ]
        return f"{self.target}: {', '.join(text for text in counted if text)}"

    def tables(self) -> Sequence[Table]:
        if self.done is not None:
            ran = self.done.ran
            return [steps_table(ran.migration, ran.seen, timed=True)] if ran and ran.seen else []
        found: list[Table] = []
        for at, case in enumerate(self.found.cases):
            tried = self.tried[at] if at < len(self.tried) else None
            found += [_statements(case, tried), _offers(case, tried)]
        if self.found.orphans or self.found.left:
            found.append(self._rest())
        return found

    def notes(self) -> Sequence[str]:
        if self.done is not None:
            return [*self.done.wrong, *_after(self.done)]
        said = [f"running now: {self.runner}"] if self.runner else []
        for at, case in enumerate(self.found.cases):
            said.append(_story(case))
            if at < len(self.tried):
                tried = self.tried[at]
                said += [f"not as the ledger says: {text}" for text in tried.differences]
                said += [f"the schema was not compared: {tried.problem}"] if tried.problem else []
                said += [f"not needed for the way back: {text}" for text in tried.way.left_out]
                said += [f"the way back does not bring back {text}" for text in tried.way.loses]
        return said

    def as_dict(self) -> dict[str, Any]:
        return {
            "target": self.target,
            "migrations": [
                {
                    "migration": case.id,
                    "run": case.run.run,
                    "direction": case.run.direction,
                    "error": case.run.error,
                    "blocked": case.blocked,
                    "statements": jsonable(case.steps),
                    "tried": _learned(self.tried[at]) if at < len(self.tried) else None,
                }
                for at, case in enumerate(self.found.cases)
            ],
            "orphans": jsonable(self.found.orphans),
            "left": jsonable(self.found.left),
            "done": None
            if self.done is None
            else {
                "what": self.done.what,
                "migration": self.done.ran.migration if self.done.ran else "",
                "became": self.done.ran.status if self.done.ran else "",
                "wrong": list(self.done.wrong),
            },
        }

    def _rest(self) -> Table:
        from qb_engine.runner.repair import ending

        rows: list[tuple[Any, ...]] = [
            (
                f"run {o.run} of {o.migration}: recorded as running since "
                f"{o.started_at:%Y-%m-%d %H:%M:%S}, and its runner is gone; nothing of it was kept",
                "qb run",
            )
            for o in self.found.orphans
        ]
        rows += [(_left(each), ending(each)) for each in self.found.left]
        columns = (Column("what else is left"), Column("what ends it", "code"))
        return Table("left behind", columns, tuple(rows))


def _learned(tried: Tried) -> dict[str, Any]:
    """What was learned on a scratch database, as JSON values."""
    return {
        "way_back": jsonable(tried.way),
        "seen": dict(tried.seen),
        "differences": list(tried.differences),
        "problem": tried.problem,
    }


def _left(each: Any) -> str:
    """What one thing is that was left half made."""
    if hasattr(each, "partition"):
        return f"{each.partition} is half detached from {each.parent}"
    how = "REINDEX left it" if each.temporary else "its build did not finish"
    return f"the index {each.name} of {each.table} is not valid: {how}"


def _story(case: Case) -> str:
    """What happened to a migration, in one sentence."""
    run = case.run
    way = "on its way back" if case.down else "on its way"
    ended = f": {run.error}" if run.error else ""
    stands = sum(step.stands for step in case.steps)
    return (
        f"{run.migration} stopped {way}{ended} (run {run.run} of {run.who}, "
        f"{run.started_at:%Y-%m-%d %H:%M:%S}): {stands} of {len(case.steps)} statements stand"
    )


def _statements(case: Case, tried: Tried | None) -> Table:
    seen = tried.seen if tried else {}
    several = len({step.part for step in case.steps}) > 1
    file = (Column("file"),) if several else ()
    columns = (
        Column("#", "count"), *file, Column("statement", "code"), Column("state"),
        Column("what is known"),
    )  # fmt: skip
    rows = tuple(
        (
            s.number,
            *((s.part,) if several else ()),
            *(short(s.sql), s.state, s.said or seen.get(s.number) or None),
        )
        for s in case.steps
    )
    return Table(f"{case.id}, run {case.run.run}", columns, rows)


def _offers(case: Case, tried: Tried | None) -> Table:
    """What can be done, and what each would run."""
    columns = (Column("command", "code"), Column("what it does"))
    command = f"qb repair {case.id}"
    left = [s for s in case.steps if not s.stands]
    numbers = ", ".join(str(s.number) for s in left) or "none"
    clear = [sql for s in case.steps for sql in s.clear]
    if case.blocked:
        on = f"not as things are: {case.blocked}"
        if not case.file and not any(s.state == "edited" for s in case.steps):
            on += "; with --cut-off redo it runs again, with --cut-off skip it counts as done"
    else:
        on = f"runs what is left, statement{'' if len(left) == 1 else 's'} {numbers}"
        on += f"; first: {'; '.join(clear)}" if clear else ""
    rows: list[tuple[str, str]] = [(f"{command} --continue", on)]
    if not case.down:
        way = tried.way if tried else None
        if way is None:
            back = "looks for a way back on a scratch database"
        elif way.problem:
            back = f"not possible: {way.problem}"
        else:
            source = "its own down" if way.source == "down" else "derived from what is committed"
            source = f"removes what is left half made, then {source}" if clear else source
            every = "\n".join(f"{sql};" for sql in (*clear, *way.statements))
            back = f"{source}:\n{every or 'nothing'}"
        rows.append((f"{command} --undo", back))
    goal = "rolled back" if case.down else "applied"
    rows.append(
        (f"{command} --accept --reason TEXT", f"nothing runs; it counts as {goal} from now on")
    )
    return Table(f"{case.id}: the ways on", columns, tuple(rows))


def _after(done: Repaired) -> list[str]:
    """What to do next."""
    if done.wrong:
        return ["see what the schema should be with: qb validate"]
    return ["qb history shows the decision; next: qb status"]


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}" if number else ""


@qb_command("repair", short_help="After a crash: what is left, and the ways on.")
@click.argument("migration", required=False)
@click.option("--continue", "go_on", is_flag=True, help="Run what is left of it.")
@click.option("--undo", is_flag=True, help="Undo what stands of it.")
@click.option("--accept", is_flag=True, help="Take it as it is; needs --reason.")
@click.option("--as", "outcome", type=click.Choice(["applied", "undone"]), help="With --accept.")
@click.option("--reason", default="", metavar="TEXT", help="Why, for the ledger.")
@click.option("--leftovers", is_flag=True, help="Bring invalid indexes and the like to an end.")
@click.option(
    "--cut-off",
    type=click.Choice(["ask", "redo", "skip"]),
    default="ask",
    help="A statement of whose end nothing is known did not finish, or did.",
)
@click.option("--no-scratch", is_flag=True, help="Only look: no way back is tried on a scratch.")
@click.option("--scratch", metavar="URL", help="A server to try on, instead of the embedded.")
@click.option("--yes", is_flag=True, help="Do not ask before it is done.")
@click.option("--confirm", metavar="ALIAS", help="The alias, typed back, for production.")
def command(session: Session, migration: str | None, **given: Any) -> Report:
    """Show what stopped half way: what ran, what the catalog says, what can be done.

    Alone it changes nothing. --continue runs what is left, --undo brings back the schema from
    before, --accept takes it as it is; each is shown, done, verified, and recorded.
    """
    from qb_engine.commands._place import place_of
    from qb_engine.database.connect import server_errors
    from qb_engine.ledger.reading import patiently
    from qb_engine.runner import repair
    from qb_engine.runner.status import runner
    from qb_engine.runner.trouble import decided
    from qb_engine.runner.wayback import tried

    chosen = [name for name in ("go_on", "undo", "accept", "leftovers") if given[name]]
    if len(chosen) > 1:
        raise InputError(
            "more than one way on is chosen",
            why="--continue, --undo, --accept and --leftovers exclude each other",
            todo="choose one of them",
            code="bad-option",
        )
    place = place_of(session, session.migrations(), scratch=given["scratch"])
    with (
        session.connect() as conn,
        server_errors("reading the ledger", session.target),
        patiently(conn),
    ):
        found = repair.look(conn, place.migrations)
        running = runner(conn)
    if migration:
        found = replace(found, cases=(_chosen(found, migration),))
    found = replace(found, cases=tuple(decided(case, given["cut_off"]) for case in found.cases))
    look = not given["no_scratch"] and (not chosen or given["undo"]) and not running
    ways = tuple(tried(place, case) for case in found.cases) if look else ()
    report = RepairReport(session.target.name, found, ways, runner=running)
    if not chosen:
        return report
    session.guard_production("repairing", given["confirm"])
    _agreed(session, report, given["yes"])
    return replace(report, done=_done(place, report, chosen[0], given))


def _done(place: Place, report: RepairReport, what: str, given: dict[str, Any]) -> Repaired:
    from qb_engine.runner import repair

    if what == "leftovers":
        return repair.end_left(place, report.found.left)
    found = report.found
    if what == "go_on" and not found.cases and len(found.orphans) == 1:
        return repair.start_again(place, found.orphans[0])
    case = _only(found)
    if what == "go_on":
        return repair.go_on(place, case, given["cut_off"], reason=given["reason"])
    if what == "accept":
        return repair.accept(place, case, given["reason"], outcome=given["outcome"] or "")
    return repair.go_back(place, case, report.tried[0], reason=given["reason"])


def _agreed(session: Session, report: Report, yes: bool) -> None:
    """Show what is found before anything is done; where somebody can be asked, ask."""
    session.face.say(plain(report))
    if session.face.interactive and not yes and session.face.ask("go on? type yes: ") != "yes":
        raise InterruptedRun("nothing was repaired", why="it was not agreed to", todo="qb repair")


def _chosen(found: Found, name: str) -> Case:
    """The migration that a name means, of those that stopped half way."""
    near = [c for c in found.cases if name == c.id] or [c for c in found.cases if name in c.id]
    if len(near) != 1:
        raise InputError(
            f"{name} has not stopped half way",
            why=f"these have: {', '.join(c.id for c in found.cases)}"
            if found.cases
            else "none has",
            todo="see: qb repair",
            code="no-such-migration",
        )
    return near[0]


def _only(found: Found) -> Case:
    """The one migration that stopped half way. Raise InputError when there are none, or several."""
    if len(found.cases) == 1:
        return found.cases[0]
    if found.cases:
        raise InputError(
            f"{len(found.cases)} migrations have stopped half way",
            why=", ".join(c.id for c in found.cases),
            todo=f"name one: qb repair {found.cases[0].id} ...",
            code="ambiguous-name",
        )
    raise InputError(
        "no migration has stopped half way",
        why="there is nothing to go on with, to undo or to accept"
        if not found.orphans
        else "of the runs whose runner is gone nothing was kept",
        todo="qb run applies what is pending" if found.orphans else "see: qb status",
        code="no-such-migration",
    )
