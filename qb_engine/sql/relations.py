"""which tables and columns a statement names, as far as its parse tree tells"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from qb_engine.sql.tree import only, pb, relation, strings, walk

Place = tuple[str | None, str]
"""Schema (None when it is not written) and name."""

# commands of ALTER TABLE whose `name` is a column
_COLUMN_COMMANDS = frozenset(
    getattr(pb, f"AT_{name}")
    for name in (
        "ColumnDefault", "DropNotNull", "SetNotNull", "SetExpression", "DropExpression",
        "SetStatistics", "SetOptions", "ResetOptions", "SetStorage", "SetCompression",
        "DropColumn", "AlterColumnType", "AddIdentity", "SetIdentity", "DropIdentity",
    )
)  # fmt: skip
# what DROP names as `name ON table`
_ON_TABLE = frozenset({pb.OBJECT_TRIGGER, pb.OBJECT_POLICY, pb.OBJECT_RULE})


Scope = tuple[tuple[str, Place | None], ...]
"""What one query reads from: a name or alias, and the table (None for what is no table)."""


@dataclass(frozen=True)
class Mention:
    """A column as it is written, and the tables that it may belong to, nearest query first."""

    qualifier: str
    column: str
    scopes: tuple[Scope, ...] = ()

    def owners(self, has: Callable[[Place, str], bool]) -> tuple[Place, ...]:
        """The tables that the column belongs to; `has` tells whether a table has a column.

        A column that no table has belongs to the only table there is, when there is but one.
        """
        there: list[Place] = []
        for scope in self.scopes:
            named = [place for name, place in scope if self.qualifier in ("", name)]
            places = [place for place in named if place is not None]
            there += places
            if found := tuple(place for place in places if has(place, self.column)):
                return found
            if None in named:
                return ()  # a column of a subquery, as far as can be told
        return tuple(there) if len(set(there)) == 1 else ()


@dataclass(frozen=True)
class Used:
    """The tables that a statement names, the columns, and the relations that it makes."""

    tables: tuple[Place, ...] = ()
    columns: tuple[Mention, ...] = ()
    created: tuple[Place, ...] = ()


_QUERIES = pb.SelectStmt | pb.InsertStmt | pb.UpdateStmt | pb.DeleteStmt | pb.MergeStmt


def used(node: Any) -> Used:
    """What a statement names; the names of WITH queries are left out."""
    reader = _Reader(node)
    reader.visit(node, (reader.scope([n for n in walk(node) if isinstance(n, pb.RangeVar)]),))
    return Used(tuple(reader.tables), tuple(reader.columns), tuple(reader.made))


class _Reader:
    """Walks a tree once, with the queries that enclose each place."""

    def __init__(self, node: Any) -> None:
        self.made = dict.fromkeys(relation(each) for each in _made(node))
        self.local = {e.ctename for e in walk(node) if isinstance(e, pb.CommonTableExpr)}
        self.tables: dict[Place, None] = {}
        self.columns: dict[Mention, None] = {}

    def place(self, node: Any) -> Place | None:
        """The table that a RangeVar names; None for a WITH query."""
        place = relation(node)
        return None if place[0] is None and place[1] in self.local else place

    def scope(self, sources: Iterable[Any]) -> Scope:
        """What a FROM clause names, joins looked into."""
        found: list[tuple[str, Place | None]] = []
        for each in map(only, sources):
            if isinstance(each, pb.JoinExpr):
                found += self.scope([each.larg, each.rarg])
            elif isinstance(each, pb.RangeVar):
                name = each.alias.aliasname if each.HasField("alias") else each.relname
                found.append((name, self.place(each)))
            elif each is not None:
                alias = getattr(each, "alias", None)
                found.append((alias.aliasname if alias else "", None))
        return tuple(found)

    def visit(self, node: Any, scopes: tuple[Scope, ...]) -> None:
        node = only(node)
        if node is None:  # such as what a plain SELECT DISTINCT is distinct on
            return
        if isinstance(node, _QUERIES):
            own = self.scope(_sources(node))
            scopes = (own, *scopes)
            if isinstance(node, pb.InsertStmt | pb.UpdateStmt | pb.MergeStmt):
                target: Scope = ((node.relation.relname, self.place(node.relation)),)
                for name in _written(node):
                    self.columns[Mention("", name, (target,))] = None
        elif isinstance(node, pb.RangeVar):
            place = self.place(node)
            if place is not None and place not in self.made:
                self.tables[place] = None
        elif isinstance(node, pb.ColumnRef) and isinstance(only(node.fields[-1]), pb.String):
            names = strings(node.fields)
            qualifier = names[-2] if len(names) > 1 else ""
            self.columns[Mention(qualifier, names[-1], scopes)] = None
        elif isinstance(node, pb.AlterTableCmd) and node.subtype in _COLUMN_COMMANDS:
            self.columns[Mention("", node.name, scopes)] = None
        elif isinstance(node, pb.DropStmt) and node.remove_type in _ON_TABLE:
            for item in node.objects:
                path = strings(only(item).items)[:-1]
                self.tables[path[-2] if len(path) > 1 else None, path[-1]] = None
        for child in _children(node):
            self.visit(child, scopes)


def _children(node: Any) -> Iterator[Any]:
    for field, value in node.ListFields():
        if field.message_type is not None:
            yield from value if isinstance(value, Iterable) else (value,)


def _sources(node: Any) -> list[Any]:
    """What a query reads from and writes to."""
    if isinstance(node, pb.SelectStmt):
        return list(node.from_clause)
    if isinstance(node, pb.InsertStmt):
        return [node.relation]
    if isinstance(node, pb.UpdateStmt):
        return [node.relation, *node.from_clause]
    if isinstance(node, pb.DeleteStmt):
        return [node.relation, *node.using_clause]
    return [node.relation, node.source_relation]


def _made(node: Any) -> Iterator[Any]:
    """The relations that a statement makes."""
    for each in walk(node):
        if isinstance(each, pb.CreateStmt):
            yield each.relation
        elif isinstance(each, pb.IntoClause):
            yield each.rel
        elif isinstance(each, pb.ViewStmt):
            yield each.view
        elif isinstance(each, pb.CreateSeqStmt):
            yield each.sequence


def _written(node: Any) -> list[str]:
    """The columns that an INSERT, UPDATE or MERGE names to write to."""
    if isinstance(node, pb.InsertStmt):
        return [only(c).name for c in node.cols]
    if isinstance(node, pb.UpdateStmt):
        return [only(c).name for c in node.target_list]
    return [
        only(target).name
        for clause in map(only, node.merge_when_clauses)
        for target in clause.target_list
        if only(target).name
    ]


def writes(node: Any) -> tuple[tuple[Place, tuple[str, ...]], ...]:
    """The tables that a statement writes rows of, in WITH queries too; the columns of an UPDATE.

    An INSERT, DELETE, MERGE or TRUNCATE writes whole rows: no columns are told.
    """
    found: list[tuple[Place, tuple[str, ...]]] = []
    for each in walk(node):
        if isinstance(each, pb.UpdateStmt):
            found.append((relation(each.relation), tuple(_written(each))))
        elif isinstance(each, pb.InsertStmt | pb.DeleteStmt | pb.MergeStmt):
            found.append((relation(each.relation), ()))
        elif isinstance(each, pb.TruncateStmt):
            found += [(relation(only(item)), ()) for item in each.relations]
    return tuple(found)
