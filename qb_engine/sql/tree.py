"""looking into parse trees: unwrap, walk, compare, and print parts of them"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from typing import Any

import postgast
from postgast import pg_query_pb2 as pb

from qb_engine.sql.statement import SqlError, deparse, read_one

__all__ = [
    "clause_of",
    "column_clause_of",
    "definition",
    "drop_of",
    "element_of",
    "equal",
    "expression",
    "expression_of",
    "index_element",
    "index_element_of",
    "only",
    "parse",
    "pb",
    "printed",
    "relation",
    "strings",
    "type_name",
    "type_name_of",
    "walk",
]


def only(node: Any) -> Any:
    """The message inside a `Node`; any other message as it is; None for an empty one."""
    if not isinstance(node, pb.Node):
        return node
    name = node.WhichOneof("node")
    return getattr(node, name) if name else None


def walk(node: Any) -> Iterator[Any]:
    """Every message below and including `node`, `Node` wrappers left out, parents first."""
    if not isinstance(node, pb.Node):
        yield node
    for field, value in node.ListFields():
        if field.message_type is None:
            continue
        if isinstance(value, Iterable):
            for each in value:
                yield from walk(each)
        else:
            yield from walk(value)


def strings(nodes: Iterable[Any]) -> tuple[str, ...]:
    """A list of String nodes as Python strings."""
    return tuple(only(n).sval for n in nodes)


def relation(node: Any) -> tuple[str | None, str]:
    """Schema (None when it is not written) and name of a RangeVar or of a list of names."""
    if isinstance(node, pb.RangeVar):
        return node.schemaname or None, node.relname
    if isinstance(node, pb.List):
        node = node.items
    names = strings(node)
    return (names[-2] if len(names) > 1 else None), names[-1]


def parse(sql: str) -> Any:
    """The node of the one statement that qb itself composed."""
    return read_one(sql).node


def drop_of(sql: str) -> str:
    """The DROP for what a CREATE FUNCTION or CREATE PROCEDURE makes."""
    tree = postgast.to_drop(sql)
    return str(tree if isinstance(tree, str) else postgast.deparse(tree))


# -- printing parts: the deparser prints statements, so a part is printed inside one -------------


def printed(text: str) -> str:
    """A statement as the grammar prints it; as it stands when it would not print exactly."""
    statement = read_one(text)
    try:
        found = deparse(statement.node)
    except postgast.PgQueryError:
        return statement.sql
    return found if _faithful(found, statement.node) else statement.sql


def _faithful(text: str, node: Any) -> bool:
    """True when a printed text reads back as the tree (the printer forgets some quotes)."""
    try:
        return equal(read_one(text).node, node)
    except SqlError:
        return False


def _inside(statement: Any, name: str, before: str, after: str = "") -> str:
    whole = pb.ParseResult()
    getattr(whole.stmts.add().stmt, name).CopyFrom(statement)
    text: str = postgast.deparse(whole)
    if not _faithful(text, statement):
        raise SqlError(
            "this SQL cannot be printed exactly", why=text, todo="write the statement as SQL text"
        )
    if not text.startswith(before) or not text.endswith(after):
        raise AssertionError(f"{text!r} is not printed as {before!r} ... {after!r}")
    return text[len(before) : len(text) - len(after)]


def expression_of(node: Any) -> str:
    """An expression (a `Node`) as SQL."""
    select = pb.SelectStmt(limit_option="LIMIT_OPTION_DEFAULT", op="SETOP_NONE")
    select.target_list.add().res_target.val.CopyFrom(node)
    return _inside(select, "select_stmt", "SELECT ")


def type_name_of(node: Any) -> str:
    """A TypeName as SQL."""
    wrapped = pb.Node()
    wrapped.type_cast.arg.a_const.isnull = True
    wrapped.type_cast.type_name.CopyFrom(node)
    text = expression_of(wrapped)
    return text.removeprefix("NULL::")


def clause_of(constraint: Any) -> str:
    """A table constraint as SQL, its name included."""
    alter = pb.AlterTableStmt(objtype="OBJECT_TABLE")
    alter.relation.relname, alter.relation.inh, alter.relation.relpersistence = "t", True, "p"
    command = alter.cmds.add().alter_table_cmd
    command.subtype, command.behavior = pb.AT_AddConstraint, pb.DROP_RESTRICT
    getattr(command, "def").constraint.CopyFrom(constraint)
    return _inside(alter, "alter_table_stmt", "ALTER TABLE t ADD ")


def column_clause_of(constraint: Any) -> str:
    """A column constraint as SQL, its name included."""
    column = pb.ColumnDef()
    column.CopyFrom(element_nodes("c int")[0])
    column.constraints.add().constraint.CopyFrom(constraint)
    return element_of(column).removeprefix("c int ")


def element_of(node: Any) -> str:
    """An element of CREATE TABLE's list (column, constraint, LIKE) as SQL."""
    create = pb.CreateStmt(oncommit="ONCOMMIT_NOOP")
    create.relation.relname, create.relation.inh, create.relation.relpersistence = "t", True, "p"
    name = {"ColumnDef": "column_def", "Constraint": "constraint"}.get(
        type(node).__name__, "table_like_clause"
    )
    getattr(create.table_elts.add(), name).CopyFrom(node)
    return _inside(create, "create_stmt", "CREATE TABLE t (", ")")


