"""where values are put: variables, patterns, members"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tree_sitter import Node

from qb_engine.migrations.typescript import members
from qb_engine.migrations.typescript.grammar import SILENT, bare, children, field, inside_of
from qb_engine.migrations.typescript.machine import Machine
from qb_engine.migrations.typescript.operators import key_of, keys
from qb_engine.migrations.typescript.scope import Scope
from qb_engine.migrations.typescript.things import LATER, Class, Instance, Undefined, Unknown

Put = Callable[[Node, Any], None]


def declare(
    machine: Machine, pattern: Node, value: Any, scope: Scope, *, constant: bool = False
) -> None:
    """Make the names of a pattern; initial values are looked up in the same scope."""
    _spread(
        machine, pattern, value, scope,
        lambda node, part: scope.declare(machine.source.of(node), part, constant=constant),
    )  # fmt: skip


def assign(machine: Machine, target: Node, value: Any, scope: Scope) -> None:
    """Put a value into what stands left of `=`."""
    _spread(machine, target, value, scope, lambda node, part: put(machine, node, part, scope))


def put(machine: Machine, target: Node, value: Any, scope: Scope) -> None:
    """Put a value into a variable or a member."""
    machine.affect()
    target = bare(target)
    if target.type in ("identifier", "shorthand_property_identifier_pattern"):
        name = machine.source.of(target)
        holder = members.holder(machine, name, scope)
        if holder is None or name in holder.constant or holder.names[name] is LATER:
            machine.refuse("value", f"`{name}` cannot be given a value", target)
        holder.names[name] = value
        return
    if target.type not in ("member_expression", "subscript_expression"):
        machine.refuse("value", f"`{machine.source.brief(target)}` is not understood", target)
    owner = machine.value(field(target, "object"), scope)
    if target.type == "member_expression":
        key: Any = machine.source.of(field(target, "property"))
    else:
        key = machine.value(field(target, "index"), scope)
    if isinstance(key, Unknown) or isinstance(owner, Unknown):
        machine.refuse_unknown(key if isinstance(key, Unknown) else owner, "it is changed there")
    if key == "__proto__":
        members.refuse_prototype(machine, target)
    if isinstance(owner, dict):
        owner[key_of(key)] = value
    elif isinstance(owner, Instance):
        owner.fields[key_of(key)] = value
    elif isinstance(owner, Class):
        owner.statics[key_of(key)] = value
    elif isinstance(owner, list) and isinstance(key, float) and 0 <= key <= len(owner):
        owner[int(key) : int(key) + 1] = [value]
    else:
        machine.refuse("value", f"`{machine.source.brief(target)}` is not understood", target)


def _spread(machine: Machine, pattern: Node, value: Any, scope: Scope, put_: Put) -> None:
    """Take a value apart as a pattern says."""
    kind = pattern.type
    if kind in ("assignment_pattern", "object_assignment_pattern"):
        if isinstance(value, Undefined):
            value = machine.value(field(pattern, "right"), scope)
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
