"""classes of the file, and the objects made of them"""

from __future__ import annotations

from typing import Any

from tree_sitter import Node

from qb_engine.migrations.typescript import functions, members
from qb_engine.migrations.typescript.grammar import bare, children, field, inside_of
from qb_engine.migrations.typescript.machine import Machine, expression, statement
from qb_engine.migrations.typescript.reach import disturbs
from qb_engine.migrations.typescript.refusal import Fails, Refused
from qb_engine.migrations.typescript.scope import Scope
from qb_engine.migrations.typescript.statements import block, hoist, hoist_variables
from qb_engine.migrations.typescript.things import (
    UNDEFINED,
    Builtin,
    Class,
    Function,
    Instance,
    Undefined,
    Unknown,
)

KINDS = ("class_declaration", "abstract_class_declaration", "class")


@statement("class_declaration", "abstract_class_declaration")
def _class_statement(machine: Machine, node: Node, scope: Scope) -> None:
    named = node.child_by_field_name("name")
    of = made(machine, node, scope)
    if named is not None:
        scope.declare(of.name, of)


@expression("class")
def _class(machine: Machine, node: Node, scope: Scope) -> Class:
    return made(machine, node, scope)


def _not_clear(machine: Machine, node: Node, no: Refused) -> Unknown:
    return Unknown(no.cause, machine.source.brief(node), no.line, f"is not clear: {no.reason}")


def guarded(machine: Machine, node: Node, scope: Scope) -> Any:
    """The value of an expression; unknown where it is refused."""
    try:
        return machine.value(node, scope)
    except Refused as no:
        return _not_clear(machine, node, no)


def _guarded(machine: Machine, node: Node, scope: Scope) -> Any:
    """The same. Raise Refused for what fails, or may change what the file has."""
    try:
        return machine.value(node, scope)
    except Refused as no:
        if isinstance(no, Fails) or disturbs(machine, node, scope):
            raise
        return _not_clear(machine, node, no)


def made(machine: Machine, node: Node, scope: Scope, inferred: str = "") -> Class:
    """A class as a value: its methods, its static fields, what its objects begin with."""
    if scope is machine.module and node.id in machine.classes:
        return machine.classes[node.id]
    named = node.child_by_field_name("name")
    name = machine.source.of(named) if named is not None else inferred
    inner = Scope(scope)
    of = Class(name, node, inner)
    if named is not None:
        inner.declare(name, of)
    if scope is machine.module:
        machine.classes[node.id] = of
    try:
        of.parent = _parent(machine, node, scope)
    except Refused as no:
        of.unclear = f"what it extends is not clear: {no.reason}"
        raise
    decorated = any(child.type == "decorator" for child in node.children)
    outside = node.parent
    if outside is not None and outside.type == "export_statement":
        decorated = decorated or any(child.type == "decorator" for child in outside.children)
    if decorated:
        of.unclear = "a decorator may change the class"
    waiting: list[tuple[str, Node]] = []
    this = Scope(inner, whole=True)
    this.declare("this", of)
    this.declare("super", of.parent or machine.unknown("value", node))
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
            waiting.append(("", child))
        pending = pending and child.type == "comment"
    for key, part in waiting:
        try:
            _static(machine, of, key, part, this)
        except Refused as no:
            what = f"the field `{key}`" if key else "a static block"
            of.unclear = f"{what} may change the class: {no.reason}"
            if disturbs(machine, part, this):
                raise
    return of


def _static(machine: Machine, of: Class, key: str, part: Node, scope: Scope) -> None:
    """Make a static field, or carry out a static block."""
    if part.type == "class_static_block":
        inside = children(field(part, "body"))
        block_scope = Scope(scope, whole=True)
        hoist_variables(machine, inside, block_scope)
        block(machine, inside, block_scope)
        return
    value = part.child_by_field_name("value")
    if value is None:
        of.statics[key] = UNDEFINED
        return
    try:
        of.statics[key] = _guarded(machine, value, scope)
    except Refused as no:
        of.statics[key] = _not_clear(machine, value, no)
        raise


def _parent(machine: Machine, node: Node, scope: Scope) -> Any:
    for heritage in node.children:
        if heritage.type != "class_heritage":
            continue
        for clause in heritage.named_children:
            if clause.type == "implements_clause":
                continue
            value = field(clause, "value") if clause.type == "extends_clause" else clause
            found = _guarded(machine, value, scope)
            if isinstance(found, (Class, Unknown)):
                return found
            if found is None or isinstance(found, Undefined):
                machine.refuse("value", "what it extends is no class", value)
            return machine.unknown("value", value, "is no class of the file")
    return None


