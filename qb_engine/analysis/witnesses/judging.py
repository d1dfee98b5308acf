"""claims of a migration's steps, asked of the target, as findings"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from qb_engine.analysis.facts import Examined, Provenance, WorkKind
from qb_engine.analysis.hazards.hazard import Finding, Severity
from qb_engine.analysis.witnesses.asking import Answer, answer
from qb_engine.execution.observation import strength

if TYPE_CHECKING:
    from qb_engine.analysis.witnesses.claim import Claim
    from qb_engine.database.connect import Connection

HAZARD = "data-violates-constraint"
STATEMENT_S = 5.0  # for one claim
TOTAL_S = 60.0  # for all of them
WHY = (
    "The statement fails at the first such row, after it has waited for its locks and read the "
    "table; nothing after it runs."
)
DATA = ("insert", "update", "delete", "merge", "copy", "truncate")
EMPTIES = ("delete", "truncate")
ANY = ("do", "call", "select")  # may change rows, too
WRITES = strength("RowExclusiveLock")
VERBS = {"have": "has", "break": "breaks", "share": "shares", "do": "does", "belong": "belongs"}
VERBS["are"] = "is"
LONGEST = 240  # of a condition in a message


def findings(
    conn: Connection,
    examined: Sequence[Examined],
    *,
    filled: Collection[str] = (),
    statement_s: float = STATEMENT_S,
    total_s: float = TOTAL_S,
) -> tuple[Finding, ...]:
    """What the rows that are on the target now break, statement by statement.

    `filled` names the tables that a backfill changes before the `post` part. Where an earlier
    statement changes the rows, what they break now is a notice: the statement may mend it. `conn`
    is in no transaction, and only reads.
    """
    deadline = time.monotonic() + total_s
    found: list[Finding] = []
    for step, claim, depends in asked(examined, filled):
        left = min(statement_s, deadline - time.monotonic())
        given = (
            answer(conn, claim, left)
            if left > 0
            else Answer(None, why=f"the {total_s:.0f} s for all such questions are over")
        )
        if (finding := _finding(step, claim, given, depends)) is not None:
            found.append(finding)
    return tuple(dict.fromkeys(found))


def asked(
    examined: Sequence[Examined], filled: Collection[str] = ()
) -> Iterator[tuple[Examined, Claim, bool]]:
    """The claims that the target can be asked, and whether earlier statements change the rows."""
    added: dict[tuple[str, str], bool] = {}  # columns of this migration, and whether NULL at first
    made: set[str] = set()
    for number, step in enumerate(examined):
        changes = step.facts.changes
        made |= set(changes.created) | changes.new
        own = {(c.table, c.name): c.default is None for c in changes.added_columns}
        for claim in step.facts.claims:
            if claim.relation in made or _proved(step, claim):
                continue
            relations = (claim.relation, *claim.needs)
            # a backfill or an UPDATE mends values, but there are rows as before
            kinds = EMPTIES if claim.kind == "new column" else DATA
            earlier = examined[:number]
            depends = any(_changes(e, name, kinds) for e in earlier for name in relations)
            depends = depends or any(_converts(e, claim) for e in earlier)
            if step.part.startswith("post") and claim.relation in filled:
                depends = depends or kinds is DATA
            new = {(claim.relation, name) for name in claim.columns} & (added.keys() | own.keys())
            if new and claim.kind != "new column":
                if claim.kind != "not null" or depends or not all(added.get(c) for c in new):
                    continue
                claim = _every_row(claim)
            yield step, claim, depends
        added |= own


def _every_row(claim: Claim) -> Claim:
    """The claim about a column that the migration adds: it is NULL in every row."""
    return replace(claim, source=f"FROM {claim.table}")


def _proved(step: Examined, claim: Claim) -> bool:
    """True when the server has said that what is there proves the claim."""
    return claim.kind == "not null" and any(
        work.relation == claim.relation and work.column in claim.columns
        for work in step.facts.works(WorkKind.PROVED)
    )


def _changes(step: Examined, relation: str, kinds: tuple[str, ...]) -> bool:
    """True when a step may change rows of a relation, in one of these ways."""
    schema, _, table = relation.partition(".")
    kind = step.statement.kind
    if kind in DATA and kind not in kinds:
        return False
    if kind in DATA:
        named = any(n == table and s in ("", schema) for s, n in step.statement.relations)
        return named or strength(step.facts.mode(relation)) >= WRITES
    if kind in ANY:
        return strength(step.facts.mode(relation)) >= WRITES or table in step.statement.sql
    return False


def _converts(step: Examined, claim: Claim) -> bool:
    """True when a step gives a column that a claim is about another type."""
    return any(
        change.after.table == claim.relation and change.after.name in claim.columns
        for change in step.facts.changes.retyped_columns
    )


def _finding(step: Examined, claim: Claim, given: Answer, depends: bool) -> Finding | None:
    if given.broken == 0:
        return None
    severity, fix, why = Severity.ERROR, "", WHY
    if given.broken is None:
        severity = Severity.NOTICE
        broken = _verbs(claim.says, 2)
        message = f"whether rows of {claim.relation} {broken} is not known: {given.why}"
        why = "The statement fails when there is such a row."
        if given.absent:
            why = "It depends on the statements before it."
    else:
        message = _counted(claim, given)
        fix = "mend or remove these rows first"
        if given.query:
            fix += f"; they are found by: {given.query}"
        if depends:
            severity = Severity.NOTICE
            message += "; the statements before it change its rows, so it depends on them"
            why = "The statement fails when such a row is left by the statements before it."
    return Finding(
        HAZARD,
        severity,
        step.number,
        step.statement.sql,
        step.statement.source.file,
        step.statement.source.line,
        claim.relation,
        step.facts.mode(claim.relation),
        message,
        why,
        fix,
        Provenance.CATALOG,
    )


def _counted(claim: Claim, given: Answer) -> str:
    number = given.broken or 0
    count = f"at least {number}" if given.more else str(number)
    rows = "row" if number == 1 else "rows"
    text = f"{count} {rows} of {claim.relation} {_verbs(claim.says, number)}"
    return text + _examples(given.keys)


def _examples(keys: Iterable[str]) -> str:
    found = "; ".join(keys)
    return f" ({found})" if found else ""


def _verbs(says: str, number: int) -> str:
    """What is said of one row, or of several: it may begin with a verb in braces."""
    if says.startswith("{"):
        verb, _, rest = says[1:].partition("}")
        says = f"{VERBS[verb] if number == 1 else verb}{rest}"
    return says if len(says) <= LONGEST else says[: LONGEST - 3] + "..."
