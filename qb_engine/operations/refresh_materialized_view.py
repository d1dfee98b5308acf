"""REFRESH MATERIALIZED VIEW"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

from qb_engine.operations.create_index import CreateIndex
from qb_engine.operations.generic import Generic
from qb_engine.operations.operation import Schema, normalise, operation
from qb_engine.operations.safely import Safely, Seen, Step, Uncovered, named, place
from qb_engine.schema import Table
from qb_engine.sql import SqlError, deparse, read_one
from qb_engine.sql.tree import only, parse, pb, printed, relation, strings


@operation
class RefreshMaterializedView(Generic):
    """Compute a materialized view anew.

    >>> RefreshMaterializedView("REFRESH MATERIALIZED VIEW totals").write()
    'REFRESH MATERIALIZED VIEW totals'
    """

    def __post_init__(self) -> None:
        normalise(self, "sql", printed)

    @classmethod
    def read(cls, node: Any) -> Iterator[Self]:
        if isinstance(node, pb.RefreshMatViewStmt):
            yield cls(deparse(node))

    def safely(self, schema: Schema, seen: Seen) -> Safely | Uncovered | None:
        node = parse(self.sql)
        space, name = relation(node.relation)
        view = schema.table(name, space or "public")
        if view is None or node.skip_data:
            return None
        keyed = any(
            i.unique and i.valid and i.predicate is None and i.columns
            for i in view.indexes.values()
        )
        if node.concurrent if keyed else not (node.concurrent or seen.big(place(space, name))):
            return None
        if not seen.big(place(space, name)) and not node.concurrent:
            return None
        why = "compute it beside the old rows, which can be read meanwhile"
        node.concurrent = True
        step = Step(deparse(node), why, apart=True, down=())
        if keyed:
            return Safely(expand=(step,))
        key = _grouped(view)
        if not key:
            return Uncovered(
                f"{name} has no unique index over all its rows, and REFRESH CONCURRENTLY needs one",
                f"make one first: CREATE UNIQUE INDEX CONCURRENTLY ON {name} (...)",
            )
        index = CreateIndex(
            name, key, named("key", name), schema=space, unique=True, concurrently=True
        )
        return Safely(
            expand=(Step(index, "REFRESH CONCURRENTLY tells rows apart by it"), step),
            adds={str(index.name): f"{name} has a row for each {', '.join(key)}; a refresh that "
                  "lets others read needs a unique index"},
        )  # fmt: skip


def _grouped(view: Table) -> tuple[str, ...]:
    """The columns of a view that its query groups by, which tell its rows apart."""
    try:
        query = read_one(view.definition or "").node
    except SqlError:
        return ()
    if not isinstance(query, pb.SelectStmt) or not query.group_clause:
        return ()
    by = [_column(only(each)) for each in query.group_clause]
    found: dict[str, str] = {}
    for target in map(only, query.target_list):
        inner = _column(only(target.val))
        if inner:
            found[inner] = target.name or inner.rpartition(".")[2]
    if not all(each in found for each in by):
        return ()
    return tuple(found[each] for each in by)


def _column(node: Any) -> str:
    """A column as it is named; empty for what is more."""
    if isinstance(node, pb.ColumnRef) and isinstance(only(node.fields[-1]), pb.String):
        return ".".join(strings(node.fields))
    return ""
