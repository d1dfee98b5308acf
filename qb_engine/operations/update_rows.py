"""UPDATE"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

from qb_engine.operations.generic import Generic
from qb_engine.operations.operation import Schema, normalise, operation
from qb_engine.operations.safely import Fill, Safely, Seen, Uncovered, place
from qb_engine.schema import Table
from qb_engine.sql import SqlError, deparse
from qb_engine.sql.tree import expression_of, only, parse, pb, printed, relation, walk


@operation
class UpdateRows(Generic):
    """Change rows; many of them are changed in batches.

    >>> UpdateRows("UPDATE users SET active = true WHERE active IS NULL").write()
    'UPDATE users SET active = true WHERE active IS NULL'
    """

    def __post_init__(self) -> None:
        normalise(self, "sql", printed)

    @classmethod
    def read(cls, node: Any) -> Iterator[Self]:
        if isinstance(node, pb.UpdateStmt):
            yield cls(deparse(node))

    def safely(self, schema: Schema, seen: Seen) -> Safely | Uncovered | None:
        node = parse(self.sql)
        space, name = relation(node.relation)
        if (table := of_many(node, schema, seen)) is None:
            return None
        todo = "write it as a backfill by hand: table, set, where"
        if reason := entangled(node) or keyless(table):
            return Uncovered(f"the UPDATE of {name} cannot be done in batches: {reason}", todo)
        try:
            values = {only(t).name: expression_of(only(t).val) for t in node.target_list}
            where = expression_of(node.where_clause) if node.HasField("where_clause") else ""
        except SqlError as error:
            return Uncovered(f"the UPDATE of {name} cannot be taken apart: {error.what}", todo)
        shown = ", ".join(values)
        why = f"write {shown} a batch at a time, as the UPDATE would at once"
        return Safely(fill=Fill(name, values, where, why, space))


def of_many(node: Any, schema: Schema, seen: Seen) -> Table | None:
    """The table of an UPDATE or DELETE that goes through many rows; None for any other."""
    space, name = relation(node.relation)
    table = schema.table(name, space or "public")
    if table is None or not seen.many(place(space, name)) or one_row(node.where_clause, table):
        return None
    return table


def entangled(node: Any) -> str:
    """Why an UPDATE or DELETE is more than a condition on single rows; empty when it is not."""
    if node.HasField("with_clause"):
        return "it has a WITH"
    if (
        node.returning_list
        if hasattr(node, "returning_list")
        else node.HasField("returning_clause")
    ):
        return "it returns rows"
    if getattr(node, "from_clause", ()) or getattr(node, "using_clause", ()):
        return "it joins other tables"
    if node.relation.HasField("alias"):
        return "it gives the table another name"
    if not node.relation.inh:
        return "it says ONLY"
    for each in walk(node):
        if isinstance(each, pb.MultiAssignRef):
            return "it sets several columns from one query"
        if isinstance(each, pb.SetToDefault):
            return "it sets a column to its DEFAULT"
        if isinstance(each, pb.CurrentOfExpr):
            return "it uses a cursor"
    return ""


def keyless(table: Table) -> str:
    """Why the rows of a table cannot be walked in order; empty when they can."""
    for each in table.indexes.values():
        whole = each.unique and each.valid and each.predicate is None and each.columns
        if whole and all(c in table.columns and not table.columns[c].nullable for c in whole):
            return ""
    return f"{table.name} has no primary key, and no unique one without NULLs, to walk by"


def one_row(where: Any, table: Table) -> bool:
    """True when a condition gives the whole key of the table, so that it is about one row."""
    given = set(_given(only(where)))
    keys = [each.columns for each in table.indexes.values() if each.unique and not each.predicate]
    return any(key and set(key) <= given for key in keys)


def _given(node: Any) -> Iterator[str]:
    """The columns that a condition compares with constants."""
    if isinstance(node, pb.BoolExpr) and node.boolop == pb.AND_EXPR:
        for each in node.args:
            yield from _given(only(each))
    elif isinstance(node, pb.A_Expr) and node.kind in (pb.AEXPR_OP, pb.AEXPR_IN):
        sign = only(node.name[-1]).sval if node.name else ""
        column = only(node.lexpr)
        free = any(isinstance(each, pb.ColumnRef) for each in walk(node.rexpr))
        if sign == "=" and isinstance(column, pb.ColumnRef) and not free:
            yield only(column.fields[-1]).sval
