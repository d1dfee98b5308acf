"""ADD COLUMN"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import field
from typing import Any, Self

from qb_engine.operations.column import Column, clauses, collation
from qb_engine.operations.mentions import by_columns, references
from qb_engine.operations.on_table import TableOperation, commands
from qb_engine.operations.operation import (
    Inverse,
    Irreversible,
    Requirement,
    Schema,
    normalise,
    operation,
)
from qb_engine.operations.safely import Safely, Seen, Uncovered, place
from qb_engine.sql.tree import expression, type_name


@operation
class AddColumn(TableOperation):
    """Add a column to a table.

    `default` and `constraints` are SQL; the rest are names as they are.

    >>> AddColumn("users", "email", "text", nullable=False, default="''").write()
    "ALTER TABLE users ADD COLUMN email text NOT NULL DEFAULT ''"
    """

    column: str
    type: str
    nullable: bool = True
    default: str | None = None
    collation: str | None = field(default=None, kw_only=True)
    constraints: tuple[str, ...] = field(default=(), kw_only=True)
    if_not_exists: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        normalise(self, "type", type_name)
        normalise(self, "default", expression)
        normalise(self, "constraints", clauses)
        normalise(self, "collation", collation)

    @property
    def definition(self) -> Column:
        """The column itself."""
        return Column(
            self.column, self.type, self.nullable, self.default, self.collation, self.constraints
        )

    @classmethod
    def read(cls, node: Any) -> Iterator[Self]:
        for at, command in commands(node, "AddColumn"):
            new = Column.read(getattr(command, "def").column_def)
            yield cls(
                column=new.name,
                type=new.type,
                nullable=new.nullable,
                default=new.default,
                collation=new.collation,
                constraints=new.constraints,
                if_not_exists=command.missing_ok,
                **at,
            )

    def write(self) -> str:
        clause = "IF NOT EXISTS " if self.if_not_exists else ""
        return f"{self.alter} ADD COLUMN {clause}{self.definition.write()}"

    def inverse(self, schema: Schema) -> Inverse | Irreversible:
        from qb_engine.operations.drop_column import DropColumn

        if self.if_not_exists:
            table = self.before(schema)
            if table is not None and self.column in table.columns:
                return Inverse(())
        drop = DropColumn(self.table, self.column, only=self.only, **self.place())
        return Inverse((drop,), loses=f"what was written into {self.table}.{self.column}")

    def requires(self, schema: Schema) -> Iterable[Requirement]:
        yield from self.must_exist()
        if not self.if_not_exists:
            yield Requirement(self.table, self.schema, self.column, must_exist=False)
        for clause in self.constraints:
            for name in by_columns((), clause):
                if name != self.column:
                    yield self.column_as_is(schema, name)
            yield from references(schema, f"c int {clause}")

    def safely(self, schema: Schema, seen: Seen) -> Safely | Uncovered | None:
        from qb_engine.operations import adding

        at = place(self.schema, self.table)
        valueless = not self.nullable and self.default is None and not self.constraints
        if at in seen.works or (valueless and not adding.is_serial(self) and seen.filled(at)):
            return adding.safely(self, schema, seen)
        return None
