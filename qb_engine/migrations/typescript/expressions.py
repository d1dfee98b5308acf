"""the value of an expression"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tree_sitter import Node

from qb_engine.migrations.typescript import cooking, functions, members, numbers, places
from qb_engine.migrations.typescript import operators as op
from qb_engine.migrations.typescript.acting import acts
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
        if _misplaced(machine, sign, one):
            machine.refuse("value", f"`{machine.source.brief(node)}` is not understood", node)
        value = _applied(machine, sign, value, field(one, "right"), one, scope)
    return value


# How tightly operators bind. The grammar is wrong about some, such as the second in `a < b < c`.
_BINDS = {
    sign: strength
    for strength, signs in enumerate(
        ("??", "||", "&&", "|", "^", "&", "== != === !==", "< > <= >= in instanceof",
         "<< >> >>>", "+ -", "* / %", "**")
    )
    for sign in signs.split()
}  # fmt: skip


def _misplaced(machine: Machine, sign: str, node: Node) -> bool:
    """True where JavaScript groups the parts in another way than the tree does, or in none."""
    left, right = field(node, "left"), field(node, "right")
    if sign == "<" and "<!--" in machine.source.of(node)[: right.end_byte - node.start_byte]:
        return True  # the beginning of a comment, in some files
    before = machine.source.of(field(left, "operator")) if left.type == "binary_expression" else ""
    after = machine.source.of(field(right, "operator")) if right.type == "binary_expression" else ""
    if sign not in _BINDS or (sign == "**" and left.type == "unary_expression"):
        return True
    if "??" in (sign, before, after) and {"||", "&&"} & {sign, before, after}:
        return True
    if sign == "**":
        return before == "**" or (after != "" and after != "**")
    strength = _BINDS[sign]
    return (before != "" and _BINDS.get(before, -1) < strength) or (
        after != "" and _BINDS.get(after, -1) <= strength
    )


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
        key = told(machine, op.key_of, node, value)
        return True if key in members.OF_OBJECTS else key in other
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
    left, right = field(node, "left"), field(node, "right")
    machine.climb(2)
    if bare(left).type in ("member_expression", "subscript_expression"):
        place = places.found(machine, left, scope)
        value = machine.value(right, scope)
        place.put(value)
        return value
    value = places.named_by(machine, left, right, machine.value(right, scope))
    places.assign(machine, left, value, scope)
    return value


@expression("augmented_assignment_expression")
def _augmented(machine: Machine, node: Node, scope: Scope) -> Any:
    place = places.found(machine, field(node, "left"), scope)
    sign = machine.source.of(field(node, "operator"))[:-1]
    value = place.get()
    if sign in ("&&", "||", "??") and isinstance(value, Unknown):
        machine.refuse_unknown(value, "it decides what is done")
    made = _applied(machine, sign, value, field(node, "right"), node, scope)
    place.put(made)
    return made


@expression("update_expression")
def _update(machine: Machine, node: Node, scope: Scope) -> Any:
    if len({child.start_point.row for child in node.children if child.type in ("++", "--")}
           | {field(node, "argument").end_point.row}) > 1:  # fmt: skip
        machine.refuse("value", f"`{machine.source.brief(node)}` breaks its line", node)
    place = places.found(machine, field(node, "argument"), scope)
    before = told(machine, op.number, node, place.get())
    if isinstance(before, Unknown):
        return before
    step = 1.0 if machine.source.of(field(node, "operator")) == "++" else -1.0
    place.put(before + step)
    first = node.children[0].type in ("++", "--")
    return before + step if first else before
