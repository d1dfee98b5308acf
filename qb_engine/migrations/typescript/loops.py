"""loops, turn by turn"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tree_sitter import Node

from qb_engine.migrations.typescript import members, places
from qb_engine.migrations.typescript.grammar import field, inside_of
from qb_engine.migrations.typescript.machine import STATEMENTS, Machine, statement
from qb_engine.migrations.typescript.operators import keys
from qb_engine.migrations.typescript.scope import Scope
from qb_engine.migrations.typescript.statements import BREAK, CONTINUE, End, decides
from qb_engine.migrations.typescript.things import LATER, Iterated, Unknown


def _again(scope: Scope) -> Scope:
    """The variables of a loop for its next turn: closures keep those of their own."""
    made = Scope(scope.outer)
    made.names, made.constant = dict(scope.names), scope.constant
    return made


def _turn(machine: Machine, node: Node, scope: Scope) -> End | None:
    """Carry out the body once: what ends the loop, None where it goes on."""
    machine.turn(node)
    end = machine.run(field(node, "body"), scope)
    return None if end is CONTINUE else end


def _after(end: End) -> End | None:
    """What a loop that ended hands on: a `break` was its own."""
    return None if end is BREAK else end


@statement("for_statement")
def _for(machine: Machine, node: Node, scope: Scope) -> Any:
    machine.climb(3)
    inner = Scope(scope)
    initializer = field(node, "initializer")
    if initializer.type in STATEMENTS:
        machine.run(initializer, inner)
    else:
        machine.value(initializer, inner)
    inner = _again(inner)
    condition = node.child_by_field_name("condition")
    increment = node.child_by_field_name("increment")
    while True:
        if condition is not None and condition.type != "empty_statement":
            test = inside_of(condition) if condition.type == "expression_statement" else condition
            if not decides(machine, test, inner):
                return None
        if (end := _turn(machine, node, inner)) is not None:
            return _after(end)
        inner = _again(inner)
        if increment is not None:
            machine.value(increment, inner)


@statement("for_in_statement")
def _for_each(machine: Machine, node: Node, scope: Scope) -> Any:
    machine.climb(3)
    if any(child.type == "await" for child in node.children):
        machine.refuse("value", "`for await` is not understood", node)
    right, left = field(node, "right"), field(node, "left")
    kind = node.child_by_field_name("kind")
    how = machine.source.of(kind) if kind is not None else ""
    early = Scope(scope)
    for name in places.names(left) if how in ("const", "let") else ():
        early.declare(machine.source.of(name), LATER)
    through = machine.value(right, early)
    if isinstance(through, Unknown):
        machine.refuse_unknown(through, "it decides how often a loop runs")
    gone: Any = None
    if machine.source.of(field(node, "operator")) == "in":
        gone = through
        if isinstance(through, dict):
            through = keys(through)
        elif isinstance(through, list):
            through = [str(i) for i in range(len(through))]
        else:
            machine.refuse("value", f"`{machine.source.brief(right)}` is no object", right)
    part: Callable[[int], Any] | None = None
    if isinstance(through, Iterated) and not through.used:
        through.used = True
        part, through = through.part, through.of
    going = members.items(machine, through, right)
    position = 0
    while position < len(going):  # an array may grow while it is gone through
        if isinstance(gone, list) and len(gone) < len(going):
            machine.refuse("value", "an array shrinks while it is gone through", node)
        turn = Scope(scope)
        item = part(position) if part is not None else going[position]
        if not how:
            places.assign(machine, left, item, scope)
        else:
            into = scope.function() if how == "var" else turn
            places.declare(machine, left, item, into, constant=how == "const")
        position += 1
        if (end := _turn(machine, node, turn)) is not None:
            return _after(end)
    return None


@statement("while_statement")
def _while(machine: Machine, node: Node, scope: Scope) -> Any:
    while decides(machine, field(node, "condition"), scope):
        if (end := _turn(machine, node, Scope(scope))) is not None:
            return _after(end)
    return None


@statement("do_statement")
def _do(machine: Machine, node: Node, scope: Scope) -> Any:
    while True:
        if (end := _turn(machine, node, Scope(scope))) is not None:
            return _after(end)
        if not decides(machine, field(node, "condition"), scope):
            return None
