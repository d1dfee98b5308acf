"""the hazards of files, looked at on one shadow: each as if alone, or on top of those before it"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from qb_engine.analysis.accept import accepted
from qb_engine.analysis.examination import STATEMENT_S, Examination
from qb_engine.analysis.facts import Examined, Facts, Provenance
from qb_engine.analysis.hazards import Circumstances, Finding, Severity, judge
from qb_engine.analysis.kept import Kept, Look, key_of
from qb_engine.analysis.on_target import doubted, relations_of
from qb_engine.analysis.outside import locks_unseen, reaches_outside
from qb_engine.analysis.remarks import (
    NEEDS_RIGHTS,
    NOT_LOOKED_AT,
    OBJECT_NOT_FOUND,
    STATEMENT_FAILS,
    SYNTAX_ERROR,
    TAKES_TOO_LONG,
    UNKNOWN_STATEMENT,
    Spot,
    remark,
)
from qb_engine.analysis.sheet import Sheet
from qb_engine.analysis.standins import StandIn, StandIns, is_missing
from qb_engine.execution.blocks import MAY_COMMIT, Block, steps_where
from qb_engine.execution.observation import Lock
from qb_engine.shadow.outside import reached

if TYPE_CHECKING:
    from qb_engine.execution.blocks import Step
    from qb_engine.shadow import Shadow
    from qb_engine.sql import SqlError

NO_SYNTAX, TOO_LONG, NOT_ALLOWED = "42601", "57014", "42501"  # SQLSTATEs
IN_TRANSACTION = "25001"  # it is refused there
ENDS_ITSELF = "2D000"  # a procedure that commits, called in a transaction
ALONE = (
    (IN_TRANSACTION, "reindex"),
    (IN_TRANSACTION, "cluster"),
    (ENDS_ITSELF, "call"),
    (ENDS_ITSELF, "do"),
)
NO_ROWS = ("23503", "23502", "P0002")  # no row is referenced, looked up, or found

Figured = Callable[
    [Sequence[Examined], Collection[str]], tuple[Sequence[Examined], Sequence[Finding]]
]
"""Joins steps with what the target says of what they touch, and finds what its rows break."""


@dataclass(frozen=True)
class Ground:
    """The schema that files are looked at on.

    `identity` stands for it and for the server: equal ones are equal schemas. `open` gives a fresh
    copy, dropped at the end. `known` is false where nobody has given one, `claiming` true where a
    target can be asked about its rows.
    """

    identity: str
    open: Callable[[], AbstractContextManager[Shadow]]
    known: bool = True
    claiming: bool = False


@dataclass(frozen=True)
class Linted:
    """A file with what its statements do and what may go wrong; `problems` do not parse.

    `lacking` says what the shadow lacks of the schema, as sentences.
    """

    file: str
    examined: tuple[Examined, ...]
    findings: tuple[Finding, ...]
    problems: tuple[SqlError, ...] = ()
    lacking: tuple[str, ...] = ()


def lint(
    sheets: Sequence[Sheet],
    ground: Ground,
    *,
    circumstances: Circumstances | None = None,
    figured: Figured | None = None,
    kept: Kept | None = None,
) -> Iterator[Linted]:
    """Look at files in their order; those that are wanted are given as they are done.

    All of them share a shadow. Its server is only asked for what was not seen before.
    """
    kept = kept or Kept()
    known = circumstances or Circumstances()
    with _Looker(sheets, ground) as looker:
        for at, sheet in enumerate(sheets):
            if not sheet.wanted:
                continue
            if sheet.broken:
                yield Linted(sheet.file, (), accepted(sheet.broken, sheet.texts))
                continue
            key = looker.key(at)
            look = kept.get(key)
            if look is None:
                look = looker.look(at)
                kept.put(key, look)
            yield _judged(sheet, look, ground, known, figured)


# -- looking -----------------------------------------------------------------------------------


class _Looker:
    """Holds the copies of the ground that files are looked at on; each is made when needed."""

    def __init__(self, sheets: Sequence[Sheet], ground: Ground) -> None:
        self._sheets = sheets
        self._ground = ground
        self._stack = ExitStack()
        self._shared: Examination | None = None
        self._chain: Examination | None = None
        self._done = 0  # sheets of the chain that have run on its copy
        self._chained = [at for at, sheet in enumerate(sheets) if sheet.chained]
        self._keys: list[str] = []  # of each sheet: of the chain until then

    def __enter__(self) -> _Looker:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def key(self, at: int) -> str:
        """All that the look at a sheet depends on."""
        while len(self._keys) <= at:
            sheet = self._sheets[len(self._keys)]
            before = self._keys[-1] if self._keys else ""
            own = [s.statement.sql for s in sheet.arranged.steps] if sheet.chained else []
            self._keys.append(key_of([before, *own]) if own else before)
        sheet = self._sheets[at]
        arranged = sheet.arranged
        chain = (self._keys[at - 1] if at else "") if sheet.chained else ""
        blocks = [f"{b.transactional} {[s.number for s in b.steps]}" for b in arranged.blocks]
        sql = [step.statement.sql for step in arranged.steps]
        return key_of(
            [
                self._ground.identity,
                f"{self._ground.known} {self._ground.claiming}",
                chain,
                *blocks,
                *sql,
            ]
        )

    def look(self, at: int) -> Look:
        """Run a sheet, and take it back unless others come on top of it."""
        sheet = self._sheets[at]
        if sheet.chained:
            last = at == self._chained[-1]
            return self._look(self._advanced(at), sheet, keep=not last)
        if sheet.arranged.keeps:
            with self._ground.open() as shadow, self._examination(shadow) as alone:
                return self._look(alone, sheet, keep=True)
        if self._shared is None:
            self._shared = self._opened()
        return self._look(self._shared, sheet, keep=False)

    def _opened(self) -> Examination:
        shadow = self._stack.enter_context(self._ground.open())
        return self._stack.enter_context(self._examination(shadow))

    def _examination(self, shadow: Shadow) -> Examination:
        return Examination(shadow, claiming=self._ground.claiming)

    def _advanced(self, at: int) -> Examination:
        """The copy of the chain, on which all sheets before this one have run."""
        if self._chain is None:
            self._chain = self._opened()
        for number in self._chained:
            if self._done <= number < at:
                steps = self._sheets[number].arranged.steps
                self._chain.plainly(s.statement for s in steps if not _left_out(s))
        self._done = at + 1
        return self._chain

    def _look(self, on: Examination, sheet: Sheet, *, keep: bool) -> Look:
        blocks = steps_where(sheet.arranged.blocks, lambda step: not _left_out(step))
        steps = [step for block in blocks for step in block.steps]
        commit = keep or sheet.arranged.keeps
        made_up = StandIns(on.acting, steps, gently=self._ground.known)
        # on a schema that is known little is missed, and what misses something leaves nothing
        boldly = self._ground.known and (not commit or _fails_whole(blocks))
        if not boldly:
            made_up.make()
            on.settle()
        unless = _any_missed if boldly and commit and _in_one(blocks) else None
        examined = on.run(blocks, commit=commit, unless=unless)
        if boldly and _any_missed(examined):
            made = made_up.make()
            on.settle()
            if made or unless:
                examined = on.run(blocks, commit=commit)
        if refused := _refused(examined):
            examined = _alone(on, steps, examined, refused)
        if made_up.made:
            made_up.remove(on.acting)
        shadow = on.shadow
        facts = _facts([doubted(each, shadow.uncertain) for each in examined], made_up.made)
        return Look(facts, made_up.made, shadow.missing)


def _refused(examined: Iterable[Examined]) -> dict[int, str]:
    """The steps that the server refuses in a transaction, with why, as it alone could know."""
    return {
        each.number: each.facts.error
        for each in examined
        if not each.facts.refuses_transaction
        and (each.facts.sqlstate, each.statement.kind) in ALONE
    }


def _alone(
    on: Examination,
    steps: Sequence[Step],
    examined: Sequence[Examined],
    refused: Mapping[int, str],
) -> tuple[Examined, ...]:
    """The same, with what the server has refused in a transaction run outside any.

    What it does stays: to make an index or a file anew changes nothing for those after it.
    """
    outside = [replace(s, outside=refused[s.number]) for s in steps if s.number in refused]
    found = on.run([Block(s.number, (s,), False) for s in outside], commit=True)
    by_number = {each.number: each for each in found}
    return tuple(by_number.get(each.number, each) for each in examined)


def _left_out(step: Step) -> bool:
    """True for what is not run on a shadow: it reaches outside, or waits for a client's data."""
    statement = step.statement
    data = statement.kind == "copy" and not statement.node.filename
    return data or bool(reaches_outside(statement))


