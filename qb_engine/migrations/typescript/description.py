"""a file's classes and exports, told without reading its methods"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tree_sitter import Node

from qb_engine.migrations.typescript import classes, members, sending
from qb_engine.migrations.typescript.exports import Exports, Found
from qb_engine.migrations.typescript.grammar import Source, errors, field, line_of
from qb_engine.migrations.typescript.machine import WHY, Machine
from qb_engine.migrations.typescript.refusal import Refused, Thrown
from qb_engine.migrations.typescript.things import (
    Class,
    Function,
    Instance,
    Undefined,
    Unknown,
)
from qb_engine.migrations.typescript.values import MigrationClass, Script


def describe(path: Path, text: str | None = None) -> Script:
    """Tell the classes with `up`, the exports and the exported constants of a file."""
    machine = Machine(Source(path, text), {}, None)
    exports = Exports(machine)
    return Script(
        path,
        tuple(_class(machine, node, exports) for node in candidates(machine, exports)),
        tuple(found.export for found in exports.found),
        errors(machine.source.root),
        _constants(machine, exports),
    )


def constants(path: Path, text: str | None = None) -> Mapping[str, Any]:
    """The exported constants of a file, as JSON values; those that are not clear are left out."""
    machine = Machine(Source(path, text), {}, None)
    return _constants(machine, Exports(machine))


def candidates(machine: Machine, exports: Exports) -> list[Node]:
    """The classes at the top of a file that have an `up`, in their order.

    TypeORM finds those that are exported; the others count where none is.
    """
    nodes: dict[int, Node] = {}
    for declared in exports.declared.values():
        node = exports.resolve(declared)
        if node.type in classes.KINDS:
            nodes[node.id] = node
    for found in exports.found:
        if found.value is not None and found.value.type in classes.KINDS:
            nodes[found.value.id] = found.value
    listed = sorted(nodes.values(), key=lambda node: node.start_byte)
    listed = [node for node in listed if _has(machine, node, "up", exports)]
    exported = {found.value.id for found in exports.found if found.value is not None}
    return [node for node in listed if node.id in exported] or listed


def _has(machine: Machine, node: Node, method: str, exports: Exports, depth: int = 0) -> bool:
    """True when a class, or one of this file that it is made of, has a method."""
    for child in field(node, "body").named_children:
        name = child.child_by_field_name("name")
        if name is not None and machine.source.of(name).strip("'\"") == method:
            kinds = {part.type for part in child.children}
            if child.type == "method_definition" and not kinds & {"static", "get", "set"}:
                return True
            if child.type == "public_field_definition" and "static" not in kinds:
                return True
    parent = parent_of(node)
    if parent is None or depth > 10:
        return False
    node = exports.resolve(parent)
    return node.type in classes.KINDS and _has(machine, node, method, exports, depth + 1)


def parent_of(node: Node) -> Node | None:
    """What a class extends."""
    for heritage in node.children:
        if heritage.type == "class_heritage":
            for clause in heritage.named_children:
                if clause.type == "extends_clause":
                    return field(clause, "value")
                if clause.type != "implements_clause":
                    return clause
    return None


def class_name(machine: Machine, node: Node, exports: Exports) -> str:
    """The name that JavaScript gives a class."""
    named = node.child_by_field_name("name")
    if named is not None:
        return machine.source.of(named)
    for name, declared in exports.declared.items():
        if declared.type == "variable_declarator" and exports.resolve(declared).id == node.id:
            return name
    outside = node.parent
    if outside is not None and outside.type == "export_statement":
        return "default"
    return ""


def found_class(machine: Machine, node: Node, exports: Exports) -> Class:
    """A class as a value; the file's own, when the file is carried out for it."""
    name = class_name(machine, node, exports)
    held = machine.classes.get(node.id)
    if held is not None:
        return held
    with suppress(Refused):  # it says so itself: see Class.unclear
        classes.made(machine, node, machine.module, name)
    return machine.classes[node.id]


