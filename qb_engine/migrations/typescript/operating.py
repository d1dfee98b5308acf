"""the value of an expression with an operator: conditions, calculations, assignments"""

from __future__ import annotations

from typing import Any

from tree_sitter import Node

from qb_engine.migrations.typescript import cooking, members, places
from qb_engine.migrations.typescript import operators as op
from qb_engine.migrations.typescript.acting import acts
from qb_engine.migrations.typescript.expressions import told
from qb_engine.migrations.typescript.grammar import bare, field
from qb_engine.migrations.typescript.machine import LENGTH, Machine, expression
from qb_engine.migrations.typescript.scope import Scope
from qb_engine.migrations.typescript.things import UNDEFINED, BigInt, Undefined, Unknown


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
