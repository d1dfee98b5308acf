"""which tables and columns a statement names, as far as its parse tree tells"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from qb_engine.sql.tree import only, pb, relation, strings, walk

Place = tuple[str | None, str]
"""Schema (None when it is not written) and name."""


@dataclass(frozen=True)
class Used:
    """The tables that a statement names, and the columns with what stands before their dot.

    A name is not resolved to its table: that takes the schema. A column that is written (INSERT's
    list, UPDATE's SET) is qualified by the table that is written to.
    """

    tables: tuple[Place, ...] = ()
    columns: tuple[tuple[str, str], ...] = ()
    aliases: Mapping[str, tuple[Place, ...]] = field(default_factory=dict)

    def named(self, qualifier: str) -> tuple[Place, ...]:
        """The tables that a name or alias before a dot may mean."""
        return self.aliases.get(qualifier, ())


def used(node: Any) -> Used:
    """What a statement names; names of WITH queries and their columns are left out."""
    tables: dict[Place, None] = {}
    columns: dict[tuple[str, str], None] = {}
    aliases: dict[str, dict[Place, None]] = {}
    local = {each.ctename for each in walk(node) if isinstance(each, pb.CommonTableExpr)}
    own = {
        each.name
        for each in walk(node)
        if isinstance(each, pb.ResTarget) and each.name and isinstance(node, pb.SelectStmt)
    }
    for each in walk(node):
        if isinstance(each, pb.RangeVar):
            place = relation(each)
            if place[0] is None and place[1] in local:
                continue
            tables[place] = None
            name = each.alias.aliasname if each.HasField("alias") else place[1]
            aliases.setdefault(name, {})[place] = None
        elif isinstance(each, pb.InsertStmt | pb.UpdateStmt | pb.MergeStmt):
            for target in _written(each):
                columns[each.relation.relname, target] = None
            aliases.setdefault(each.relation.relname, {})[relation(each.relation)] = None
        elif isinstance(each, pb.ColumnRef) and isinstance(only(each.fields[-1]), pb.String):
            names = strings(each.fields)
            qualifier = names[-2] if len(names) > 1 else ""
            if qualifier not in local and (qualifier or names[-1] not in own):
                columns[qualifier, names[-1]] = None
    return Used(
        tuple(tables), tuple(columns), {name: tuple(found) for name, found in aliases.items()}
    )


def _written(node: Any) -> list[str]:
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
