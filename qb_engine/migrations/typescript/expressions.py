"""the value of an expression"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tree_sitter import Node

from qb_engine.migrations.typescript import cooking, functions, members, numbers, places
from qb_engine.migrations.typescript import operators as op
from qb_engine.migrations.typescript.grammar import (
    SILENT,
    bare,
    children,
    field,
    inside_of,
    line_of,
)
from qb_engine.migrations.typescript.machine import ITEM, LENGTH, Machine, expression
from qb_engine.migrations.typescript.scope import Scope
from qb_engine.migrations.typescript.things import (
    UNDEFINED,
    BigInt,
    Function,
    Text,
    Undefined,
    Unknown,
    placed,
)

# What may send something or change something: it cannot be left out.
_ACTS = frozenset(
    ("call_expression", "new_expression", "await_expression", "assignment_expression",
     "augmented_assignment_expression", "update_expression", "yield_expression")
)  # fmt: skip


def acts(node: Node) -> bool:
    """True when evaluating an expression may do something."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if one.type in _ACTS:
            return True
        if one.type not in ("arrow_function", "function_expression"):
            waiting.extend(one.named_children)
    return False


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
        else:
            text = told(machine, op.string, node, part)
            if isinstance(text, Unknown):
                unknown = unknown or text
            else:
                texts.append(text)
    if unknown is not None:
        return unknown
    first = parts[1] if len(parts) > 1 and not texts[0] else None
    made = cooking.joined("".join(texts)) if len(texts) > 1 else texts[0]
    return placed(made, first, Text.at("", line))


def template(machine: Machine, node: Node, scope: Scope) -> list[Any]:
    """The parts of a template: texts as they stand in the file, and values, in turn."""
    parts: list[Any] = []
    start = node.start_byte + 1
    data = machine.source.data
    for child in node.named_children:
        if child.type == "template_substitution":
            machine.climb(2)
            parts.append(data[start : child.start_byte].decode())
            parts.append(machine.value(inside_of(child), scope))
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
    return found.names[node.type]


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
    return machine.wait(machine.value(inside[0], scope) if inside else UNDEFINED)


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
    inner.declare(made.name, made)
    return made


@expression("member_expression")
def _member(machine: Machine, node: Node, scope: Scope) -> Any:
    owner = machine.value(field(node, "object"), scope)
    optional = node.child_by_field_name("optional_chain") is not None
    if optional and (owner is None or isinstance(owner, Undefined)):
        return UNDEFINED
    return members.get(machine, owner, machine.source.of(field(node, "property")), node)


@expression("subscript_expression")
def _subscript(machine: Machine, node: Node, scope: Scope) -> Any:
    owner = machine.value(field(node, "object"), scope)
    optional = node.child_by_field_name("optional_chain") is not None
    if optional and (owner is None or isinstance(owner, Undefined)):
        return UNDEFINED
    index = machine.value(field(node, "index"), scope)
    if isinstance(index, Unknown):
        return index
    return members.get(machine, owner, index, node)


@expression("meta_property")
def _meta(machine: Machine, node: Node, scope: Scope) -> Any:
    if machine.source.of(node) == "import.meta":
        return members.COMPUTED["import.meta"](machine)
    return machine.unknown("value", node)


@expression("ternary_expression")
def _ternary(machine: Machine, node: Node, scope: Scope) -> Any:
    condition = machine.value(field(node, "condition"), scope)
    either = (field(node, "consequence"), field(node, "alternative"))
    if isinstance(condition, Unknown):
        if any(acts(one) for one in either):
            machine.refuse_unknown(condition, "it decides what is done")
        return condition
    machine.climb(3)
    return machine.value(either[0] if op.truthy(condition) else either[1], scope)


