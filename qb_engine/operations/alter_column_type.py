"""ALTER COLUMN TYPE"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import field
from typing import Any, Self

from qb_engine.operations import partitions, rebuild
from qb_engine.operations.column import Column, collation
from qb_engine.operations.drop_default import DropDefault
from qb_engine.operations.mentions import columns_in
from qb_engine.operations.on_table import TableOperation, commands
from qb_engine.operations.operation import (
    Inverse,
    Irreversible,
    Operation,
    Requirement,
    Schema,
    normalise,
    operation,
)
from qb_engine.operations.safely import Safely, Seen, Uncovered, place
from qb_engine.operations.set_default import SetDefault
from qb_engine.sql import ident
from qb_engine.sql.tree import (
    expression,
    expression_of,
    only,
    parse,
    pb,
    type_name,
    type_name_of,
)


@operation
class AlterColumnType(TableOperation):
    """Change a column's type; `using` is an SQL expression that converts the old value.

    >>> AlterColumnType("users", "age", "bigint", using="age::bigint").write()
    'ALTER TABLE users ALTER COLUMN age TYPE bigint USING age::bigint'
    """

    column: str
    type: str
    using: str | None = field(default=None, kw_only=True)
    collation: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        normalise(self, "type", type_name)
        normalise(self, "using", expression)
        normalise(self, "collation", collation)

    @classmethod
    def read(cls, node: Any) -> Iterator[Self]:
        for at, command in commands(node, "AlterColumnType"):
            new = getattr(command, "def").column_def
            yield cls(
                column=command.name,
                type=type_name_of(new.type_name),
                using=expression_of(new.raw_default) if new.HasField("raw_default") else None,
                collation=Column.read(new).collation,
                **at,
            )

    def write(self) -> str:
        collate = f" COLLATE {self.collation}" if self.collation else ""
        using = f" USING {self.using}" if self.using is not None else ""
        return f"{self.alter} ALTER COLUMN {ident(self.column)} TYPE {self.type}{collate}{using}"

    def inverse(self, schema: Schema) -> Inverse | Irreversible:
        table = self.before(schema)
        found = table.columns.get(self.column) if table else None
        if table is None or found is None:
            return Irreversible(f"the type of {self.table}.{self.column} before is not known")
        for part in partitions.below(schema, table):
            for index in partitions.own_indexes(schema, part):
                if part.partition_of and self.column in rebuild.columns_of(index):
                    return Irreversible(
                        f"{part.name} has the index {index.name} of its own on {self.column}, "
                        "which PostgreSQL may take for a part of the whole's"
                    )
        at = {"only": self.only, **self.place()}
        using = None
        if self.using is not None:
            through = self._casts()
            if through is None:
                return Irreversible(f"USING {self.using} cannot be turned round")
            # back through the types that it went through: there may be no cast across
            between = [t for t in reversed(through) if t not in (self.type, found.type)]
            using = "::".join([ident(self.column), *between, found.type])
        elif is_text(self.type) and not is_text(found.type):
            # every type becomes text by assignment, and none comes back without a cast
            using = f"{ident(self.column)}::{found.type}"
        back: list[Operation | str] = [
            AlterColumnType(
                self.table,
                self.column,
                found.type,
                using=using,
                collation=rebuild.collation(found),
                **at,
            )
        ]
        if found.default is not None and not found.generated:
            back.insert(0, DropDefault(self.table, self.column, **at))
            back.append(SetDefault(self.table, self.column, found.default, **at))
        if bare(self.type) != bare(found.type):
            # PostgreSQL writes casts into what compares the column, and leaves them there
            before, after = rebuild.expressions(schema, table, self.column)
            back = [*before, *back, *after]
        back += partitions.comments(schema, table)
        return Inverse(tuple(back), loses=f"what the conversion to {self.type} rounded off or cut")

    def requires(self, schema: Schema) -> Iterable[Requirement]:
        yield from self.must_exist()
        yield self.column_as_is(schema, self.column)
        for name in columns_in(self.using) if self.using else ():
            if name != self.column:
                yield self.column_as_is(schema, name)

    def safely(self, schema: Schema, seen: Seen) -> Safely | Uncovered | None:
        from qb_engine.operations import swapping

        if place(self.schema, self.table) not in seen.works:
            return None
        return swapping.safely(self, schema, seen)

    def _casts(self) -> list[str] | None:
        """The types that USING casts the column itself to, one after the other; None for more."""
        node = only(parse(f"SELECT {self.using}").target_list[0].res_target.val)
        found: list[str] = []
        while isinstance(node, pb.TypeCast):
            found.insert(0, type_name_of(node.type_name))
            node = only(node.arg)
        own = isinstance(node, pb.ColumnRef) and only(node.fields[-1]).sval == self.column
        return found if own else None


def bare(type: str) -> str:
    """A type without its length or precision."""
    return re.sub(r"\([\d, ]*\)", "", type).strip()


def is_text(type: str) -> bool:
    """True for the types that hold any text."""
    return type.partition("(")[0].strip() in (
        "text",
        "varchar",
        "character varying",
        "char",
        "character",
    )
