"""what is said of a file: what its statements may break, and what could not be looked at"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from qb_engine.analysis.accept import accepted
from qb_engine.analysis.examination import STATEMENT_S
from qb_engine.analysis.facts import Examined, Facts, Provenance
from qb_engine.analysis.hazards import Circumstances, Finding, Severity, judge
from qb_engine.analysis.lint import Linted
from qb_engine.analysis.looking import missed
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
from qb_engine.database.extensions import created, extension_of
from qb_engine.execution.observation import Lock
from qb_engine.shadow.outside import reached

if TYPE_CHECKING:
    from qb_engine.analysis.kept import Look
    from qb_engine.analysis.lint import Figured, Ground
    from qb_engine.analysis.sheet import Sheet
    from qb_engine.execution.blocks import Step
    from qb_engine.sql import SqlError

NO_SYNTAX, TOO_LONG, NOT_ALLOWED = "42601", "57014", "42501"  # SQLSTATEs
NO_ROWS = ("23503", "23502", "P0002")  # no row is referenced, looked up, or found


def said_of(
    sheet: Sheet, look: Look, ground: Ground, known: Circumstances, figured: Figured | None
) -> Linted:
    """What was seen of a file, judged for the place where it will run."""
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
        len(examined),
    )


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
            what = ", ".join(dict.fromkeys(_with_extension(one.what) for one in made_up))
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
        elif missed(each):
            yield remark(OBJECT_NOT_FOUND, at, what=facts.error, severity=unsure)
        elif each.number not in bad:
            yield remark(
                STATEMENT_FAILS,
                at,
                what=facts.error,
                provenance=facts.provenance,
                severity=Severity.WARNING if look.stand_ins else None,
            )


def _with_extension(what: str) -> str:
    """`type citext`, with the extension that would bring it."""
    found = extension_of(what.rpartition(" ")[2])
    return f"{what} (of the extension {found}: {created(found)})" if found else what


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