@expression("unary_expression")
def _unary(machine: Machine, node: Node, scope: Scope) -> Any:
    sign = machine.source.of(field(node, "operator"))
    argument = field(node, "argument")
    if sign == "delete":
        machine.refuse("value", f"`{machine.source.brief(node)}` is not understood", node)
    value = machine.value(argument, scope)
    if sign == "void":
        return UNDEFINED
    if isinstance(value, Unknown):
        return value
    if sign == "!":
        return not op.truthy(value)
    if sign == "typeof":
        return op.kind(value)
    if sign == "-" and isinstance(value, BigInt):
        return BigInt(-value.value)
    if sign in ("-", "+"):
        number = told(machine, op.number, node, value)
        return -number if sign == "-" and isinstance(number, float) else number
    machine.refuse("value", f"`{machine.source.brief(node)}` is not understood", node)


@expression("binary_expression")
def _binary(machine: Machine, node: Node, scope: Scope) -> Any:
    # A long concatenation leans to the left, one node in the other: go down it without calls.
    line = [node]
    left = field(node, "left")
    while left.type == "binary_expression":
        line.append(left)
        left = field(left, "left")
    value = machine.value(left, scope)
    for one in reversed(line):
        sign = machine.source.of(field(one, "operator"))
        value = _applied(machine, sign, value, field(one, "right"), one, scope)
    return value


def _applied(machine: Machine, sign: str, value: Any, right: Node, node: Node, scope: Scope) -> Any:
    if sign in ("&&", "||", "??"):
        return _logical(machine, sign, value, right, scope)
    machine.climb(2)
    other = machine.value(right, scope)
    if unknown := op.unknown_in(value, other):
        return unknown
    if sign == "+":
        made = told(machine, op.add, node, value, other)
        machine.bounded(len(made) if isinstance(made, str) else 0, LENGTH, node)
        return cooking.joined(made) if type(made) is str else made
    if sign in ("===", "!=="):
        return op.same(value, other) == (sign == "===")
    if sign in ("==", "!="):
        return told(machine, op.alike, node, value, other) == (sign == "==")
    if sign in ("<", ">", "<=", ">="):
        return told(machine, lambda a, b: op.compare(sign, a, b), node, value, other)
    if sign == "in" and isinstance(other, dict):
        return told(machine, op.key_of, node, value) in other
    return told(machine, lambda a, b: op.arithmetic(sign, a, b), node, value, other)


def _logical(machine: Machine, sign: str, value: Any, right: Node, scope: Scope) -> Any:
    if isinstance(value, Unknown):
        if acts(right):
            machine.refuse_unknown(value, "it decides what is done")
        return value
    machine.climb(2)
    if sign == "??":
        goes_on = value is None or isinstance(value, Undefined)
    else:
        goes_on = op.truthy(value) == (sign == "&&")
    return machine.value(right, scope) if goes_on else value


@expression("assignment_expression")
def _assignment(machine: Machine, node: Node, scope: Scope) -> Any:
    value = machine.value(field(node, "right"), scope)
    machine.climb(2)
    places.assign(machine, field(node, "left"), value, scope)
    return value


@expression("augmented_assignment_expression")
def _augmented(machine: Machine, node: Node, scope: Scope) -> Any:
    target = field(node, "left")
    sign = machine.source.of(field(node, "operator"))[:-1]
    value = machine.value(target, scope)
    if sign in ("&&", "||", "??") and isinstance(value, Unknown):
        machine.refuse_unknown(value, "it decides what is done")
    made = _applied(machine, sign, value, field(node, "right"), node, scope)
    places.put(machine, target, made, scope)
    return made


@expression("update_expression")
def _update(machine: Machine, node: Node, scope: Scope) -> Any:
    target = field(node, "argument")
    before = told(machine, op.number, node, machine.value(target, scope))
    if isinstance(before, Unknown):
        return before
    step = 1.0 if machine.source.of(field(node, "operator")) == "++" else -1.0
    places.put(machine, target, before + step, scope)
    first = node.children[0].type in ("++", "--")
    return before + step if first else before