def _in_one(blocks: Sequence[Block]) -> bool:
    return len(blocks) == 1 and blocks[0].transactional


def _fails_whole(blocks: Sequence[Block]) -> bool:
    """True for what leaves nothing when its last statement fails, or can be taken back then."""
    if len(blocks) > 1:
        return False
    return all(b.transactional or b.steps[0].statement.kind not in MAY_COMMIT for b in blocks)


def _any_missed(examined: Sequence[Examined]) -> bool:
    return any(map(_missed, examined))


def _missed(step: Examined) -> bool:
    return bool(step.facts.error) and is_missing(step.facts.sqlstate, step.facts.error)


def _facts(examined: Sequence[Examined], made_up: Sequence[StandIn] = ()) -> dict[int, Facts]:
    """The facts by number; those of what was made up are no better than a guess."""
    names = {each.relation for each in made_up if each.relation}
    found = {}
    for each in examined:
        facts = each.facts
        touched = relations_of([each])
        if lacking := (*facts.lacking, *sorted(touched & names)):
            facts = replace(facts, provenance=Provenance.STATIC, lacking=lacking)
        found[each.number] = facts
    return found


# -- judging -----------------------------------------------------------------------------------


def _placed(sheet: Sheet, look: Look) -> tuple[Examined, ...]:
    """The steps in the transactions that they would run in, not those they were looked at in."""
    nothing = Facts(provenance=Provenance.STATIC)
    return tuple(
        Examined(
            step.number,
            step.statement,
            step.part,
            None if _freed(sheet, step, facts) else sheet.arranged.transactions[step.number],
            facts,
        )
        for step in sheet.arranged.steps
        for facts in [look.facts.get(step.number, nothing)]
    )


