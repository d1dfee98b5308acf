"""functions of the file, and what calls them"""

from __future__ import annotations

from typing import Any

from tree_sitter import Node

from qb_engine.migrations.typescript import members, places
from qb_engine.migrations.typescript.grammar import children, field, inside_of, line_of
from qb_engine.migrations.typescript.machine import Machine
from qb_engine.migrations.typescript.operators import unknown_in
from qb_engine.migrations.typescript.refusal import Thrown
from qb_engine.migrations.typescript.scope import Scope
from qb_engine.migrations.typescript.statements import Return, block, hoist_variables
from qb_engine.migrations.typescript.things import (
    LATER,
    UNDEFINED,
    Builtin,
    Class,
    Function,
    Late,
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
            if any(isinstance(one, Function) for one in given):
                machine.refuse_unknown(unknown, "it decides what is called")
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
        thrown: Thrown | None = None
        try:
            value = _body(machine, function, this, given)
            machine.settled(value, function.node)
        except Thrown as one:
            value, thrown = UNDEFINED, one
        late = frame.late
        held = [i for i in range(start, len(machine.sent)) if machine.sent[i].awaited]
        for index in held:
            machine.sent[index].awaited = False
        if isinstance(value, Promise):
            late |= value.late
            held += [index for index in value.queries if index not in held]
            machine.loose = [other for other in machine.loose if other is not value]
            thrown = value.thrown
            value = value.value
    if thrown is not None:
        late = Late.SENDS | Late.CHANGES  # nothing else is done before it is noticed
    promise = Promise(value, tuple(held), late, line, thrown)
    if late:
        machine.loose.append(promise)
    return promise


def _body(machine: Machine, function: Function, this: Any, given: list[Any]) -> Any:
    scope = Scope(function.scope, whole=True)
    if function.is_async:
        machine.frames[-1].own = scope
    if not function.is_arrow:
        unbound = this is None or isinstance(this, Undefined)  # some files have one even then
        scope.declare("this", LATER if unbound else this)
        scope.declare("arguments", Unknown("value", "arguments", 0))
        scope.declare("super", function.home or Unknown("value", "super", line_of(function.node)))
    elif function.this is not None:
        scope.declare("this", function.this)
    bind(machine, function.node, given, scope)
    body = field(function.node, "body")
    if body.type == "object":
        machine.refuse("value", f"`{machine.source.brief(body)}` is a block, and no object", body)
    if body.type != "statement_block":
        return machine.value(body, scope)
    inside = children(body)
    if function.node.child_by_field_name("parameters") is not None:
        _refuse_twice(machine, function.node, inside, scope)
    hoist_variables(machine, inside, scope)
    end = block(machine, inside, scope)
    return end.value if isinstance(end, Return) else UNDEFINED


def _refuse_twice(machine: Machine, node: Node, inside: list[Node], scope: Scope) -> None:
    """Refuse a `var` of a parameter's name where a default value may have kept the parameter."""
    values = [one.child_by_field_name("value") for one in field(node, "parameters").named_children]
    if not any(value is not None and not is_plain(value) for value in values):
        return
    variables = Scope(whole=True)
    hoist_variables(machine, inside, variables)
    if variables.names.keys() & scope.names.keys():
        machine.refuse("value", "a variable has the name of a parameter", node)


def is_plain(node: Node) -> bool:
    """True for a literal or a name."""
    return node.type not in ("arrow_function", "function_expression") and all(
        is_plain(child) for child in node.named_children
    )


def bind(machine: Machine, node: Node, given: list[Any], scope: Scope) -> None:
    """Give the parameters of a function their values."""
    single = node.child_by_field_name("parameter")
    if single is not None:
        places.declare(machine, single, given[0] if given else UNDEFINED, scope)
        return
    index = 0
    parameters = children(field(node, "parameters"))
    for parameter in parameters:
        if parameter.child_by_field_name("value") is not None:
            for name in places.names(parameter.child_by_field_name("pattern") or parameter):
                scope.declare(machine.source.of(name), LATER)
    for parameter in parameters:
        pattern = parameter.child_by_field_name("pattern") or parameter
        if pattern.type == "this":
            continue
        if pattern.type == "rest_pattern":
            places.declare(machine, inside_of(pattern), list(given[index:]), scope)
            return
        value = given[index] if index < len(given) else UNDEFINED
        default = parameter.child_by_field_name("value")
        if default is not None:
            value = places.given(machine, value, default, scope)
        places.declare(machine, pattern, value, scope)
        index += 1


members.CALL.append(call)
