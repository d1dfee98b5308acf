"""functions of the file, and what calls them"""

from __future__ import annotations

from typing import Any

from tree_sitter import Node

from qb_engine.migrations.typescript import members, places
from qb_engine.migrations.typescript.grammar import children, field, inside_of, line_of
from qb_engine.migrations.typescript.machine import Machine
from qb_engine.migrations.typescript.operators import unknown_in
from qb_engine.migrations.typescript.scope import Scope
from qb_engine.migrations.typescript.statements import Return, block
from qb_engine.migrations.typescript.things import (
    UNDEFINED,
    Builtin,
    Class,
    Function,
    Promise,
    Undefined,
    Unknown,
)


def made(machine: Machine, node: Node, scope: Scope, this: Any, name: str = "") -> Function:
    """A function as a value."""
    kinds = {child.type for child in node.children}
    if "*" in kinds or node.type.startswith("generator"):
        machine.refuse("value", "a generator is not understood", node)
    return Function(
        node, scope, this, name, "async" in kinds, node.type == "arrow_function"
    )  # fmt: skip


def call(machine: Machine, function: Any, this: Any, given: list[Any], node: Node) -> Any:
    """The value of a call; what it sends is noted."""
    if isinstance(function, Function):
        machine.climb(3)
        machine.turn(node)
        return invoke(machine, function, this, given, line_of(node))
    if isinstance(function, Builtin):
        if function.pure and (unknown := unknown_in(*given)):
            return unknown
        return function.run(machine, given, node)
    text = machine.source.brief(node)
    if isinstance(function, Unknown):
        why = function.reason
        if function.cause == "code" and why:
            machine.refuse("code", f"`{text}` runs code that {why}", node)
        if function.cause in ("rows", "environment") or why:
            machine.refuse_unknown(function, f"`{text}` calls it")
        machine.refuse(function.cause, f"`{text}` calls what the file does not tell", node)
    if isinstance(function, Class):
        machine.refuse("value", f"`{text}` calls a class without new", node)
    machine.refuse("value", f"`{text}` calls no function", node)


def invoke(machine: Machine, function: Function, this: Any, given: list[Any], line: int = 0) -> Any:
    """Run a function of the file; an asynchronous one gives a promise."""
    if not function.is_async:
        return _body(machine, function, this, given)
    start = len(machine.sent)
    with machine.framed() as frame:
        value = _body(machine, function, this, given)
        late = frame.late
        held = [i for i in range(start, len(machine.sent)) if machine.sent[i].awaited]
        for index in held:
            machine.sent[index].awaited = False
        if isinstance(value, Promise):
            late = late or value.late
            held += [index for index in value.queries if index not in held]
            machine.loose = [other for other in machine.loose if other is not value]
            value = value.value
    promise = Promise(value, tuple(held), late, line)
    if late:
        machine.loose.append(promise)
    return promise


def _body(machine: Machine, function: Function, this: Any, given: list[Any]) -> Any:
    scope = Scope(function.scope, whole=True)
    if not function.is_arrow:
        scope.declare("this", this)
        scope.declare("arguments", Unknown("value", "arguments", 0))
        if function.home is not None:
            scope.declare("super", function.home)
    elif function.this is not None:
        scope.declare("this", function.this)
    bind(machine, function.node, given, scope)
    body = field(function.node, "body")
    if body.type != "statement_block":
        return machine.value(body, scope)
    end = block(machine, children(body), scope)
    return end.value if isinstance(end, Return) else UNDEFINED


def bind(machine: Machine, node: Node, given: list[Any], scope: Scope) -> None:
    """Give the parameters of a function their values."""
    single = node.child_by_field_name("parameter")
    if single is not None:
        places.declare(machine, single, given[0] if given else UNDEFINED, scope)
        return
    index = 0
    for parameter in children(field(node, "parameters")):
        pattern = parameter.child_by_field_name("pattern") or parameter
        if pattern.type == "this":
            continue
        if pattern.type == "rest_pattern":
            places.declare(machine, inside_of(pattern), list(given[index:]), scope)
            return
        value = given[index] if index < len(given) else UNDEFINED
        default = parameter.child_by_field_name("value")
        if isinstance(value, Undefined) and default is not None:
            value = machine.value(default, scope)
        places.declare(machine, pattern, value, scope)
        index += 1


members.CALL.append(call)
