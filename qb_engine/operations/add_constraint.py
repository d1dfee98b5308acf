"""ADD CONSTRAINT: CHECK, FOREIGN KEY, UNIQUE, PRIMARY KEY, EXCLUDE"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Self

from qb_engine.errors import InputError
from qb_engine.operations import chosen
from qb_engine.operations.mentions import own_columns, references
from qb_engine.operations.on_table import TableOperation, commands
from qb_engine.operations.operation import (
    Inverse,
    Irreversible,
    Operation,
    Requirement,
    Schema,
    names,
    operation,
)
from qb_engine.operations.safely import Safely, Seen, Uncovered, place
from qb_engine.sql import ident, qualified, tree
from qb_engine.sql.tree import pb


@operation
class AddConstraint(TableOperation):
    """Add a constraint, given as SQL; `check`, `unique`, `primary_key`, `foreign_key` write it.

    >>> AddConstraint("users", "CHECK (age > 0) NOT VALID", name="grown").write()
    'ALTER TABLE users ADD CONSTRAINT grown CHECK (age > 0) NOT VALID'
    >>> AddConstraint.foreign_key("orders", "user_id", "users", "id", on_delete="CASCADE").write()
    'ALTER TABLE orders ADD FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE'
    >>> AddConstraint.unique("users", using_index="users_email", name="email_key").write()
    'ALTER TABLE users ADD CONSTRAINT email_key UNIQUE USING INDEX users_email'
    """

    definition: str
    name: str | None = None

    def __post_init__(self) -> None:
        text = tree.definition(self.definition)
        node = _node(text)
        if node.conname:
            if self.name not in (None, node.conname):
                raise InputError(
                    f"the constraint has two names, {self.name!r} and {node.conname!r}",
                    where=text,
                    todo="give one of them",
                    code="broken-file",
                )
            object.__setattr__(self, "name", node.conname)
            node.conname = ""
            text = tree.clause_of(node)
        object.__setattr__(self, "definition", text)

    @classmethod
    def check(
        cls, table: str, expression: str, *, name: str | None = None, not_valid: bool = False,
        schema: str | None = None,
    ) -> Self:  # fmt: skip
        """A CHECK over an SQL expression."""
        text = f"CHECK ({tree.expression(expression)}){_not_valid(not_valid)}"
        return cls(table, text, name, schema=schema)

    @classmethod
    def unique(
        cls, table: str, columns: str | Iterable[str] = (), *, using_index: str | None = None,
        name: str | None = None, schema: str | None = None,
    ) -> Self:  # fmt: skip
        """UNIQUE over columns, or over a unique index that is there already."""
        return cls(table, f"UNIQUE {_over(columns, using_index)}", name, schema=schema)

    @classmethod
    def primary_key(
        cls, table: str, columns: str | Iterable[str] = (), *, using_index: str | None = None,
        name: str | None = None, schema: str | None = None,
    ) -> Self:  # fmt: skip
        """PRIMARY KEY over columns, or over a unique index that is there already."""
        return cls(table, f"PRIMARY KEY {_over(columns, using_index)}", name, schema=schema)

    @classmethod
    def foreign_key(
        cls, table: str, columns: str | Iterable[str], to: str,
        to_columns: str | Iterable[str] = (), *, on_delete: str = "", on_update: str = "",
        not_valid: bool = False, name: str | None = None, schema: str | None = None,
        to_schema: str | None = None,
    ) -> Self:  # fmt: skip
        """FOREIGN KEY from columns to a table; without `to_columns` to its primary key."""
        text = f"FOREIGN KEY {_over(columns)} REFERENCES {qualified(to_schema, to)}"
        if there := names(to_columns):
            text += f" {_over(there)}"
        text += f" ON DELETE {on_delete}" if on_delete else ""
        text += f" ON UPDATE {on_update}" if on_update else ""
        return cls(table, text + _not_valid(not_valid), name, schema=schema)

    @classmethod
    def read(cls, node: Any) -> Iterator[Self]:
        for at, command in commands(node, "AddConstraint"):
            text = tree.clause_of(getattr(command, "def").constraint)
            yield cls(definition=text, **at)

    def write(self) -> str:
        named = f"CONSTRAINT {ident(self.name)} " if self.name else ""
        return f"{self.alter} ADD {named}{self.definition}"

    def inverse(self, schema: Schema) -> Inverse | Irreversible:
        from qb_engine.operations.drop_constraint import DropConstraint

        node = _node(self.definition)
        if node.indexname:
            # the index became the constraint's own, and took its name
            return self._give_index_back(schema, node)
        name = self.name or chosen.constraint(schema, self.table, self.schema, node)
        drop = DropConstraint(self.table, name, only=self.only, **self.place())
        steps: list[Operation] = [drop]
        if node.contype == pb.CONSTR_PRIMARY:
            # a primary key makes its columns NOT NULL, and they stay so when it goes
            from qb_engine.operations.drop_not_null import DropNotNull

            steps += [
                DropNotNull(self.table, column, **self.place())
                for column in self._nullable(schema, tree.strings(node.keys))
            ]
        return Inverse(tuple(steps))

    def requires(self, schema: Schema) -> Iterable[Requirement]:
        yield from self.must_exist()
        node = _node(self.definition)
        if node.indexname:
            yield Requirement(self.table, self.schema, index=node.indexname)
        for name in own_columns(self.definition):
            yield self.column_as_is(schema, name)
        yield from references(schema, self.definition)

    def safely(self, schema: Schema, seen: Seen) -> Safely | Uncovered | None:
        from qb_engine.operations import constraining

        node = _node(self.definition)
        if not self._works(schema, seen, node):
            return None
        name = self.name or chosen.constraint(schema, self.table, self.schema, node)
        return constraining.safely(self, name, schema, seen, node)

    def _works(self, schema: Schema, seen: Seen, node: Any) -> bool:
        """True when rows are read, or an index is built, that somebody would notice."""
        if node.skip_validation:
            # it may lack an index, which everybody feels who deletes on the other side
            foreign = node.contype == pb.CONSTR_FOREIGN
            return foreign and seen.big(place(self.schema, self.table))
        other = ""
        if node.contype == pb.CONSTR_FOREIGN:
            there, to = tree.relation(node.pktable)
            other = place(there, to)
        return bool(seen.works & {place(self.schema, self.table), other})

    def _nullable(self, schema: Schema, columns: Iterable[str]) -> Iterator[str]:
        table = self.before(schema)
        for column in columns:
            found = table.columns.get(column) if table else None
            if found is not None and found.nullable:
                yield column

    def _give_index_back(self, schema: Schema, node: Any) -> Inverse | Irreversible:
        from qb_engine.operations.drop_constraint import DropConstraint
        from qb_engine.operations.drop_not_null import DropNotNull

        table = self.before(schema)
        index = table.indexes.get(node.indexname) if table else None
        if index is None:
            return Irreversible(f"what the index {node.indexname} was like is not known")
        drop = DropConstraint(self.table, self.name or node.indexname, **self.place())
        steps: list[Operation | str] = [drop, index.definition]
        if node.contype == pb.CONSTR_PRIMARY:
            steps += [
                DropNotNull(self.table, column, **self.place())
                for column in self._nullable(schema, index.columns)
            ]
        return Inverse(tuple(steps))


def _node(definition: str) -> Any:
    return tree.element_nodes(definition)[0]


def _not_valid(wanted: bool) -> str:
    return " NOT VALID" if wanted else ""


def _over(columns: str | Iterable[str], index: str | None = None) -> str:
    if index:
        return f"USING INDEX {ident(index)}"
    return f"({', '.join(ident(c) for c in names(columns))})"
