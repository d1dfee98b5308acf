"""a column as CREATE TABLE and ADD COLUMN define it"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from qb_engine.operations.operation import normalise
from qb_engine.sql import ident
from qb_engine.sql.tree import (
    column_clause_of,
    element_nodes,
    element_of,
    expression,
    expression_of,
    only,
    parse,
    pb,
    type_name,
    type_name_of,
)


@dataclass(frozen=True)
class Column:
    """A column: name, type, whether it may hold NULL, and its default as SQL.

    `constraints` are further clauses as SQL: `PRIMARY KEY`, `REFERENCES users (id)`,
    `GENERATED ALWAYS AS IDENTITY`, `CONSTRAINT positive CHECK (price > 0)`.

    >>> Column("price", "numeric(10,2)", nullable=False, default="0").write()
    'price numeric(10, 2) NOT NULL DEFAULT 0'
    """

    name: str
    type: str
    nullable: bool = True
    default: str | None = None
    collation: str | None = None
    constraints: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        normalise(self, "type", type_name)
        normalise(self, "default", expression)
        normalise(self, "constraints", clauses)
        normalise(self, "collation", collation)

    @classmethod
    def read(cls, node: Any) -> Column:
        """A column from its ColumnDef."""
        nullable, default, others = True, None, []
        for each in map(only, node.constraints):
            if each.contype == pb.CONSTR_NOTNULL and not each.conname:
                nullable = False
            elif each.contype == pb.CONSTR_DEFAULT:
                default = expression_of(each.raw_expr)
            elif each.contype != pb.CONSTR_NULL:
                others.append(column_clause_of(each))
        found = None
        if node.HasField("coll_clause"):
            found = ".".join(ident(only(n).sval) for n in node.coll_clause.collname)
        return cls(
            node.colname, type_name_of(node.type_name), nullable, default, found, tuple(others)
        )

    def write(self) -> str:
        """The column as SQL."""
        return " ".join(
            part
            for part in (
                ident(self.name),
                self.type,
                f"COLLATE {self.collation}" if self.collation else "",
                "" if self.nullable else "NOT NULL",
                f"DEFAULT {bracketed(self.default)}" if self.default is not None else "",
                *self.constraints,
            )
            if part
        )


def bracketed(default: str) -> str:
    """A default as the grammar takes it behind DEFAULT: operators want parentheses."""
    node = only(parse(f"SELECT {default}").target_list[0].res_target.val)
    plain = isinstance(node, pb.A_Const | pb.FuncCall | pb.SQLValueFunction | pb.TypeCast)
    return default if plain else f"({default})"


def clauses(given: str | tuple[str, ...]) -> tuple[str, ...]:
    """Column constraints, each as the grammar prints it."""
    found: list[str] = []
    for text in (given,) if isinstance(given, str) else given:
        nodes = element_nodes(f"c int {text}")
        found += [column_clause_of(only(c)) for c in nodes[0].constraints]
    return tuple(found)


# what a collation with its schema looks like when nothing in it needs quotes
_WITH_SCHEMA = re.compile(r"[a-z_][a-z0-9_]*\.[a-z_][a-z0-9_]*")


def collation(text: str) -> str:
    """A collation as SQL: `C` and `en_US.utf8` are names, `"C"` and `app.ours` are SQL already."""
    if '"' in text or _WITH_SCHEMA.fullmatch(text):
        node = element_nodes(f"c text COLLATE {text}")[0]
        return ".".join(ident(only(n).sval) for n in node.coll_clause.collname)
    return ident(text)


def element(text: str) -> Column | str:
    """One element of CREATE TABLE's list: a column, or a constraint or LIKE as SQL."""
    node = element_nodes(text)[0]
    return Column.read(node) if isinstance(node, pb.ColumnDef) else element_of(node)
