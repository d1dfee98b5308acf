"""a file carried out from top to bottom, as far as it is understood"""

from __future__ import annotations

from tree_sitter import Node

from qb_engine.migrations.typescript import files, members, places, statements
from qb_engine.migrations.typescript.acting import acts
from qb_engine.migrations.typescript.grammar import (
    bare,
    children,
    descended,
    field,
    inside_of,
    line_of,
)
from qb_engine.migrations.typescript.machine import Frame, Machine, statement
from qb_engine.migrations.typescript.operators import key_of
from qb_engine.migrations.typescript.reach import may_change, reached
from qb_engine.migrations.typescript.refusal import Fails, Refused, Thrown
from qb_engine.migrations.typescript.scope import Scope
from qb_engine.migrations.typescript.things import LATER, Builtin, Class, Later, Namespace, Unknown
from qb_engine.migrations.typescript.values import Cause

_MANAGER = frozenset(
    ("getRepository", "getConnection", "getManager", "getCustomRepository", "createQueryBuilder",
     "getTreeRepository", "In", "IsNull", "Not", "Like", "DataSource", "EntityManager",
     "Repository", "createConnection")
)  # fmt: skip


def load(machine: Machine) -> None:
    """Give the names of a file their values; those that are not clear are unknown."""
    frames, rung = machine.frames, machine.rung
    machine.frames = [Frame()]
    nodes = children(machine.source.root)
    inside = [
        child
        for node in nodes
        for child in (children(node) if node.type == "export_statement" else [node])
    ]
    statements.hoist_variables(machine, nodes, machine.module)
    statements.hoist(machine, inside, machine.module)
    for node in nodes:
        if node.type == "expression_statement" and _says_nothing(machine, node):
            continue
        try:
            _run(machine, node)
        except (Refused, Thrown) as no:
            _give_up(machine, node, no)
    machine.frames, machine.rung = frames, rung


# They leave a class as it is, so that a file that has nothing else need not be carried out for it.
_QUIET = frozenset(
    ("import_statement", "class_declaration", "abstract_class_declaration", "interface_declaration",
     "type_alias_declaration", "function_declaration", "ambient_declaration", "empty_statement",
     "function_signature", "enum_declaration")
)  # fmt: skip


def ready(machine: Machine) -> None:
    """Carry out a file that does something, beside declaring things: it may change a class."""
    for node in children(machine.source.root):
        inside = (
            node.child_by_field_name("declaration") if node.type == "export_statement" else node
        )
        if inside is None or (inside.type in _QUIET and not _builds(inside)):
            continue
        if not machine.loaded:
            machine.loaded = True
            load(machine)


def _builds(node: Node) -> bool:
    """True for a class that does something when it is declared."""
    body = node.child_by_field_name("body") if "class" in node.type else None
    return body is not None and any(
        child.type == "class_static_block" or any(part.type == "static" for part in child.children)
        for child in body.named_children
    )


def _give_up(machine: Machine, node: Node, no: Refused | Thrown) -> None:
    """Make unknown what a statement that is not clear declares, and what it may change."""
    harmless = machine.harmless
    if harmless is not None and node.start_byte <= harmless.start_byte < node.end_byte:
        return
    cause: Cause = no.cause if isinstance(no, Refused) else "value"
    reason = no.reason if isinstance(no, Refused) else "it throws"
    if isinstance(no, (Fails, Thrown)):
        machine.broken = Refused(cause, f"the file fails when it is loaded: {reason}", no.line)
    if _changes_globals(machine, node):
        machine.broken = Refused("code", "the file changes what JavaScript has", line_of(node))
    found = reached(machine, node, machine.module)
    names = {name for (_, name), holder in found.items() if holder is machine.module}
    declared = _declared(machine, node)
    for name in _names(machine, node):
        if isinstance(machine.module.names.get(name, LATER), Later):
            machine.module.declare(name, Unknown(cause, name, no.line, f"is not clear: {reason}"))
    mentioned = names & machine.module.names.keys() - declared
    changes = any(may_change(machine.module.names[name]) for name in mentioned)
    changes = changes or _names_exports(machine, node)
    for name in machine.module.names:
        if changes and may_change(machine.module.names[name]):
            declared.add(name)
    for name in declared | {n for n in mentioned if n not in machine.module.constant}:
        machine.stirred[name] = Refused(cause, reason, no.line)
        if not isinstance(machine.module.names.get(name), (Class, Builtin, Namespace, Unknown)):
            machine.module.names[name] = Unknown(cause, name, no.line, f"is not clear: {reason}")


def _names(machine: Machine, node: Node) -> list[str]:
    """The names that a class, an enum, a namespace or an alias at the top of the file has."""
    inside = [
        node,
        *node.named_children,
        *(two for one in node.named_children for two in one.children),
    ]
    kinds = ("_declaration", "internal_module", "module", "import_alias")
    named = [one.child_by_field_name("name") for one in inside if one.type.endswith(kinds)]
    aliases = [inside_of(one) for one in inside if one.type == "import_alias"]
    found = [one for one in (*named, *aliases) if one is not None]
    return [machine.source.of(one) for one in found if one.type.endswith("identifier")]


# What every file shares, beside what qb knows.
_SHARED = frozenset(("Function", "globalThis", "global", "BigInt", "Symbol"))


