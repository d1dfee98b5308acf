"""classes of the file, and the objects made of them"""

from __future__ import annotations

from typing import Any

from tree_sitter import Node

from qb_engine.migrations.typescript import functions, members
from qb_engine.migrations.typescript.grammar import bare, children, field, inside_of
from qb_engine.migrations.typescript.machine import Machine, expression, statement
from qb_engine.migrations.typescript.refusal import Refused
from qb_engine.migrations.typescript.scope import Scope
from qb_engine.migrations.typescript.statements import block
from qb_engine.migrations.typescript.things import (
    UNDEFINED,
    Builtin,
    Class,
    Function,
    Instance,
    Unknown,
)

KINDS = ("class_declaration", "abstract_class_declaration", "class")


@statement("class_declaration", "abstract_class_declaration")
def _class_statement(machine: Machine, node: Node, scope: Scope) -> None:
    name = machine.source.of(field(node, "name"))
    scope.declare(name, made(machine, node, scope))


@expression("class")
def _class(machine: Machine, node: Node, scope: Scope) -> Class:
    return made(machine, node, scope)


def guarded(machine: Machine, node: Node, scope: Scope) -> Any:
    """The value of an expression; unknown where it is refused."""
    try:
        return machine.value(node, scope)
    except Refused as no:
        return Unknown(no.cause, machine.source.brief(node), no.line, f"is not clear: {no.reason}")


def made(machine: Machine, node: Node, scope: Scope, inferred: str = "") -> Class:
    """A class as a value: its methods, its static fields, what its objects begin with."""
    named = node.child_by_field_name("name")
    name = machine.source.of(named) if named is not None else inferred
    inner = Scope(scope)
    of = Class(name, node, inner)
    if named is not None:
        inner.declare(name, of)
    of.parent = _parent(machine, node, scope)
    decorated = any(child.type == "decorator" for child in node.children)
    outside = node.parent
    if outside is not None and outside.type == "export_statement":
        decorated = decorated or any(child.type == "decorator" for child in outside.children)
    if decorated:
        of.unclear = "a decorator may change the class"
    waiting: list[tuple[str, Node | None]] = []
    pending = False
    for child in field(node, "body").named_children:
        if child.type == "decorator":
            pending = True
            continue
        if child.type == "method_definition":
            _method(machine, of, child, pending)
        elif child.type == "public_field_definition":
            _field(machine, of, child, waiting, pending)
        elif child.type == "class_static_block":
            of.unclear = "a static block may change the class"
        pending = pending and child.type == "comment"
    this = Scope(inner)
    this.declare("this", of)
    for key, value in waiting:
        of.statics[key] = UNDEFINED if value is None else guarded(machine, value, this)
    return of


def _parent(machine: Machine, node: Node, scope: Scope) -> Any:
    for heritage in node.children:
        if heritage.type != "class_heritage":
            continue
        for clause in heritage.named_children:
            if clause.type == "extends_clause":
                return guarded(machine, field(clause, "value"), scope)
            if clause.type != "implements_clause":
                return guarded(machine, clause, scope)
    return None


def _key(machine: Machine, of: Class, node: Node) -> str | None:
    try:
        return members.key(machine, field(node, "name"), of.scope)
    except Refused as no:
        of.unclear = no.reason
        return None


def _method(machine: Machine, of: Class, node: Node, decorated: bool) -> None:
    kinds = {child.type for child in node.children}
    key = _key(machine, of, node)
    if key is None:
        return
    function = Function(node, of.scope, None, key, "async" in kinds, home=of.parent)
    if "*" in kinds or decorated or "decorator" in kinds:
        what = "a generator" if "*" in kinds else "changed by a decorator"
        unknown: Any = machine.unknown("code", field(node, "name"), f"is {what}")
        of.statics[key] = unknown
        of.methods[key] = unknown
    elif key == "constructor":
        of.constructor = function
    elif "static" in kinds:
        (of.static_getters if "get" in kinds else of.statics)[key] = function
    elif "get" in kinds:
        of.getters[key] = function
    elif "set" not in kinds:
        of.methods[key] = function


