"""the value of an expression"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tree_sitter import Node

from qb_engine.migrations.typescript import cooking, functions, members, numbers
from qb_engine.migrations.typescript import operators as op
from qb_engine.migrations.typescript.grammar import (
    SILENT,
    bare,
    children,
    field,
    inside_of,
    line_of,
)
from qb_engine.migrations.typescript.machine import ITEM, Machine, expression
from qb_engine.migrations.typescript.scope import Scope
from qb_engine.migrations.typescript.things import (
    LATER,
    UNDEFINED,
    BigInt,
    Class,
    Function,
    Instance,
    Text,
    Undefined,
    Unknown,
    placed,
)


@expression("string")
def _string(machine: Machine, node: Node, scope: Scope) -> Text:
    text = machine.source.of(node)[1:-1]
    line = line_of(node)
    return Text.at(cooking.cooked(text, line, template=False), line)


@expression("template_string")
def _template(machine: Machine, node: Node, scope: Scope) -> Any:
    parts = template(machine, node, scope)
    line = line_of(node)
    texts: list[str] = []
    unknown: Unknown | None = None
    for index, part in enumerate(parts):
        if index % 2 == 0:
            texts.append(cooking.cooked(part, line, template=True))
        elif isinstance(part, Unknown):
            unknown = unknown or part
        else:
            texts.append(part)
    if unknown is not None:
        return unknown
    first = parts[1] if len(parts) > 1 and not texts[0] else None
    made = cooking.joined("".join(texts)) if len(texts) > 1 else texts[0]
    return placed(made, first, Text.at("", line))


def template(machine: Machine, node: Node, scope: Scope) -> list[Any]:
    """The parts of a template: texts as they stand in the file, and those of values, in turn."""
    parts: list[Any] = []
    start = node.start_byte + 1
    data = machine.source.data
    for child in node.named_children:
        if child.type == "template_substitution":
            machine.climb(2)
            parts.append(data[start : child.start_byte].decode())
            value = machine.value(inside_of(child), scope)
            parts.append(told(machine, op.string, node, value))
            start = child.end_byte
    parts.append(data[start : node.end_byte - 1].decode())
    return parts


def told(machine: Machine, operation: Callable[..., Any], node: Node, *values: Any) -> Any:
    """The outcome of an operation, or an unknown value when it is not told."""
    for value in values:
        if isinstance(value, list):
            machine.spend(ITEM * len(value), node)
    if unknown := op.unknown_in(*values):
        return unknown
    try:
        return operation(*values)
    except op.NotTold:
        machine.refuse("value", f"`{machine.source.brief(node)}` cannot be told from the text",
                       node)  # fmt: skip


@expression("number")
def _number(machine: Machine, node: Node, scope: Scope) -> float | BigInt:
    value = numbers.literal(machine.source.of(node))
    if value is None:
        machine.refuse("value", f"`{machine.source.of(node)}` is not understood", node)
    return BigInt(value) if isinstance(value, int) else value


@expression("true", "false")
def _boolean(machine: Machine, node: Node, scope: Scope) -> bool:
    return node.type == "true"


@expression("null")
def _null(machine: Machine, node: Node, scope: Scope) -> None:
    return None


@expression("undefined")
def _undefined(machine: Machine, node: Node, scope: Scope) -> Undefined:
    return UNDEFINED


@expression("regex")
def _regex(machine: Machine, node: Node, scope: Scope) -> Unknown:
    return machine.unknown("value", node, "is a regular expression, which qb does not carry out")


@expression("identifier")
def _identifier(machine: Machine, node: Node, scope: Scope) -> Any:
    return members.named(machine, machine.source.of(node), node, scope)


@expression("this", "super")
def _this(machine: Machine, node: Node, scope: Scope) -> Any:
    found = scope.holder(node.type)
    if found is None:
        return machine.unknown("value", node)
    value = found.names[node.type]
    if value is LATER:
        machine.refuse("value", "`this` stands for nothing in a function that is called so", node)
    return value


@expression(
    "parenthesized_expression", "as_expression", "satisfies_expression", "non_null_expression",
    "type_assertion", "instantiation_expression",
)  # fmt: skip
def _wrapped(machine: Machine, node: Node, scope: Scope) -> Any:
    inside = bare(node)
    if inside.type == node.type:
        inside = inside_of(node)
    return machine.value(inside, scope)


@expression("sequence_expression")
def _sequence(machine: Machine, node: Node, scope: Scope) -> Any:
    value = None
    for child in children(node):
        value = machine.value(child, scope)
    return value


@expression("await_expression", "yield_expression")  # `yield` in what tsc makes of `await`
def _await(machine: Machine, node: Node, scope: Scope) -> Any:
    inside = children(node)
    if any(child.type == "*" for child in node.children):
        machine.refuse("value", f"`{machine.source.brief(node)}` is not understood", node)
    return machine.wait(machine.value(inside[0], scope) if inside else UNDEFINED, node)


@expression("array")
def _array(machine: Machine, node: Node, scope: Scope) -> list[Any]:
    machine.climb(2)
    made: list[Any] = []
    hole = True
    for child in node.children:
        if child.type == ",":
            if hole:
                machine.refuse("value", "an array with holes is not understood", node)
            hole = True
        elif child.is_named and child.type not in SILENT:
            hole = False
            if child.type == "spread_element":
                through = machine.value(inside_of(child), scope)
                made += members.items(machine, through, child)
            else:
                made.append(machine.value(child, scope))
    machine.bounded(len(made), 1_000_000, node)
    return made


@expression("object")
def _object(machine: Machine, node: Node, scope: Scope) -> Any:
    machine.climb(2)
    made: dict[str, Any] = {}
    unknown: Unknown | None = None
    for child in children(node):
        kind = child.type
        if kind == "pair":
            written = field(child, "key")
            key = members.key(machine, written, scope)
            value = machine.value(field(child, "value"), scope)
            if key == "__proto__" and written.type != "computed_property_name":
                members.refuse_prototype(machine, child)
            made[key] = value
        elif kind == "shorthand_property_identifier":
            name = machine.source.of(child)
            made[name] = members.named(machine, name, child, scope)
        elif kind == "spread_element":
            value = machine.value(inside_of(child), scope)
            if isinstance(value, Unknown):
                unknown = unknown or value
            elif isinstance(value, dict):
                made.update({k: value[k] for k in op.keys(value)})
            elif value is not None and not isinstance(value, (Undefined, bool, float)):
                machine.refuse("value", f"`{machine.source.brief(child)}` is no object", child)
        elif kind == "method_definition":
            if any(part.type in ("get", "set", "*") for part in child.children):
                machine.refuse("value", f"`{machine.source.brief(child)}` is not understood",
                               child)  # fmt: skip
            name = members.key(machine, field(child, "name"), scope)
            made[name] = functions.made(machine, child, scope, None, name)
        else:
            machine.refuse("value", f"`{machine.source.brief(child)}` is not understood", child)
    return unknown or made


@expression("arrow_function")
def _arrow(machine: Machine, node: Node, scope: Scope) -> Function:
    return functions.made(machine, node, scope, None)


@expression("function_expression", "generator_function")
def _function(machine: Machine, node: Node, scope: Scope) -> Function:
    name = node.child_by_field_name("name")
    if name is None:
        return functions.made(machine, node, scope, None)
    inner = Scope(scope)
    made = functions.made(machine, node, inner, None, machine.source.of(name))
    inner.declare(made.name, made, constant=True)
    return made


@expression("member_expression")
def _member(machine: Machine, node: Node, scope: Scope) -> Any:
    owner = machine.value(field(node, "object"), scope)
    optional = node.child_by_field_name("optional_chain") is not None
    if optional and (owner is None or isinstance(owner, Undefined)):
        return UNDEFINED
    name = machine.source.of(field(node, "property"))
    this = scope.holder("this") if field(node, "object").type == "super" else None
    if this is not None and isinstance(owner, Class):
        made = this.names["this"]
        if isinstance(made, Instance):
            return members.of_prototype(machine, Instance(owner), made, name, node)
        if name in owner.static_getters:
            machine.refuse("value", f"`{machine.source.brief(node)}` is not understood", node)
    machine.look(node, owner)
    return members.get(machine, owner, name, node)


@expression("subscript_expression")
def _subscript(machine: Machine, node: Node, scope: Scope) -> Any:
    owner = machine.value(field(node, "object"), scope)
    optional = node.child_by_field_name("optional_chain") is not None
    if optional and (owner is None or isinstance(owner, Undefined)):
        return UNDEFINED
    index = machine.value(field(node, "index"), scope)
    if isinstance(index, Unknown):
        return index
    if isinstance(index, str) and index.startswith("#") and isinstance(owner, (Class, Instance)):
        return machine.unknown("value", node)
    machine.look(node, owner)
    return members.get(machine, owner, index, node)


@expression("meta_property")
def _meta(machine: Machine, node: Node, scope: Scope) -> Any:
    if machine.source.of(node) == "import.meta":
        return members.COMPUTED["import.meta"](machine)
    return machine.unknown("value", node)