def _changes_globals(machine: Machine, node: Node) -> bool:
    """True for code that changes what JavaScript gives every file, such as `Array.prototype`."""
    for one in descended(node):
        if one.type not in ("member_expression", "subscript_expression"):
            continue
        root = one
        while root.type in ("member_expression", "subscript_expression"):
            root = bare(field(root, "object"))
        name = machine.source.of(root)
        known = name in _SHARED or name in members.GLOBALS
        if not known or name == "process" or name in machine.module.names:
            continue
        put = one.parent is not None and one.parent.type.endswith("assignment_expression")
        if put and one.parent is not None and field(one.parent, "left").id == one.id:
            return True
        if machine.source.of(one) == f"{name}.prototype":
            return True
    return False


def _names_exports(machine: Machine, node: Node) -> bool:
    """True for code that goes through what the file exports."""
    return any(
        one.type == "identifier" and machine.source.of(one) in ("exports", "module")
        for one in descended(node)
    )


def _declared(machine: Machine, node: Node) -> set[str]:
    """The names that a declaration at the top of the file makes."""
    if node.type == "export_statement":
        inside = node.child_by_field_name("declaration")
        return _declared(machine, inside) if inside is not None else set()
    if node.type not in ("lexical_declaration", "variable_declaration"):
        return set()
    made = [field(one, "name") for one in children(node) if one.type == "variable_declarator"]
    return {machine.source.of(name) for pattern in made for name in places.names(pattern)}


@statement("import_statement")
def _import(machine: Machine, node: Node, scope: Scope) -> None:
    clause = next((child for child in node.children if child.type == "import_clause"), None)
    required = next((c for c in node.children if c.type == "import_require_clause"), None)
    if required is not None:
        name = machine.source.of(inside_of(required))
        text = machine.source.of(field(required, "source"))[1:-1]
        scope.declare(name, _module(machine, text, node), constant=True)
        return
    if clause is None:
        return
    text = machine.source.of(field(node, "source"))[1:-1]
    module = _module(machine, text, node)
    for child in children(clause):
        if child.type == "identifier":
            scope.declare(machine.source.of(child), module, constant=True)
        elif child.type == "namespace_import":
            scope.declare(machine.source.of(inside_of(child)), module, constant=True)
        elif child.type == "named_imports":
            for one in children(child):
                name = machine.source.of(field(one, "name"))
                alias = one.child_by_field_name("alias")
                local = machine.source.of(alias) if alias is not None else name
                scope.declare(local, _imported(machine, text, module, name, one), constant=True)


def _module(machine: Machine, text: str, node: Node) -> object:
    if text == "typeorm":
        return Unknown("schema", text, line_of(node), "is TypeORM's")
    return files.module(machine, text, node)


def _imported(machine: Machine, text: str, module: object, name: str, node: Node) -> object:
    if text == "typeorm":
        cause: Cause = "manager" if name in _MANAGER else "schema"
        return Unknown(cause, name, line_of(node), "is TypeORM's")
    if isinstance(module, Unknown):
        return Unknown(module.cause, name, line_of(node), module.reason)
    return members.get(machine, module, name, node)


@statement("export_statement")
def _export(machine: Machine, node: Node, scope: Scope) -> None:
    declaration = node.child_by_field_name("declaration")
    value = node.child_by_field_name("value")
    if declaration is not None:
        machine.run(declaration, scope)
    elif value is not None and _matters(value):
        machine.value(value, scope)


def _matters(value: Node) -> bool:
    """True for a value that is made by doing something, or that is a class."""
    return bare(value).type == "class" or acts(value)


@statement("enum_declaration")
def _enum(machine: Machine, node: Node, scope: Scope) -> None:
    name = machine.source.of(field(node, "name"))
    before = scope.names.get(name)
    made: dict[str, object] = before if isinstance(before, dict) else {}
    inner = Scope(scope)
    inner.declare(name, made)
    following: float | None = 0.0
    for one in children(field(node, "body")):
        if one.type == "enum_assignment":
            key = members.key(machine, field(one, "name"), scope)
            value = machine.value(field(one, "value"), inner)
        else:
            key, value = members.key(machine, one, scope), following
            if following is None:
                machine.refuse("value", f"`{key}` has no value", one)
        made[key] = value
        inner.declare(key, value)
        following = value + 1 if isinstance(value, float) else None
        if isinstance(value, float):
            made[key_of(value)] = key
    scope.declare(name, made, constant=True)


def exported_from(machine: Machine, node: Node) -> tuple[str, Node] | None:
    """What `module.exports = x`, `exports.X = x` gives under which name; "" is all of it."""
    inside = bare(inside_of(node))
    if inside.type != "assignment_expression":
        return None
    left = machine.source.of(bare(field(inside, "left"))).replace(" ", "")
    for prefix in ("module.exports", "exports"):
        if left == prefix:
            return ("", field(inside, "right")) if prefix == "module.exports" else None
        if left.startswith(prefix + ".") and left[len(prefix) + 1 :].isidentifier():
            return left[len(prefix) + 1 :], field(inside, "right")
    return None


def _says_nothing(machine: Machine, node: Node) -> bool:
    """True for a directive, and for what makes exports."""
    inside = bare(inside_of(node))
    text = machine.source.of(inside)
    return inside.type == "string" or text.startswith("Object.defineProperty(exports")


def _run(machine: Machine, node: Node) -> None:
    """Carry out a statement at the top of the file."""
    made = exported_from(machine, node) if node.type == "expression_statement" else None
    if made is None:
        machine.run(node, machine.module)
        return
    value = bare(made[1])
    while value.type == "assignment_expression":  # exports.A = exports.B = void 0
        value = bare(field(value, "right"))
    if _matters(value):
        machine.value(value, machine.module)


members.LOADERS.append(load)