def _key(machine: Machine, of: Class, node: Node) -> str | None:
    try:
        return members.key(machine, field(node, "name"), of.scope)
    except Refused as no:
        of.unclear = no.reason
        if disturbs(machine, node, of.scope):
            raise
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
        if "static" in kinds:
            of.unclear = "it has a static `constructor`"
    elif "get" in kinds or "set" in kinds:
        static, gets = "static" in kinds, "get" in kinds
        (of.statics if static else of.methods).pop(key, None)
        if static:
            (of.static_getters if gets else of.static_setters)[key] = function
        else:
            (of.getters if gets else of.setters)[key] = function
    elif "static" in kinds:
        of.static_getters.pop(key, None)
        of.static_setters.pop(key, None)
        of.statics[key] = function
    else:
        of.getters.pop(key, None)
        of.setters.pop(key, None)
        of.methods[key] = function


def _field(
    machine: Machine, of: Class, node: Node, static: list[tuple[str, Node]], decorated: bool
) -> None:
    if any(child.type in ("declare", "abstract") for child in node.children):
        return
    key = _key(machine, of, node)
    if key is None:
        return
    value = node.child_by_field_name("value")
    if decorated or any(child.type == "decorator" for child in node.children):
        of.unclear = f"a decorator may change `{key}`"
    if any(child.type == "accessor" for child in node.children):
        of.unclear = f"`{key}` is an accessor"
    if any(child.type == "static" for child in node.children):
        static.append((key, node))
    else:
        of.fields.append((key, value))


def instance(machine: Machine, of: Class) -> Instance:
    """An object of a class, made with no arguments."""
    new = Instance(of)
    chain = [of]
    while isinstance(chain[-1].parent, Class) and len(chain) < 20:
        chain.append(chain[-1].parent)
    for one in reversed(chain):
        scope = Scope(one.scope, whole=True)
        scope.declare("this", new)
        scope.declare("super", one.parent or machine.unknown("value", one.node))
        for name in _of_parameters(machine, one):
            new.fields[name] = machine.unknown("value", one.node, "is set by the constructor")
        for key, value in one.fields:
            try:
                _begin(machine, chain, new, key, value, scope)
            except Refused as no:
                new.fields[key] = _not_clear(machine, value or one.node, no)
                one.unmade = one.unmade or f"its field `{key}` is not clear: {no.reason}"
        if one.constructor is not None:
            _construct(machine, one, new)
    return new


def _begin(
    machine: Machine, chain: list[Class], new: Instance, key: str, value: Node | None, scope: Scope
) -> None:
    """Make a field of a new object. What depends on the compiler's settings is unknown."""
    accessors = any(key in one.getters.keys() | one.setters.keys() for one in chain)
    if accessors or (value is None and key in new.fields and not machine.source.is_javascript):
        new.fields[key] = machine.unknown("value", chain[0].node, f"has two fields `{key}`")
        return
    made = UNDEFINED if value is None else _guarded(machine, value, scope)
    new.fields[key] = made
    direct = value is not None and bare(value).type in ("arrow_function", "function_expression")
    if direct and isinstance(made, Function) and not made.name:
        made.name = key


def _of_parameters(machine: Machine, of: Class) -> list[str]:
    """The fields that a constructor makes of its parameters."""
    if of.constructor is None:
        return []
    return [
        machine.source.of(field(parameter, "pattern"))
        for parameter in children(field(of.constructor.node, "parameters"))
        if any(
            child.type in ("accessibility_modifier", "override_modifier", "readonly")
            for child in parameter.children
        )
    ]


def _construct(machine: Machine, of: Class, new: Instance) -> None:
    """Run a constructor; where it is not understood, everything on the object is unknown."""
    function = of.constructor
    if function is None:
        return
    body = children(field(function.node, "body"))
    while body and body[0].type == "expression_statement" and inside_of(body[0]).type == "string":
        body = body[1:]
    if of.parent is not None:
        if not body or not _is_super(body[0]):
            of.unmade = "its constructor does not begin with `super()`"
            return
        body = body[1:]
    try:
        scope = Scope(of.scope, whole=True)
        scope.declare("this", new)
        scope.declare("super", of.parent or machine.unknown("value", of.node))
        functions.bind(machine, function.node, [], scope)
        for name in _of_parameters(machine, of):
            new.fields[name] = scope.names.get(name, UNDEFINED)
        hoist_variables(machine, body, scope)
        hoist(machine, body, scope)
        for one in body:
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
            if field(left, "object").type == "this" and not _is_accessor(new, name):
                value = _guarded(machine, field(inside, "right"), scope)
                machine.affect(node, new)
                new.fields[name] = value
                return
    if machine.run(node, scope) is not None:
        machine.refuse("value", "it returns before its end", node)


def _is_accessor(new: Instance, name: str) -> bool:
    of: Any = new.of
    while isinstance(of, Class):
        if name in of.getters.keys() | of.setters.keys():
            return True
        of = of.parent
    return False


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