def _field(
    machine: Machine, of: Class, node: Node, static: list[tuple[str, Node | None]], decorated: bool
) -> None:
    if any(child.type == "declare" for child in node.children):
        return
    key = _key(machine, of, node)
    if key is None:
        return
    value = node.child_by_field_name("value")
    if decorated or any(child.type == "decorator" for child in node.children):
        of.unclear = f"a decorator may change `{key}`"
    if any(child.type == "static" for child in node.children):
        static.append((key, value))
    else:
        of.fields.append((key, value))


def instance(machine: Machine, of: Class) -> Instance:
    """An object of a class, made with no arguments."""
    new = Instance(of)
    chain = [of]
    while isinstance(chain[-1].parent, Class) and len(chain) < 20:
        chain.append(chain[-1].parent)
    for one in reversed(chain):
        scope = Scope(one.scope)
        scope.declare("this", new)
        for key, value in one.fields:
            new.fields[key] = UNDEFINED if value is None else guarded(machine, value, scope)
            made = new.fields[key]
            if isinstance(made, Function) and not made.name:
                made.name = key
        if one.constructor is not None:
            _construct(machine, one, new)
    return new


def _construct(machine: Machine, of: Class, new: Instance) -> None:
    """Run a constructor; where it is not understood, everything on the object is unknown."""
    function = of.constructor
    if function is None:
        return
    body = children(field(function.node, "body"))
    rest = [one for one in body if not _is_super(one)]
    try:
        scope = Scope(of.scope, whole=True)
        scope.declare("this", new)
        functions.bind(machine, function.node, [], scope)
        for parameter in children(field(function.node, "parameters")):
            if any(child.type == "accessibility_modifier" for child in parameter.children):
                name = machine.source.of(field(parameter, "pattern"))
                new.fields[name] = scope.names.get(name, UNDEFINED)
        for one in rest:
            _constructed(machine, one, new, scope)
    except Refused as no:
        of.unmade = f"its constructor is not clear: {no.reason}"


def _constructed(machine: Machine, node: Node, new: Instance, scope: Scope) -> None:
    """Carry out a statement of a constructor; `this.x = ...` may be unknown for itself."""
    if node.type == "expression_statement":
        inside = bare(inside_of(node))
        left = field(inside, "left") if inside.type == "assignment_expression" else None
        if left is not None and left.type == "member_expression":
            name = machine.source.of(field(left, "property"))
            if field(left, "object").type == "this":
                new.fields[name] = guarded(machine, field(inside, "right"), scope)
                return
    block(machine, [node], scope)


def _is_super(node: Node) -> bool:
    if node.type != "expression_statement":
        return False
    call = bare(inside_of(node))
    if call.type != "call_expression":
        return False
    return field(call, "function").type == "super" and not children(field(call, "arguments"))


@expression("new_expression")
def _new(machine: Machine, node: Node, scope: Scope) -> Any:
    from qb_engine.migrations.typescript.calls import args
    from qb_engine.migrations.typescript.standard import date

    callee = bare(field(node, "constructor"))
    function = machine.value(callee, scope)
    arguments = node.child_by_field_name("arguments")
    given = args(machine, arguments, scope) if arguments is not None else []
    if isinstance(function, Builtin) and function.name == "Date":
        return date(machine, given, node)
    if isinstance(function, Builtin) and function.name == "URL":
        return function.run(machine, given, node)
    if isinstance(function, Unknown) and function.cause in ("schema", "manager"):
        return machine.unknown(function.cause, node)  # a Table, a TableColumn, ...
    if isinstance(function, Unknown):
        machine.refuse_unknown(function, "an object is made of it")
    machine.refuse("value", f"`{machine.source.brief(node)}` is not understood", node)
