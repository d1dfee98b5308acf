"""where values are put: variables, patterns, members"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tree_sitter import Node

from qb_engine.migrations.typescript import members
from qb_engine.migrations.typescript.acting import acts
from qb_engine.migrations.typescript.grammar import (
    SILENT,
    bare,
    children,
    field,
    inside_of,
    line_of,
)
from qb_engine.migrations.typescript.machine import Machine
from qb_engine.migrations.typescript.operators import key_of, keys
from qb_engine.migrations.typescript.refusal import Fails
from qb_engine.migrations.typescript.scope import Scope
from qb_engine.migrations.typescript.things import (
    LATER,
    Class,
    Function,
    Instance,
    Undefined,
    Unknown,
)

Put = Callable[[Node, Any], None]


def declare(
    machine: Machine, pattern: Node, value: Any, scope: Scope, *, constant: bool = False
) -> None:
    """Make the names of a pattern; initial values are looked up in the same scope."""

    def made(node: Node, part: Any) -> None:
        name = machine.source.of(node)
        if name == "undefined":
            machine.refuse("value", "`undefined` is made to stand for something else", node)
        scope.declare(name, part, constant=constant)

    _spread(machine, pattern, value, scope, made)


def assign(machine: Machine, target: Node, value: Any, scope: Scope) -> None:
    """Put a value into what stands left of `=`."""
    _spread(machine, target, value, scope,
            lambda node, part: found(machine, node, scope).put(part))  # fmt: skip


def names(pattern: Node) -> list[Node]:
    """The nodes of the names that a pattern makes."""
    kind = pattern.type
    if kind in ("identifier", "shorthand_property_identifier_pattern", "undefined"):
        return [pattern]
    if kind in ("assignment_pattern", "object_assignment_pattern"):
        return names(field(pattern, "left"))
    if kind == "pair_pattern":
        return names(field(pattern, "value"))
    if kind in ("array_pattern", "object_pattern", "rest_pattern"):
        return [name for child in children(pattern) for name in names(child)]
    return []


def given(machine: Machine, value: Any, default: Node, scope: Scope) -> Any:
    """A value, or what stands in for `undefined`."""
    if isinstance(value, Undefined):
        return machine.value(default, scope)
    if isinstance(value, Unknown) and acts(default):
        machine.refuse_unknown(value, "it decides what is done")
    return value


def named_by(machine: Machine, left: Node, right: Node, value: Any) -> Any:
    """A value; a function or a class that has no name gets that of its variable."""
    direct = bare(right).type in ("arrow_function", "function_expression", "class")
    if direct and left.type == "identifier" and isinstance(value, (Function, Class)):
        value.name = value.name or machine.source.of(left)
    return value


class Place:
    """A variable or a member that stands left of `=`, looked up once."""

    __slots__ = ("key", "machine", "node", "owner", "scope")

    def __init__(self, machine: Machine, node: Node, scope: Scope, owner: Any, key: Any) -> None:
        self.machine, self.node, self.scope, self.owner, self.key = machine, node, scope, owner, key

    def get(self) -> Any:
        """What it holds."""
        if self.owner is None:
            return self.machine.value(self.node, self.scope)
        return members.get(self.machine, self.owner, self.key, self.node)

    def put(self, value: Any) -> None:
        """Give it a value."""
        if self.owner is None:
            _put_name(self.machine, self.node, value, self.scope)
        else:
            _put_member(self.machine, self.node, self.owner, self.key, value)


def found(machine: Machine, node: Node, scope: Scope) -> Place:
    """The place that an expression names."""
    node = bare(node)
    if node.type in ("identifier", "shorthand_property_identifier_pattern"):
        return Place(machine, node, scope, None, None)
    if node.type not in ("member_expression", "subscript_expression"):
        machine.refuse("value", f"`{machine.source.brief(node)}` is not understood", node)
    owner = machine.value(field(node, "object"), scope)
    if owner is None:
        machine.refuse("value", f"`{machine.source.brief(node)}` has no value to look into", node)
    if node.type == "member_expression":
        return Place(machine, node, scope, owner, machine.source.of(field(node, "property")))
    key = machine.value(field(node, "index"), scope)
    if isinstance(key, str) and key.startswith("#"):
        machine.refuse("value", f"`{machine.source.brief(node)}` is not understood", node)
    return Place(machine, node, scope, owner, key)


def _put_name(machine: Machine, node: Node, value: Any, scope: Scope) -> None:
    machine.affect(node)
    name = machine.source.of(node)
    holder = members.holder(machine, name, scope)
    if holder is None or name in holder.constant or holder.names[name] is LATER:
        raise Fails("value", f"`{name}` cannot be given a value", line_of(node))
    holder.names[name] = value


def _put_member(machine: Machine, target: Node, owner: Any, key: Any, value: Any) -> None:
    machine.affect(target, owner)
    if isinstance(key, Unknown) or isinstance(owner, Unknown):
        machine.refuse_unknown(key if isinstance(key, Unknown) else owner, "it is changed there")
    if key == "__proto__":
        members.refuse_prototype(machine, target)
    if isinstance(owner, dict):
        owner[key_of(key)] = value
    elif isinstance(owner, Instance):
        _put_on_object(machine, target, owner, key_of(key), value)
    elif isinstance(owner, Class):
        _put_on_class(machine, target, owner, key_of(key), value)
    elif (
        isinstance(owner, list)
        and isinstance(key, float)
        and 0 <= key <= len(owner)
        and key.is_integer()
    ):
        owner[int(key) : int(key) + 1] = [value]
    else:
        machine.refuse("value", f"`{machine.source.brief(target)}` is not understood", target)


def _put_on_object(machine: Machine, target: Node, owner: Instance, key: str, value: Any) -> None:
    of: Any = owner.of
    while isinstance(of, Class) and key not in owner.fields:
        if key in of.setters:
            members.CALL[0](machine, of.setters[key], owner, [value], target)
            return
        if key in of.getters:
            machine.refuse("value", f"`{machine.source.brief(target)}` has no setter", target)
        of = of.parent
    owner.fields[key] = value


def _put_on_class(machine: Machine, target: Node, owner: Class, key: str, value: Any) -> None:
    of: Any = owner
    while isinstance(of, Class) and key not in owner.statics:
        if key in of.static_setters or key in of.static_getters or key in ("name", "length"):
            machine.refuse("value", f"`{machine.source.brief(target)}` is not understood", target)
        of = of.parent
    owner.statics[key] = value


def _spread(machine: Machine, pattern: Node, value: Any, scope: Scope, put_: Put) -> None:
    """Take a value apart as a pattern says."""
    kind = pattern.type
    if kind in ("assignment_pattern", "object_assignment_pattern"):
        value = given(machine, value, field(pattern, "right"), scope)
        _spread(machine, field(pattern, "left"), value, scope, put_)
    elif kind == "array_pattern":
        _array(machine, pattern, value, scope, put_)
    elif kind == "object_pattern":
        _object(machine, pattern, value, scope, put_)
    else:
        put_(pattern, value)


def _array(machine: Machine, pattern: Node, value: Any, scope: Scope, put_: Put) -> None:
    items = value if isinstance(value, Unknown) else members.items(machine, value, pattern)
    index = 0
    for child in pattern.children:
        if child.type == ",":
            index += 1
        elif child.is_named and child.type not in SILENT:
            if child.type == "rest_pattern":
                rest = items if isinstance(items, Unknown) else items[index:]
                _spread(machine, inside_of(child), rest, scope, put_)
            else:
                part = members.get(machine, items, float(index), pattern)
                _spread(machine, child, part, scope, put_)


def _object(machine: Machine, pattern: Node, value: Any, scope: Scope, put_: Put) -> None:
    taken: list[str] = []
    if not children(pattern):
        members.get(machine, value, "", pattern)  # fails where there is nothing to look into
    for child in children(pattern):
        if child.type == "rest_pattern":
            if not isinstance(value, (dict, Unknown)):
                machine.refuse("value", f"`{machine.source.brief(child)}` is not understood", child)
            rest: Any = value
            if isinstance(value, dict):
                rest = {key: value[key] for key in keys(value) if key not in taken}
            _spread(machine, inside_of(child), rest, scope, put_)
            continue
        part = child
        if child.type == "pair_pattern":
            key = members.key(machine, field(child, "key"), scope)
            part = field(child, "value")
        elif child.type == "object_assignment_pattern":
            key = machine.source.of(field(child, "left"))
        else:
            key = machine.source.of(child)
        taken.append(key)
        _spread(machine, part, members.get(machine, value, key, child), scope, put_)
