"""a file against what ran of it, statement by statement, and taking the one for the other"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from qb_engine import ledger
from qb_engine.errors import InputError, RefusedError
from qb_engine.ledger.adopt import accept, inherited
from qb_engine.migrations.model import checksum
from qb_engine.runner.crew import at_work
from qb_engine.runner.status import WHOLE, backfill_checksums
from qb_engine.secrets import mask
from qb_engine.sql import SqlError, read

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.execution.place import Place
    from qb_engine.ledger import Standing
    from qb_engine.migrations import LoadedMigration


@dataclass(frozen=True, slots=True)
class Line:
    """One statement as it ran and as the file has it; empty where one of them has none."""

    recorded: str
    file: str
    same: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """A migration's file and what ran of it. An adopted one has no recorded statements."""

    migration: str
    lines: tuple[Line, ...]
    recorded: str
    file: str
    down_recorded: str
    down_file: str
    adopted: bool = False
    fill_recorded: str = ""  # of what its backfill writes, once that is started
    fill_file: str = ""

    @property
    def same(self) -> bool:
        """True when neither way is another one, nor what is filled between them."""
        return self.recorded == self.file and self.down_same and self.fill_same

    @property
    def fill_same(self) -> bool:
        return not self.fill_recorded or self.fill_recorded == self.fill_file

    @property
    def down_same(self) -> bool:
        return not self.down_recorded or self.down_recorded == self.down_file


def compared(place: Place, migration: LoadedMigration) -> Comparison:
    """What a migration's file says now against what the ledger says ran. Nothing is changed."""
    with place.connected("qb checksum") as conn:
        return _compared(conn, migration, _standing(place, conn, migration))


def accepted(place: Place, migration: LoadedMigration, reason: str) -> Comparison:
    """Take the file as it is for what was applied; what was taken for what.

    Raise RefusedError for a migration that stopped half way (only what is whole can be accepted),
    and when no reason is given.
    """
    with at_work(place) as crew:
        standing = _standing(place, crew.control, migration)
        if standing.status not in WHOLE:
            raise RefusedError(
                f"{migration.id} is not applied as a whole",
                where=str(migration.path),
                why="it stopped half way: what its file says decides how it goes on",
                todo="qb run continues with the file as it is; or see qb repair",
                code="half-applied",
            )
        found = _compared(crew.control, migration, standing)
        if not found.same:
            if not reason.strip():
                raise RefusedError(
                    "an edited migration is not accepted without a reason",
                    where=str(migration.path),
                    why="whoever looks at the history later has nothing else to go by",
                    todo="say why: --reason TEXT",
                )
            accept(crew.control, standing.last, migration, reason)
    return found


def _standing(place: Place, conn: Connection, migration: LoadedMigration) -> Standing:
    known = ledger.standing(conn) if ledger.exists(conn) else {}
    found = known.get(migration.id)
    if found is None or found.status == "rolled back":
        raise InputError(
            f"{migration.id} is not applied here",
            where=place.target.display,
            todo="see what is with: qb status",
            code="not-applied",
        )
    return found


def _compared(conn: Connection, migration: LoadedMigration, standing: Standing) -> Comparison:
    ran: list[str] = []
    for run in reversed(ledger.history(conn, migration.id)):
        if run.direction == "down":
            ran = []
        else:
            ran += [s.sql for s in ledger.steps(conn, run.run) if s.status == "done"]
    return Comparison(
        migration.id,
        tuple(aligned(ran, [mask(statement.sql) for statement in migration.up])),
        standing.checksum,
        migration.checksum,
        standing.last.down_checksum,
        ledger.way_back(migration),
        standing.last.run in inherited(conn).runs,
        backfill_checksums(conn).get(migration.id, ""),
        migration.fill_checksum,
    )


def aligned(recorded: Sequence[str], file: Sequence[str]) -> Iterator[Line]:
    """Statements side by side; comments, white space and letter case make no difference."""
    left, right = [_key(sql) for sql in recorded], [_key(sql) for sql in file]
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        for at in range(max(i2 - i1, j2 - j1)):
            old = recorded[i1 + at] if i1 + at < i2 else ""
            new = file[j1 + at] if j1 + at < j2 else ""
            yield Line(old, new, tag == "equal")


def _key(sql: str) -> str:
    try:
        return checksum(read(sql))
    except SqlError:  # a masked literal need not be SQL any more
        return sql
