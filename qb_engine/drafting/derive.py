"""the way back of a migration: statement by statement, and proven where a scratch is at hand"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import psycopg

from qb_engine import operations
from qb_engine.constraints import Course, Use, uses
from qb_engine.database.connect import lost, server_error
from qb_engine.drafting.overlay import after
from qb_engine.operations import Inverse, Irreversible, Operation, Schema
from qb_engine.schema import ObjectId, Snapshot, diff, snapshot
from qb_engine.sql import SqlError, Statement
from qb_engine.sql.whole_server import WHOLE_SERVER

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection


@dataclass(frozen=True)
class WayBack:
    """The statements that undo one part, what they cannot bring back, or why there are none."""

    down: tuple[str, ...] = ()
    loses: tuple[str, ...] = ()
    irreversible: str = ""


@dataclass(frozen=True)
class Derived:
    """The way back of each part, what PostgreSQL said the statements use, and notes."""

    parts: tuple[WayBack, ...]
    uses: Mapping[Statement, tuple[Use, ...] | None] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    proven: bool = False


def derive(
    parts: Sequence[Sequence[Statement]], start: Snapshot, scratch: Connection | None = None
) -> Derived:
    """The way back of statements, part by part, in the order they run.

    `scratch` is an autocommit connection to a throw-away database with the schema `start`: there
    the statements run, so that each inverse knows the schema before its statement, and the whole
    way back is run and compared. Without one, what an earlier statement changed is not known.
    """
    if scratch is None:
        return Derived(tuple(_on_paper(parts, start)))
    try:
        return _on_scratch(parts, scratch)
    except _FailedError as failed:
        note = f"the statements do not run on an empty copy of the target: {failed}"
        return Derived(tuple(_on_paper(parts, start)), notes=(note,))


# -- without a scratch ---------------------------------------------------------------------------


def _on_paper(parts: Sequence[Sequence[Statement]], start: Snapshot) -> Iterable[WayBack]:
    schema, course = start, Course(start)
    for statements in parts:
        steps: list[Inverse | Irreversible] = []
        for statement in statements:
            steps += _inverses(statement, schema, course)
            for operation in operations.read(statement):
                schema = after(schema, operation)
        yield _composed(steps)


def _inverses(statement: Statement, schema: Schema, course: Course) -> list[Inverse | Irreversible]:
    """The inverses of a statement's commands; rows in what the migration makes need none."""
    own = course.only_own(statement)
    found: list[Inverse | Irreversible] = []
    for operation in operations.read(statement):
        try:
            found.append(Inverse(()) if own else operation.inverse(schema))
        except SqlError as error:
            found.append(Irreversible(f"its way back cannot be written: {error.what}"))
        course.after(operation)
    return found


def _composed(inverses: Sequence[Inverse | Irreversible]) -> WayBack:
    """The inverses of statements, last one first; irreversible when one of them is."""
    for inverse in inverses:
        if isinstance(inverse, Irreversible):
            return WayBack(irreversible=f"because {inverse.reason}")
    whole = [each for each in inverses if isinstance(each, Inverse)]
    return WayBack(
        down=tuple(
            step.write() if isinstance(step, Operation) else step
            for each in reversed(whole)
            for step in each.steps
        ),
        loses=tuple(dict.fromkeys(each.loses for each in whole if each.loses)),
    )


# -- on a scratch --------------------------------------------------------------------------------


class _FailedError(Exception):
    """A statement that the scratch refused."""


class _Now:
    """The schema of a connection's database as it is now, read when it is first asked for."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        self._found: Snapshot | None = None

    @property
    def whole(self) -> Snapshot:
        if self._found is None:
            self._found = snapshot(self._conn)
        return self._found

    @property
    def facts(self) -> Mapping[ObjectId, Mapping[str, Any]]:
        return self.whole.facts

    def table(self, name: str, schema: str = "public") -> Any:
        return self.whole.table(name, schema)

    def find(self, kind: str, schema: str, name: str, sub: str = "") -> Any:
        return self.whole.find(kind, schema, name, sub)


def _on_scratch(parts: Sequence[Sequence[Statement]], scratch: Connection) -> Derived:
    before = snapshot(scratch)
    told: dict[Statement, tuple[Use, ...] | None] = {}
    found: list[WayBack] = []
    notes: list[str] = []
    course = Course(before)
    for statements in parts:
        steps: list[Inverse | Irreversible] = []
        for statement in statements:
            if statement.is_dml and statement not in told:
                told[statement] = uses(scratch, statement)
            now: Schema = _Now(scratch)
            # the inverses are made before the statement runs: they read the schema before it
            steps += _inverses(statement, now, course)
            if statement.kind in WHOLE_SERVER:
                notes.append(
                    f"not tried, since it changes the whole server: {statement.first_line}"
                )
            else:
                _run(scratch, statement.sql)
        found.append(_composed(steps))
    if any(way.irreversible for way in found):
        return Derived(tuple(found), MappingProxyType(told), tuple(notes))
    trouble = _prove(scratch, before, found)
    if trouble:
        found = [
            WayBack(irreversible=f"because the derived way back {trouble}") if way.down else way
            for way in found
        ]
    return Derived(tuple(found), MappingProxyType(told), tuple(notes), proven=not trouble)


def _prove(scratch: Connection, before: Snapshot, parts: Sequence[WayBack]) -> str:
    """Run the way back; say what is then not as it was. Empty when all is."""
    try:
        for way in reversed(parts):
            for sql in way.down:
                _run(scratch, sql)
    except _FailedError as failed:
        return f"fails: {failed}"
    for difference in diff(before, snapshot(scratch)):
        # a column that was dropped comes back as the last one, which is said as a loss
        if difference.id.kind == "table" and _only_order(difference.expected, difference.found):
            continue
        return f"leaves a difference: {difference.sentence()}"
    return ""


def _only_order(one: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> bool:
    if one is None or other is None:
        return False
    return {**one, "columns": sorted(one["columns"])} == {
        **other, "columns": sorted(other["columns"]),
    }  # fmt: skip


def _run(conn: Connection, sql: str) -> None:
    try:
        conn.execute(sql.encode())
    except psycopg.Error as error:
        if lost(error):
            raise server_error("deriving the way back", error) from error
        line = " ".join(sql.split())[:80]
        message = error.diag.message_primary or str(error)
        raise _FailedError(f"{line}: {message}") from None
