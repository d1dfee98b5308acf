"""columns and their types, guessed from how statements use them; pure"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from qb_engine.sql.relations import Place, used
from qb_engine.sql.tree import only, pb, relation, strings, type_name_of, walk

if TYPE_CHECKING:
    from qb_engine.sql import Statement

# what a column most likely is before its type becomes this one
_BEFORE = {
    "int8": "integer", "int4": "smallint", "int2": "smallint", "numeric": "numeric",
    "float8": "real", "text": "varchar(50)", "varchar": "text", "bpchar": "text",
    "timestamptz": "timestamp", "timestamp": "timestamptz", "jsonb": "json", "date": "timestamp",
}  # fmt: skip
_NAMED = (
    (re.compile(r"(?:^|_)(?:id|pk)$"), "bigint"),
    (re.compile(r"(?:^|_)uuid$"), "uuid"),
    (re.compile(r"(?:_at|_time|timestamp)$"), "timestamptz"),
    (re.compile(r"(?:_on|^date|_date)$"), "date"),
    (re.compile(r"^(?:is|has|can)_|^(?:active|enabled|deleted|archived)$"), "boolean"),
    (re.compile(r"(?:^|_)(?:age|count|quantity|qty|number|position|version)$"), "integer"),
    (re.compile(r"(?:^|_)(?:price|amount|total|balance|cost)$"), "numeric(12, 2)"),
    (re.compile(r"(?:^|_)(?:json|data|payload|metadata|settings)$"), "jsonb"),
)
_JSON = frozenset({"->", "->>", "#>", "#>>", "@>", "<@", "?", "?|", "?&"})
_CLOCKS = ("now", "current_timestamp", "clock_timestamp", "statement_timestamp")

Columns = dict[Place, dict[str, str]]
"""By table: its columns with their types, in the order they were met."""


def columns(statements: Iterable[Statement]) -> Columns:
    """The columns of each table that statements rely on, those left out that they add."""
    nodes = [each.node for each in statements if each.node is not None]
    hints = dict(hint for node in reversed(nodes) for hint in _hints(node))
    found: Columns = {}
    added: dict[Place, set[str]] = {}
    for node in nodes:
        for place, name in _mentioned(node):
            if name not in added.get(place, ()):
                found.setdefault(place, {}).setdefault(name, hints.get(name) or type_of(name))
        for place, name in _added(node):
            added.setdefault(place, set()).add(name)
    return found


def type_of(name: str) -> str:
    """The type that a column's name suggests."""
    return next((type for pattern, type in _NAMED if pattern.search(name)), "text")


def _mentioned(node: Any) -> Iterator[tuple[Place, str]]:
    for mention in used(node).columns:
        for place in mention.owners(lambda place, name: False):
            yield place, mention.column
    if isinstance(node, pb.AlterTableStmt):
        place = relation(node.relation)
        for each in walk(node):
            if isinstance(each, pb.Constraint):
                yield from ((place, name) for name in strings(each.keys))
                yield from ((place, name) for name in strings(each.fk_attrs))
    if isinstance(node, pb.IndexStmt):
        place = relation(node.relation)
        for each in (*node.index_params, *node.index_including_params):
            if only(each).name:
                yield place, only(each).name
    if isinstance(node, pb.RenameStmt) and node.rename_type == pb.OBJECT_COLUMN:
        yield relation(node.relation), node.subname
    for each in walk(node):
        if isinstance(each, pb.Constraint) and each.contype == pb.CONSTR_FOREIGN:
            place = relation(each.pktable)
            yield from ((place, name) for name in strings(each.pk_attrs) or ("id",))


def _added(node: Any) -> Iterator[tuple[Place, str]]:
    """The columns that a statement makes."""
    if isinstance(node, pb.AlterTableStmt):
        for command in map(only, node.cmds):
            if command.subtype == pb.AT_AddColumn:
                yield relation(node.relation), only(getattr(command, "def")).colname
    elif isinstance(node, pb.RenameStmt) and node.rename_type == pb.OBJECT_COLUMN:
        yield relation(node.relation), node.newname
    elif isinstance(node, pb.CreateStmt):
        for element in map(only, node.table_elts):
            if isinstance(element, pb.ColumnDef):
                yield relation(node.relation), element.colname


def _hints(node: Any) -> Iterator[tuple[str, str]]:
    """Names of columns with the types that their uses tell, the surest last."""
    for each in walk(node):
        if isinstance(each, pb.A_Expr):
            yield from _compared(each)
        elif isinstance(each, pb.BoolExpr):
            for part in map(only, each.args):
                if name := _column(part):
                    yield name, "boolean"
        elif isinstance(each, pb.ResTarget) and each.name and (type := _type(only(each.val))):
            yield each.name, type
        elif isinstance(each, pb.ColumnDef):
            for constraint in map(only, each.constraints):
                if constraint.contype == pb.CONSTR_FOREIGN:
                    referenced = strings(constraint.pk_attrs) or ("id",)
                    yield referenced[0], _serial(type_name_of(each.type_name))
    if isinstance(node, pb.AlterTableStmt):
        for command in map(only, node.cmds):
            if command.subtype == pb.AT_AlterColumnType:
                definition = only(getattr(command, "def"))
                short = strings(definition.type_name.names)[-1]
                told = definition.HasField("raw_default") and short not in ("int8", "timestamptz")
                yield command.name, "text" if told else _BEFORE.get(short, "text")
            elif command.subtype == pb.AT_ColumnDefault and (
                type := _type(only(getattr(command, "def")))
            ):
                yield command.name, type


def _compared(node: Any) -> Iterator[tuple[str, str]]:
    left, right = only(node.lexpr), only(node.rexpr)
    operator = strings(node.name)[-1] if node.name else ""
    for one, other in ((left, right), (right, left)):
        if name := _column(one):
            if operator in _JSON and one is left:
                yield name, "jsonb"
            elif type := _type(other):
                yield name, type


def _column(node: Any) -> str:
    if isinstance(node, pb.ColumnRef) and isinstance(only(node.fields[-1]), pb.String):
        return str(strings(node.fields[-1:])[0])
    return ""


def _type(node: Any) -> str:
    """The type of a value that stands in SQL; empty when its text does not tell."""
    if isinstance(node, pb.A_Const):
        kind = node.WhichOneof("val")
        return {"ival": "integer", "fval": "numeric", "boolval": "boolean"}.get(kind or "", "")
    if isinstance(node, pb.TypeCast):
        name = type_name_of(node.type_name)
        return "" if name.endswith("interval") else str(name)
    if isinstance(node, pb.FuncCall) and strings(node.funcname)[-1] in _CLOCKS:
        return "timestamptz"
    if isinstance(node, pb.SQLValueFunction):
        return "date" if node.op == pb.SVFOP_CURRENT_DATE else "timestamptz"
    if isinstance(node, pb.A_Expr):
        return _type(only(node.lexpr)) if node.HasField("lexpr") else ""
    return ""


def _serial(name: str) -> str:
    return {"serial": "integer", "bigserial": "bigint", "smallserial": "smallint"}.get(name, name)
