"""what the statements of a file do, seen on a copy of the ground"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from qb_engine.analysis.examination import Examination
from qb_engine.analysis.facts import Examined, Facts, Provenance
from qb_engine.analysis.kept import Look, key_of
from qb_engine.analysis.on_target import doubted, relations_of
from qb_engine.analysis.outside import reaches_outside
from qb_engine.analysis.standins import StandIn, StandIns, is_missing
from qb_engine.execution.blocks import MAY_COMMIT, Block, steps_where

if TYPE_CHECKING:
    from qb_engine.analysis.lint import Ground
    from qb_engine.analysis.page import Page
    from qb_engine.analysis.sheet import Sheet
    from qb_engine.execution.blocks import Step
    from qb_engine.shadow import Shadow

IN_TRANSACTION = "25001"  # it is refused there
ENDS_ITSELF = "2D000"  # a procedure that commits, called in a transaction
ALONE = (
    (IN_TRANSACTION, "reindex"),
    (IN_TRANSACTION, "cluster"),
    (ENDS_ITSELF, "call"),
    (ENDS_ITSELF, "do"),
)


class Looker:
    """Holds the copies of the ground that files are looked at on; each is made when needed."""

    def __init__(self, pages: Sequence[Page], ground: Ground) -> None:
        self._pages = pages
        self._ground = ground
        self._stack = ExitStack()
        self._shared: Examination | None = None
        self._chain: Examination | None = None
        self._done = 0  # sheets of the chain that have run on its copy
        self._chained = [at for at, page in enumerate(pages) if page.chained]
        self._keys: list[str] = []  # of each sheet: of the chain until then
        self._ground_key = key_of([ground.identity, f"{ground.known} {ground.claiming}"])

    def __enter__(self) -> Looker:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def key(self, at: int) -> str:
        """All that the look at a sheet depends on."""
        while len(self._keys) <= at:
            sheet = self._pages[len(self._keys)].sheet
            before = self._keys[-1] if self._keys else ""
            own = [s.statement.sql for s in sheet.arranged.steps] if sheet.chained else []
            self._keys.append(key_of([before, *own]) if own else before)
        sheet = self._pages[at].sheet
        arranged = sheet.arranged
        chain = (self._keys[at - 1] if at else "") if sheet.chained else ""
        blocks = [f"{b.transactional} {[s.number for s in b.steps]}" for b in arranged.blocks]
        sql = [step.statement.sql for step in arranged.steps]
        return key_of([self._ground_key, chain, *blocks, *sql])

    def look(self, at: int) -> Look:
        """Run a sheet, and take it back unless others come on top of it."""
        sheet = self._pages[at].sheet
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
                steps = self._pages[number].sheet.arranged.steps
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
    return any(map(missed, examined))


def missed(step: Examined) -> bool:
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
