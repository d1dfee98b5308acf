"""the safe steps of all commands, in an order that keeps their meaning, put into parts; pure"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from qb_engine.analysis.fixing.order import in_order
from qb_engine.operations.create_view import CreateView
from qb_engine.operations.drop_view import DropView
from qb_engine.operations.mentions import columns_in
from qb_engine.operations.safely import Fill, Safely, Step, Uncovered, place
from qb_engine.sql import Statement, ident, read_one

if TYPE_CHECKING:
    from qb_engine.analysis.fixing.look import Command

Answer = Safely | Uncovered | None
TURNED = "the new index is there before the old one goes, so queries have one all the time"
APART = (
    "each table is changed in a transaction of its own: no lock on one is held while another is "
    "waited for; if it stops in between, qb run goes on from there"
)


VIEWS = "views that are made again go and come with the swap: nobody is without them meanwhile"


@dataclass(frozen=True)
class Left:
    """A statement that stays as it is although it is not safe, and why."""

    statement: str
    reason: str
    todo: str = ""


@dataclass(frozen=True)
class Piece:
    """One file of the folder: its kind, and its steps in order."""

    kind: Literal["migration", "post"]
    steps: tuple[Step, ...]
    transaction: bool = True  # all in one; else each statement commits by itself


@dataclass(frozen=True)
class Composed:
    """The parts of the safe migration, its backfill, and what there is to say of them."""

    pieces: tuple[Piece, ...]
    fill: Fill | None = None
    adds: dict[str, str] = field(default_factory=dict)
    moves: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    left: tuple[Left, ...] = ()
    kept: frozenset[str] = frozenset()  # statements that stand there as they stood
    turned: bool = False  # statements stand in another order, or in more transactions

    @property
    def unchanged(self) -> bool:
        """True when every statement stands where it stood."""
        steps = [step for piece in self.pieces for step in piece.steps]
        return self.fill is None and not self.turned and not any(step.why for step in steps)

    @property
    def accepts(self) -> dict[tuple[str, str], str]:
        """Why a hazard is none, by statement and hazard."""
        return {
            (read_one(step.sql).sql, hazard): reason
            for piece in self.pieces
            for step in piece.steps
            for hazard, reason in step.accepts.items()
        }


def compose(answered: Sequence[tuple[Command, Answer]]) -> Composed:
    """Put the answers of all commands together.

    Everything that can stands before the backfill; what needs its rows, or comes after something
    that does on the same table, stands behind it, in the order that it had.
    """
    expand: list[Step] = []
    contract: list[Step] = []
    fill: Fill | None = None
    waiting: set[str] = set()  # tables on which something stands behind the backfill
    adds: dict[str, str] = {}
    notes: list[str] = []
    moves: list[str] = []
    left: list[Left] = []
    kept: set[str] = set()
    groups, turned = in_order(list(_by_statement(answered)))
    views = _made_again(groups)
    if turned:
        notes.append(TURNED)
    apart = _strong(answered)
    for group in groups:
        statement = group[0][0].statement
        touched = {place(schema, name) for schema, name in statement.relations}
        for number, (command, answer) in enumerate(group):
            if isinstance(answer, Safely) and answer.fill is not None:
                together = _together(fill, answer.fill)
                if together is None:
                    answer = Uncovered(
                        f"it needs a backfill of {answer.fill.table}, and the folder has one of "
                        f"{fill.table if fill else ''} already",
                        "put it into a migration of its own, and fix that",
                    )
                else:
                    fill = together
            if isinstance(answer, Safely):
                late = bool(touched & waiting) and answer.fill is None
                (contract if late else expand).extend(answer.expand)
                contract.extend(answer.contract)
                if late or answer.fill is not None or answer.contract:
                    waiting |= touched
                adds |= answer.adds
                notes += answer.notes
                moves += [answer.moves] if answer.moves else []
                continue
            if isinstance(answer, Uncovered):
                left.append(Left(statement.sql, answer.reason, answer.todo))
            unchanged = all(not isinstance(a, Safely) for _, a in group)
            if unchanged and number:
                continue  # the whole statement stands there already
            sql = statement.sql if unchanged else command.operation.write()
            kept.add(sql)
            (contract if touched & waiting else expand).append(Step(sql, ""))
    if views and (swapped := _with_views(expand, contract, views)):
        expand, contract = swapped
        turned = True
        notes.append(VIEWS)
    if fill is not None and not (expand or contract):
        # a way back, or why there is none, needs a file to stand in
        expand.append(Step("SELECT 1", "nothing is to be made before the backfill", down=()))
    pieces = (*_pieces("migration", expand, apart), *_pieces("post", contract, apart))
    if len(apart) > 1 and len(pieces) > 1 and not turned:
        turned = True
        notes.append(APART)
    return Composed(
        pieces, fill, adds, tuple(dict.fromkeys(moves)), tuple(dict.fromkeys(notes)), tuple(left),
        frozenset(kept), turned,
    )  # fmt: skip


def _by_statement(
    answered: Sequence[tuple[Command, Answer]],
) -> Iterable[list[tuple[Command, Answer]]]:
    groups: dict[int, list[tuple[Command, Answer]]] = {}
    for command, answer in answered:
        groups.setdefault(command.at, []).append((command, answer))
    return groups.values()


def _made_again(groups: Sequence[list[tuple[Command, Answer]]]) -> tuple[frozenset[str], ...]:
    """The statements that drop views, and those that make them again later on."""
    drops: dict[str, str] = {}
    found: tuple[set[str], set[str]] = set(), set()
    for group in groups:
        command = group[0][0]
        view, sql = command.operation, command.statement.sql
        if not isinstance(view, DropView | CreateView) or len(group) > 1:
            continue
        name = place(view.schema, view.name)
        if isinstance(view, DropView):
            drops[name] = sql
        elif name in drops:
            found[0].add(drops[name])
            found[1].add(sql)
    return tuple(map(frozenset, found)) if found[0] else ()


def _with_views(
    expand: Sequence[Step], contract: Sequence[Step], views: Sequence[frozenset[str]]
) -> tuple[list[Step], list[Step]] | None:
    """Drop views right before a swap and make them right after it, in its transaction.

    None where there is no swap, or where they do not stand around it.
    """
    drops, makes = views
    swaps = dict.fromkeys(step.together for step in contract if step.together)
    early = [step for step in expand if step.run in drops]
    late = [step for step in contract if step.run in makes]
    if len(swaps) != 1 or not early or len(late) != len(makes):
        return None
    (mark,) = swaps
    rest = [step for step in contract if step not in late]
    first = min(at for at, step in enumerate(rest) if step.together)
    last = max(at for at, step in enumerate(rest) if step.together)
    why = "in the swap's transaction, so that nobody is without it meanwhile"
    around = [[replace(s, why=why, together=mark) for s in steps] for steps in (early, late)]
    return (
        [step for step in expand if step not in early],
        [*rest[:first], *around[0], *rest[first : last + 1], *around[1], *rest[last + 1 :]],
    )


def _together(one: Fill | None, other: Fill) -> Fill | None:
    """Two backfills of one table as one; None where that cannot be."""
    if one is None:
        return other
    if place(one.schema, one.table) != place(other.schema, other.table):
        return None
    if set(one.set) & (set(other.set) | _mentioned(other)):
        return None  # the second would need to see what the first has written
    if one.where == other.where:
        values, where = {**one.set, **other.set}, one.where
    elif not one.where or not other.where:
        values = {**_only(one), **_only(other)}
        where = ""
    else:
        values = {**_only(one), **_only(other)}
        where = f"({one.where}) OR ({other.where})"
    proofs = [proof for proof in (one.proof, other.proof) if proof]
    return replace(
        one,
        set=values,
        where=where,
        why=f"{one.why}; {other.why}",
        proof=" UNION ALL ".join(f"({proof})" for proof in proofs) if proofs else "",
    )


def _mentioned(fill: Fill) -> set[str]:
    """The columns that a backfill reads, its own among them only where it computes with them."""
    texts = [value for value in fill.set.values() if value is not None]
    return {name for text in [*texts, fill.where or "true"] for name in columns_in(text)}


def _only(fill: Fill) -> dict[str, str | None]:
    """Its values, each only where it is wanted."""
    if not fill.where:
        return dict(fill.set)
    return {
        column: None
        if value is None
        else f"CASE WHEN {fill.where} THEN {value} ELSE {ident(column)} END"
        for column, value in fill.set.items()
    }


def _strong(answered: Sequence[tuple[Command, Answer]]) -> frozenset[str]:
    """The tables on which statements that stay as they are keep everybody out."""
    return frozenset(
        table
        for command, answer in answered
        if not isinstance(answer, Safely)
        for table in command.strong
    )


def _pieces(
    kind: Literal["migration", "post"], steps: Sequence[Step], strong: frozenset[str]
) -> Iterable[Piece]:
    """Steps to files: those of one transaction together, those that commit alone together.

    Strong locks on two tables are not held together.
    """
    together: list[Step] = []
    before: tuple[bool, str] | None = None
    for step in steps:
        statement = read_one(step.sql)
        alone = step.apart or bool(statement.refuses_transaction)
        table = "" if alone else _table(statement)
        table = table if step.why or table in strong else ""
        other = together[-1].together if together else ""
        if before is not None and (
            step.together != other
            or (
                not step.together
                and (alone != before[0] or (table and before[1] and table != before[1]))
            )
        ):
            yield Piece(kind, tuple(together), not before[0])
            together, before = [], None
        together.append(step)
        before = (alone, table or (before[1] if before else ""))
    if before is not None:
        yield Piece(kind, tuple(together), not before[0])


def _table(statement: Statement) -> str:
    """The table that a statement holds a strong lock on, as far as its text tells."""
    if statement.kind not in ("alter_table", "index", "rename", "drop"):
        return ""
    return next((place(schema, name) for schema, name in statement.relations), "")
