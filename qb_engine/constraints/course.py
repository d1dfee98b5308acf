"""what the statements so far have made, dropped and renamed"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from qb_engine.operations import Generic, Operation, Requirement, Schema
from qb_engine.operations.mentions import as_is
from qb_engine.sql import Statement, read_one
from qb_engine.sql.relations import Place as Named
from qb_engine.sql.relations import used, writes

Place = tuple[str, str]
"""Schema and name."""


@dataclass
class Course:
    """What the statements so far have made, dropped and renamed."""

    schema: Schema
    made: set[Place] = field(default_factory=set)
    gone: set[Place] = field(default_factory=set)
    tables: dict[Place, Place] = field(default_factory=dict)  # new name to name at the start
    columns: dict[tuple[Place, str], str | None] = field(default_factory=dict)  # None: made here
    dropped: set[tuple[Place, str]] = field(default_factory=set)
    indexes: set[tuple[str, str]] = field(default_factory=set)

    def before(self, wanted: Requirement) -> Requirement | None:
        """A requirement as it was before the first statement; None when it was none then."""
        now = _place(wanted.schema, wanted.table)
        place = self.tables.get(now, now)
        if now in self.made:
            return None
        if wanted.column is None and wanted.index is None:
            if not wanted.must_exist and now in self.gone:
                return None
            return replace(wanted, schema=place[0], table=place[1])
        if wanted.index is not None:
            if (place[0], wanted.index) in self.indexes:
                return None
            return replace(wanted, schema=place[0], table=place[1])
        assert wanted.column is not None
        column = self.columns.get((place, wanted.column), wanted.column)
        if column is None or (not wanted.must_exist and (place, wanted.column) in self.dropped):
            return None
        if wanted.must_exist and (place, column) != (now, wanted.column):
            return as_is(self.schema, place[1], place[0], column)
        return replace(wanted, schema=place[0], table=place[1], column=column)

    def after(self, operation: Operation) -> None:
        """Remember what an operation makes, drops and renames."""
        from qb_engine.operations import (
            AddColumn,
            CreateIndex,
            CreateTable,
            CreateTableAs,
            CreateView,
            DropColumn,
            DropIndex,
            DropTable,
            DropView,
            RenameColumn,
            RenameTable,
        )

        match operation:
            case CreateTable() | CreateTableAs():
                self.made.add(_place(operation.schema, operation.table))
            case CreateView():
                self.made.add(_place(operation.schema, operation.name))
            case DropTable() | DropView():
                self.gone.add(_place(operation.schema, operation.name))
                self.made.discard(_place(operation.schema, operation.name))
            case RenameTable():
                self._rename(_place(operation.schema, operation.table), operation.to)
            case AddColumn():
                self.columns[self._now(operation), operation.column] = None
            case DropColumn():
                self.dropped.add((self._now(operation), operation.column))
            case RenameColumn():
                place = self._now(operation)
                first = self.columns.pop((place, operation.column), operation.column)
                self.columns[place, operation.to] = first
                self.dropped.add((place, operation.column))
            case CreateIndex(name=str(name)):
                self.indexes.add((operation.schema or "public", name))
            case DropIndex():
                self.indexes.add((operation.schema or "public", operation.name))
            case Generic():
                for schema, name in used(read_one(operation.sql).node).created:
                    self.made.add(_place(schema, name))

    def only_own(self, statement: Statement) -> bool:
        """True when all that a statement writes to was made by the statements before it.

        Then it needs no way back of its own: theirs takes its rows away.
        """
        written = writes(statement.node)
        return bool(written) and all(self._own(*each) for each in written)

    def _own(self, named: Named, columns: tuple[str, ...]) -> bool:
        now = _place(*named)
        if now in self.made:
            return True
        place = self.tables.get(now, now)
        return bool(columns) and all(self.columns.get((place, c), c) is None for c in columns)

    def _now(self, operation: Any) -> Place:
        now = _place(operation.schema, operation.table)
        return self.tables.get(now, now)

    def _rename(self, old: Place, to: str) -> None:
        new = (old[0], to)
        if old in self.made:
            self.made.discard(old)
            self.made.add(new)
        else:
            self.tables[new] = self.tables.pop(old, old)
        self.gone.add(old)


def _place(schema: str | None, name: str) -> Place:
    return schema or "public", name
