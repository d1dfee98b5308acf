"""migrations that stopped half way: what the ledger, the file and the catalog say of each"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from qb_engine import ledger
from qb_engine.errors import QbError
from qb_engine.execution import blocks
from qb_engine.ledger.decisions import last_detail
from qb_engine.migrations import Broken
from qb_engine.runner.resume import found_now
from qb_engine.secrets import mask
from qb_engine.sql import Source, read_one

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.execution import Block, Step
    from qb_engine.ledger import Run, StepRow
    from qb_engine.migrations import LoadedMigration, Migrations, Part

UNDO = "undo begun"  # the event that tells what a way back consists of

State = Literal["committed", "finished", "cut off", "unknown", "to run", "edited"]


@dataclass(frozen=True, slots=True)
class StepState:
    """One statement of a run that stopped: how it stands, and what the catalog says of it.

    `committed` and `finished` (seen in the catalog) stand; `cut off` did not finish and `to run`
    did not start; of `unknown` nobody can tell. An `edited` one stands, and the file says
    something else.
    """

    number: int
    part: str
    sql: str
    state: State
    said: str = ""
    clear: tuple[str, ...] = ()

    @property
    def stands(self) -> bool:
        return self.state in ("committed", "finished", "edited")


@dataclass(frozen=True, slots=True)
class Case:
    """One migration that stopped half way, up or down.

    `file` says what is wrong with its file, if anything; then it has no `migration` that could go
    on. `undoing` is the way back of `qb repair --undo` that stopped, as a migration.
    """

    run: Run
    steps: tuple[StepState, ...]
    migration: LoadedMigration | None = None
    parts: tuple[Part, ...] = ()
    file: str = ""
    undoing: bool = False

    @property
    def id(self) -> str:
        return self.run.migration

    @property
    def down(self) -> bool:
        return self.run.direction == "down"

    @property
    def blocked(self) -> str:
        """Why it cannot simply go on; empty when it can."""
        if self.file:
            return self.file
        edited = [s for s in self.steps if s.state == "edited"]
        if edited:
            return (
                f"statement {edited[0].number} was edited after it was committed as: "
                f"{edited[0].sql}"
            )
        return next(
            (f"of statement {s.number}: {s.said}" for s in self.steps if s.state == "unknown"), ""
        )


def cases(conn: Connection, migrations: Migrations) -> tuple[Case, ...]:
    """Every migration that stopped half way, in the order they ran. Only reads."""
    if not ledger.exists(conn):
        return ()
    known = [s for s in ledger.standing(conn).values() if s.status in ("partial", "partial down")]
    return tuple(_case(conn, migrations, s.last) for s in sorted(known, key=lambda s: s.last.run))


def coming_back(found: Iterable[Case]) -> frozenset[str]:
    """The statements that remove what is half made, before half applied migrations go on."""
    open_ones = (step for case in found for step in case.steps if not step.stands)
    return frozenset(sql for step in open_ones for sql in step.clear)


def decided(case: Case, cut_off: str) -> Case:
    """The same with the user's word on statements of whose end nobody can tell.

    `redo` says that they did not finish, `skip` that they did; `ask` leaves them open.
    """
    words: dict[str, State] = {"redo": "cut off", "skip": "finished"}
    if cut_off not in words:
        return case
    steps = tuple(
        replace(s, state=words[cut_off]) if s.state == "unknown" else s for s in case.steps
    )
    return replace(case, steps=steps)


def undoing(migration: LoadedMigration, detail: dict[str, list[str]]) -> LoadedMigration:
    """A migration whose way back is the one that was written down when it began."""
    parts = []
    for part in migration.parts:
        texts = detail.get(part.file, [])
        source = Source(f"the way back of {part.file}")
        down = tuple(read_one(text, source) for text in texts)
        parts.append(replace(part, down=down, irreversible=""))
    return replace(migration, parts=tuple(parts))


def part_order(
    migration: LoadedMigration, run: Run, steps: tuple[StepRow, ...]
) -> tuple[Part, ...]:
    """The parts that a run is about."""
    files = {step.part for step in steps}
    after, first = migration.after_backfill(), migration.before_backfill()
    if run.direction == "up":
        return after if files & {part.file for part in after} else first
    return parts_back(migration, steps)


def parts_back(migration: LoadedMigration, steps: tuple[StepRow, ...]) -> tuple[Part, ...]:
    """The parts that a way back is about which has begun: it began with the last of them."""
    files = [part.file for part in migration.parts]
    begun = [step.part for step in steps[:1] if step.part in files]
    return migration.parts[: files.index(begun[0]) + 1] if begun else migration.parts


def _case(conn: Connection, migrations: Migrations, run: Run) -> Case:
    rows = ledger.steps(conn, run.run)
    migration, trouble = _file(migrations, run)
    way = last_detail(conn, run.run, UNDO)
    if migration is not None and way is not None:
        try:
            migration = undoing(migration, way["parts"])
        except QbError as error:  # a secret in it is not kept
            migration, trouble = None, f"its way back cannot be read again: {error.what}"
        if way["secret"]:
            migration, trouble = None, "its way back holds a secret, which the ledger does not keep"
    if migration is None:
        return Case(run, tuple(_recorded(rows)), file=trouble, undoing=way is not None)
    parts = part_order(migration, run, rows)
    arranged = blocks(parts, down=run.direction == "down")
    steps = tuple(_steps(conn, arranged, rows))
    missing = [s for s in _recorded(rows) if s.number not in {each.number for each in steps}]
    lost = [s for s in missing if s.stands]
    if lost:
        trouble = f"statement {lost[0].number} is not in the file any more: {lost[0].sql}"
    return Case(run, (*steps, *lost), migration, parts, trouble, way is not None)


def _file(migrations: Migrations, run: Run) -> tuple[LoadedMigration | None, str]:
    """The migration of a run, or what is wrong with its file."""
    entry = next((e for e in migrations.entries if e.id == run.migration), None)
    if entry is None:
        return None, f"the file of {run.migration} is gone"
    loaded = migrations.loaded(entry)
    if isinstance(loaded, Broken):
        return None, f"the file of {run.migration} cannot be read: {loaded.error.what}"
    return loaded, ""


def _recorded(rows: tuple[StepRow, ...]) -> Iterator[StepState]:
    """What the ledger alone says."""
    for row in rows:
        if row.status == "done":
            yield StepState(row.number, row.part, row.sql, "committed")
        elif row.status == "running" and not row.transactional:
            yield StepState(row.number, row.part, row.sql, "unknown", "it was cut off")


def _steps(
    conn: Connection, arranged: tuple[Block, ...], rows: tuple[StepRow, ...]
) -> Iterator[StepState]:
    """Every statement of the file with what the ledger and the catalog say."""
    recorded = {row.number: row for row in rows}
    for block in arranged:
        for step in block.steps:
            yield _step(conn, step, recorded.get(step.number))


def _step(conn: Connection, step: Step, row: StepRow | None) -> StepState:
    sql = mask(step.statement.sql)
    if row is not None and row.status == "done":
        if row.sql != sql:
            return StepState(step.number, step.part, row.sql, "edited", f"the file says: {sql}")
        return StepState(step.number, step.part, sql, "committed")
    if row is None or row.status != "running" or row.transactional:
        said = f"failed: {row.error}" if row is not None and row.error else ""
        return StepState(step.number, step.part, sql, "to run", said)
    found = found_now(conn, step, row)
    if found.verdict == "finished" and row.sql != sql:
        return StepState(
            step.number, step.part, row.sql, "edited", f"{found.said}; the file says: {sql}"
        )
    states: dict[str, State] = {
        "finished": "finished", "unknown": "unknown",
        "unfinished": "cut off", "repeatable": "cut off",
    }  # fmt: skip
    return StepState(step.number, step.part, sql, states[found.verdict], found.said, found.clear)