def _class(machine: Machine, node: Node, exports: Exports) -> MigrationClass:
    of = found_class(machine, node, exports)
    try:
        new = classes.instance(machine, of)
    except (Thrown, RecursionError) as no:
        new = Instance(of)
        of.unmade = f"its fields cannot be told: {no}"
    exported = [f for f in exports.found if f.value is not None and f.value.id == node.id]
    name, unread, name_line, own = _name(machine, of, new)
    static = _line(machine, node, "transaction", static=True)
    transaction = new.fields.get("transaction")
    told, constraints_unread = _constraints(machine, of)
    return MigrationClass(
        class_name=of.name,
        name=name,
        line=line_of(node),
        end=node.end_point.row + 1,
        exported=bool(exported),
        default=any(found.export.name == "default" for found in exported),
        own_name=own,
        name_line=name_line,
        name_unread=unread,
        transaction=transaction if isinstance(transaction, bool) else None,
        transaction_line=_line(machine, node, "transaction", static=False),
        transaction_unread=_unclear(machine, transaction, of),
        static_transaction=static,
        constraints=told,
        constraints_line=_line(machine, node, "constraints", static=True),
        constraints_unread=constraints_unread,
        has_down=_has(machine, node, "down", exports),
    )


def _name(machine: Machine, of: Class, new: Instance) -> tuple[str, str, int, bool]:
    """What history has: the name, or why it is not told; its line; whether it is a property."""
    line = _line(machine, of.node, "name", static=False) or line_of(of.node)
    if of.unmade:
        return "", of.unmade, line, True
    try:
        value = members.get(machine, new, "name", of.node)
    except (Refused, Thrown) as no:
        return "", str(no), no.line, True
    own = not (value is None or isinstance(value, Undefined))
    if not own:
        value = members.get(machine, of, "name", of.node)
        static = _line(machine, of.node, "name", static=True)
        line = static or line_of(of.node)
    if isinstance(value, str) and value:
        return str.__str__(value), "", line, own
    if isinstance(value, Unknown):
        why = value.reason or WHY[value.cause]
        return "", f"its name `{value.text}` {why}", value.line or line, own
    return "", "the class has no name" if not own else "its name is not a text", line, own


def _unclear(machine: Machine, value: Any, of: Class) -> str:
    if isinstance(value, Unknown):
        return f"`{value.text}` {value.reason or WHY[value.cause]}"
    if value is None or isinstance(value, (bool, Undefined)):
        return ""
    return "transaction is neither true nor false"


def _constraints(machine: Machine, of: Class) -> tuple[Mapping[str, Any], str]:
    value = of.statics.get("constraints")
    if value is None:
        return {}, ""
    try:
        told = sending.json_value(value)
    except sending.NoJson as no:
        if isinstance(no.value, Unknown):
            return {}, f"`{no.value.text}` {no.value.reason or WHY[no.value.cause]}"
        return {}, "constraints hold something that JSON does not have"
    return (told, "") if isinstance(told, dict) else ({}, "constraints are not an object")


def _line(machine: Machine, node: Node, name: str, *, static: bool) -> int:
    """The line of a field of a class, 0 when it has none."""
    for child in field(node, "body").named_children:
        if child.type not in ("public_field_definition", "method_definition"):
            continue
        key = child.child_by_field_name("name")
        if key is None or machine.source.of(key).strip("'\"") != name:
            continue
        if any(part.type == "static" for part in child.children) == static:
            return line_of(key)
    return 0


def _constants(machine: Machine, exports: Exports) -> Mapping[str, Any]:
    made: dict[str, Any] = {}
    for found in exports.found:
        if found.export.callable or found.value is None or not _is_constant(found):
            continue
        value = classes.guarded(machine, found.value, machine.module)
        if isinstance(value, Function):
            continue
        try:
            made[found.export.name] = sending.json_value(value)
        except sending.NoJson:
            continue
    return made


def _is_constant(found: Found) -> bool:
    return found.export.kind in ("object", "array", "constant") and (
        found.value is not None and found.value.type != "enum_declaration"
    )