def index_element_of(node: Any) -> str:
    """An IndexElem as SQL."""
    index = pb.IndexStmt(access_method="btree")
    index.relation.relname, index.relation.inh, index.relation.relpersistence = "t", True, "p"
    index.index_params.add().index_elem.CopyFrom(node)
    text = _inside(index, "index_stmt", "CREATE INDEX ON t ")
    return text.removeprefix("USING btree ")[1:-1]


# -- reading parts that a user gave as text; each is checked to be no more than that part --------


def _refused(kind: str, text: str) -> SqlError:
    return SqlError(
        f"{text!r} is not {kind}", why="more, or something else, was found in it", todo="mend it"
    )


@functools.lru_cache(maxsize=2048)
def expression(text: str) -> str:
    """An expression as the grammar prints it; SqlError when the text is anything else."""
    node = read_one(f"SELECT {text}").node
    bare = pb.SelectStmt(limit_option="LIMIT_OPTION_DEFAULT", op="SETOP_NONE")
    bare.target_list.extend(node.target_list)
    if node != bare or len(node.target_list) != 1 or node.target_list[0].res_target.name:
        raise _refused("an expression", text)
    return expression_of(node.target_list[0].res_target.val)


@functools.lru_cache(maxsize=2048)
def type_name(text: str) -> str:
    """A type as the grammar prints it; SqlError when the text is anything else."""
    node = read_one(f"CREATE TABLE t (c {text})").node
    if not isinstance(node, pb.CreateStmt) or len(node.table_elts) != 1:
        raise _refused("a type", text)
    column = only(node.table_elts[0])
    plain = parse("CREATE TABLE t (c int)")
    only(plain.table_elts[0]).type_name.CopyFrom(column.type_name)
    if not equal(node, plain):
        raise _refused("a type", text)
    return type_name_of(column.type_name)


@functools.lru_cache(maxsize=2048)
def definition(text: str) -> str:
    """A table constraint as the grammar prints it; SqlError when the text is anything else."""
    node = read_one(f"ALTER TABLE t ADD {text}").node
    commands = list(node.cmds) if isinstance(node, pb.AlterTableStmt) else []
    inner = commands[0].alter_table_cmd if len(commands) == 1 else None
    if inner is None or inner.subtype != pb.AT_AddConstraint:
        raise _refused("a constraint", text)
    return clause_of(getattr(inner, "def").constraint)


def element_nodes(text: str) -> list[Any]:
    """The nodes of the elements in a CREATE TABLE's parentheses."""
    node = read_one(f"CREATE TABLE t ({text})").node
    bare = pb.CreateStmt(oncommit="ONCOMMIT_NOOP", relation=node.relation)
    bare.table_elts.extend(node.table_elts)
    if not isinstance(node, pb.CreateStmt) or node != bare:
        raise _refused("a list of columns and constraints", text)
    return [only(e) for e in node.table_elts]


@functools.lru_cache(maxsize=2048)
def index_element(text: str) -> str:
    """What an index is made over, as the grammar prints it; SqlError for anything else."""
    node = read_one(f"CREATE INDEX ON t ({text})").node
    bare = parse("CREATE INDEX ON t (c)")
    if isinstance(node, pb.IndexStmt) and len(node.index_params) == 1:
        bare.index_params[0].CopyFrom(node.index_params[0])
        if equal(node, bare):
            return index_element_of(only(node.index_params[0]))
    raise _refused("an index element", text)


# -- comparing -----------------------------------------------------------------------------------

_PLACES = {
    "location",
    "list_start",
    "list_end",
    "rexpr_list_start",
    "rexpr_list_end",
    "name_location",
}
_ORDER = {"CONSTR_NOTNULL": 0, "CONSTR_DEFAULT": 1}


def equal(one: Any, other: Any) -> bool:
    """True when two trees mean the same: places in the text do not count, nor does the order of a
    column's NOT NULL, DEFAULT and other constraints."""
    if type(one) is not type(other):
        return False
    return bool(_canonical(one) == _canonical(other))


def _canonical(node: Any) -> Any:
    copy = type(node)()
    copy.CopyFrom(node)
    for each in walk(copy):
        for name in _PLACES.intersection(each.DESCRIPTOR.fields_by_name):
            each.ClearField(name)
        if isinstance(each, pb.ColumnDef) and len(each.constraints) > 0:
            kept = [c for c in each.constraints if only(c).contype != pb.CONSTR_NULL]
            kept.sort(key=lambda c: _ORDER.get(pb.ConstrType.Name(only(c).contype), 2))
            copies = [pb.Node.FromString(c.SerializeToString()) for c in kept]
            del each.constraints[:]
            each.constraints.extend(copies)
        if isinstance(each, pb.FuncCall):
            each.ClearField("funcformat")
    return copy
