"""which columns and tables a piece of SQL inside a command refers to"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from qb_engine.operations.operation import Requirement, Schema
from qb_engine.sql.relations import used
from qb_engine.sql.tree import element_nodes, only, parse, pb, relation, strings, walk


def columns_in(expression: str) -> tuple[str, ...]:
    """The column names in an expression, in order of appearance."""
    return columns_below(parse(f"SELECT {expression}"))


def columns_below(node: Any) -> tuple[str, ...]:
    """The column names that a parse tree refers to, in order of appearance."""
    found: dict[str, None] = {}
    for each in walk(node):
        if isinstance(each, pb.ColumnRef) and isinstance(only(each.fields[-1]), pb.String):
            found[only(each.fields[-1]).sval] = None
    return tuple(found)


def as_is(
    schema: Schema, table: str, space: str | None, column: str, *, strict: bool = False
) -> Requirement:
    """A column as it stands: its type, and that it holds no NULL when it does not.

    `strict` also states that it may hold NULL, for operations whose way back relies on that.
    """
    found = schema.table(table, space or "public")
    info = found.columns.get(column) if found else None
    if info is None:
        return Requirement(table, space, column)
    nullable = info.nullable if strict or not info.nullable else None
    return Requirement(table, space, column, type=info.type, nullable=nullable)


def by_columns(columns: Iterable[str], *clauses: str) -> tuple[str, ...]:
    """Own columns that column constraints name (a CHECK may name its neighbours)."""
    found = dict.fromkeys(columns)
    for clause in clauses:
        for each in walk(element_nodes(f"c int {clause}")[0]):
            if isinstance(each, pb.Constraint) and each.contype == pb.CONSTR_CHECK:
                found |= dict.fromkeys(columns_below(each))
    return tuple(found)


def own_columns(constraint: str) -> tuple[str, ...]:
    """The columns of its own table that a table constraint names."""
    node = element_nodes(constraint)[0]
    keys = [*strings(node.keys), *strings(node.fk_attrs), *strings(node.including)]
    for each in node.exclusions:
        element = only(only(each).items[0])
        keys += [element.name] if element.name else columns_below(element)
    if node.HasField("raw_expr"):
        keys += columns_below(node.raw_expr)
    if node.HasField("where_clause"):
        keys += columns_below(node.where_clause)
    return tuple(dict.fromkeys(keys))


def references(schema: Schema, element: str) -> Iterator[Requirement]:
    """The tables and columns that foreign keys in an element of CREATE TABLE point at."""
    for each in walk(element_nodes(element)[0]):
        if isinstance(each, pb.Constraint) and each.contype == pb.CONSTR_FOREIGN:
            space, table = relation(each.pktable)
            yield Requirement(table, space)
            found = schema.table(table, space or "public")
            for column in strings(each.pk_attrs) or (found.primary_key if found else ()) or ():
                yield as_is(schema, table, space, column)


def relied_on(schema: Schema, node: Any) -> Iterator[Requirement]:
    """The tables and columns that a statement reads or writes, as far as its tree tells."""
    found = used(node)
    for space, table in found.tables:
        yield Requirement(table, space)

    def has(place: tuple[str | None, str], column: str) -> bool:
        info = schema.table(place[1], place[0] or "public")
        return info is not None and column in info.columns

    for mention in found.columns:
        for space, table in mention.owners(has):
            yield as_is(schema, table, space, mention.column)
