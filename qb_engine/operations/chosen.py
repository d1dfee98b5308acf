"""the names that PostgreSQL chooses for constraints and indexes that are given none"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from qb_engine.operations.mentions import columns_below
from qb_engine.operations.operation import Schema
from qb_engine.sql.tree import only, pb, strings

LONGEST = 63  # bytes; NAMEDATALEN - 1 of every build in use


def constraint(schema: Schema, table: str, space: str | None, node: Any) -> str:
    """The name for a table constraint (a Constraint node) without one."""
    taken = set(_constraints(schema, space or "public"))
    keys = "_".join(strings(node.keys))
    if node.contype == pb.CONSTR_PRIMARY:
        return _free(table, "", "pkey", taken | set(_relations(schema, space or "public")))
    if node.contype == pb.CONSTR_UNIQUE:
        keys = "_".join((*strings(node.keys), *strings(node.including)))
        return _free(table, keys, "key", taken | set(_relations(schema, space or "public")))
    if node.contype == pb.CONSTR_EXCLUSION:
        elements = [only(only(e).items[0]) for e in node.exclusions]
        columns = "_".join(_columns(elements))
        return _free(table, columns, "excl", taken | set(_relations(schema, space or "public")))
    if node.contype == pb.CONSTR_FOREIGN:
        return _free(table, "_".join(strings(node.fk_attrs)), "fkey", taken)
    if node.contype == pb.CONSTR_NOTNULL:
        return _free(table, keys, "not_null", taken)
    columns_used = columns_below(node.raw_expr)
    return _free(table, columns_used[0] if len(columns_used) == 1 else "", "check", taken)


def index(schema: Schema, table: str, space: str | None, node: Any) -> str:
    """The name for an index (an IndexStmt node) without one."""
    elements = [only(e) for e in (*node.index_params, *node.index_including_params)]
    columns = "_".join(_columns(elements))
    return _free(table, columns, "idx", set(_relations(schema, space or "public")))


def taken(schema: Schema, name: str, space: str | None) -> bool:
    """True when a relation of any kind has the name, so that IF NOT EXISTS makes none."""
    kept = name.encode()[:LONGEST].decode(errors="ignore")
    return kept in _relations(schema, space or "public")


def made(one: str, two: str, label: str) -> str:
    """Join the parts with underscores; shorten the longer of the first two to what fits."""
    first, second = one.encode(), two.encode()
    room = LONGEST - len(label) - 1 - (1 if two else 0)
    while len(first) + len(second) > room:
        if len(first) > len(second):
            first = first[:-1]
        else:
            second = second[:-1]
    kept = [part.decode(errors="ignore") for part in (first, second)]
    return "_".join([kept[0], *([kept[1]] if two else []), label])


def _free(one: str, two: str, label: str, taken: set[str]) -> str:
    name, number = made(one, two, label), 0
    while name in taken:
        number += 1
        name = made(one, two, f"{label}{number}")
    return name


def _constraints(schema: Schema, space: str) -> Iterator[str]:
    return (id.sub for id in schema.facts if id.kind == "constraint" and id.schema == space)


def _relations(schema: Schema, space: str) -> Iterator[str]:
    for id, payload in schema.facts.items():
        if id.schema != space:
            continue
        if id.kind in ("table", "view", "matview", "sequence", "composite"):
            yield id.name
        elif id.kind == "index" or (
            id.kind == "constraint" and payload["kind"] in ("primary key", "unique", "exclusion")
        ):
            yield id.sub


def _columns(elements: list[Any]) -> list[str]:
    """The names that PostgreSQL gives an index's columns; made unique, as it does."""
    found: list[str] = []
    for element in elements:
        first = name = element.name or _figured(only(element.expr))
        number = 0
        while name in found:
            number += 1
            name = f"{first}{number}"
        found.append(name)
    return found


def _figured(node: Any) -> str:
    """What the column of an expression is called."""
    if isinstance(node, pb.FuncCall):
        return strings(node.funcname)[-1]
    if isinstance(node, pb.ColumnRef):
        return strings(node.fields)[-1]
    if isinstance(node, pb.TypeCast):
        inner = _figured(only(node.arg))
        return strings(node.type_name.names)[-1] if inner == "expr" else inner
    if isinstance(node, pb.CollateClause):
        return _figured(only(node.arg))
    if isinstance(node, pb.CoalesceExpr):
        return "coalesce"
    if isinstance(node, pb.MinMaxExpr):
        return "greatest" if node.op == pb.IS_GREATEST else "least"
    if isinstance(node, pb.CaseExpr):
        return _figured(only(node.defresult)) if node.HasField("defresult") else "case"
    if isinstance(node, pb.A_ArrayExpr):
        return "array"
    return "expr"
