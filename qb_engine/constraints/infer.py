"""from the SQL of a migration to what it relies on"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from qb_engine import operations
from qb_engine.constraints.shape import table_key
from qb_engine.constraints.uses import Use
from qb_engine.operations import Generic, Operation, Requirement, Schema
from qb_engine.operations.mentions import as_is
from qb_engine.sql import Statement
from qb_engine.sql.relations import used

Place = tuple[str, str]
Uses = Mapping[Statement, Iterable[Use] | None]


def infer(
    statements: Iterable[Statement], schema: Schema, uses: Uses | None = None
) -> dict[str, Any]:
    """Every table and column that statements rely on, with type and nullability as they stand.

    What the statements make themselves is not required. `uses` holds what PostgreSQL said about
    a statement; for the others the parse tree and the schema decide.
    """
    state = _State(schema)
    found: dict[str, dict[str, Any]] = {}
    for statement in statements:
        told = (uses or {}).get(statement)
        for operation in operations.read(statement):
            for requirement in _requirements(operation, schema, told):
                if (wanted := state.before(requirement)) is not None:
                    _add(found, wanted)
            state.after(operation)
    return found


def _requirements(
    operation: Operation, schema: Schema, told: Iterable[Use] | None
) -> Iterator[Requirement]:
    if told is None:
        yield from operation.requires(schema)
        return
    for use in told:
        yield Requirement(use.table, use.schema)
        if use.column is not None:
            yield as_is(schema, use.table, use.schema, use.column)


@dataclass
class _State:
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
                from qb_engine.sql import read_one

                for schema, name in used(read_one(operation.sql).node).created:
                    self.made.add(_place(schema, name))

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


def _add(found: dict[str, dict[str, Any]], wanted: Requirement) -> None:
    """Merge a requirement into the constraints."""
    table = found.setdefault(table_key(wanted.schema, wanted.table), {"must_exist": True})
    if wanted.column is not None:
        column = table.setdefault("columns", {}).setdefault(wanted.column, {})
        if not wanted.must_exist:
            column["must_exist"] = False
        if wanted.type is not None:
            column["type"] = wanted.type
        if wanted.nullable is not None:
            column["nullable"] = wanted.nullable
    elif wanted.index is not None:
        index = table.setdefault("indexes", {}).setdefault(wanted.index, {})
        index["must_exist"] = wanted.must_exist
    elif not wanted.must_exist and table == {"must_exist": True}:
        table["must_exist"] = False