def _freed(sheet: Sheet, step: Step, facts: Facts) -> bool:
    """True for what qb runs outside a transaction because the server refuses it in one."""
    return bool(facts.refuses_transaction) and step.number in sheet.arranged.free


def _around(sheet: Sheet, known: Circumstances) -> Circumstances:
    arranged = sheet.arranged
    return replace(known, wrapped=bool(arranged.wrapped), unended=arranged.unended)


def _judged(
    sheet: Sheet, look: Look, ground: Ground, known: Circumstances, figured: Figured | None
) -> Linted:
    examined = _placed(sheet, look)
    broken: Sequence[Finding] = ()
    if figured is not None:
        made_up = {each.relation for each in look.stand_ins}
        joined, broken = figured(examined, sheet.filled)
        examined = tuple(_unsized(each, made_up) for each in joined)
    findings = judge(examined, _around(sheet, known), broken)
    whole = [*findings, *_remarks(sheet, look, examined, ground, findings)]
    files = list(dict.fromkeys(step.statement.source.file for step in examined))
    found = sorted(
        accepted(whole, sheet.texts),
        key=lambda f: (
            files.index(f.file) if f.file in files else 0,
            f.line,
            f.number,
            -f.severity.rank,
        ),
    )
    return Linted(
        sheet.file,
        examined,
        tuple(found),
        tuple(sheet.problems.values()),
        look.lacking,
    )


def _unsized(step: Examined, made_up: Collection[str]) -> Examined:
    """The step without a size of what was made up: that the target lacks it makes it not empty."""
    facts = step.facts
    known = {name: each for name, each in facts.figures.items() if name not in made_up}
    return replace(step, facts=replace(facts, figures=known))


def _remarks(
    sheet: Sheet,
    look: Look,
    examined: Sequence[Examined],
    ground: Ground,
    findings: Sequence[Finding],
) -> Iterator[Finding]:
    """What is to be said of the steps besides hazards."""
    bad = {finding.number for finding in findings if finding.severity is Severity.ERROR}
    unsure = None if ground.known else Severity.NOTICE
    for each in examined:
        facts, source = each.facts, each.statement.source
        at = Spot(source.file, source.line, each.number, each.statement.sql)
        problem = sheet.problems.get(each.number)
        made_up = [one for one in look.stand_ins if one.number == each.number]
        if made_up:
            relation = next((one.relation for one in made_up if one.relation), "")
            what = ", ".join(dict.fromkeys(one.what for one in made_up))
            yield remark(OBJECT_NOT_FOUND, at, what=what, relation=relation, severity=unsure)
        if why := reaches_outside(each.statement):
            yield remark(NOT_LOOKED_AT, at, what=why)
        elif problem is not None and facts.sqlstate in (NO_SYNTAX, ""):
            yield _unread(problem, at, ran=not facts.error)
        elif not facts.error or _for_want_of_rows(each):
            continue
        elif facts.sqlstate == TOO_LONG:
            yield remark(TAKES_TOO_LONG, at, seconds=STATEMENT_S)
        elif facts.sqlstate == NOT_ALLOWED:
            yield _not_allowed(each, at)
        elif _missed(each):
            yield remark(OBJECT_NOT_FOUND, at, what=facts.error, severity=unsure)
        elif each.number not in bad:
            yield remark(
                STATEMENT_FAILS,
                at,
                what=facts.error,
                provenance=facts.provenance,
                severity=Severity.WARNING if look.stand_ins else None,
            )


def _not_allowed(step: Examined, at: Spot) -> Finding:
    """A statement that the ordinary role of the shadow may not run."""
    text = step.facts.error
    if reached(text):
        return remark(NOT_LOOKED_AT, at, what=text, severity=Severity.NOTICE)
    relation, mode = locks_unseen(step.statement)
    lock = f"; as its text says, it takes {Lock('', mode).sql_mode} on {relation}" if mode else ""
    return remark(NEEDS_RIGHTS, at, what=f"{text}{lock}", relation=relation, lock=mode)


def _for_want_of_rows(step: Examined) -> bool:
    """True for a failure that rows of the target may well prevent, which a shadow does not have."""
    runs = step.statement.is_dml or step.statement.kind in ("do", "call")
    return runs and step.facts.sqlstate in NO_ROWS


def _unread(problem: SqlError, at: Spot, *, ran: bool) -> Finding:
    """A statement that the grammar cannot read, whether or not the server could."""
    if ran:
        return remark(UNKNOWN_STATEMENT, at, what=problem.what)
    line = problem.where.rpartition(":")[2].rpartition(" ")[2]
    at = replace(at, line=int(line)) if line.isdigit() else at
    why = f"{SYNTAX_ERROR.meaning}\n{problem.why}"
    return remark(SYNTAX_ERROR, at, what=problem.what, why=why)
