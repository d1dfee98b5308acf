"""what code that is not understood may change: whatever it names, and what that names"""

from __future__ import annotations

from typing import Any

from tree_sitter import Node

from qb_engine.migrations.typescript.acting import acts
from qb_engine.migrations.typescript.grammar import field
from qb_engine.migrations.typescript.machine import Machine
from qb_engine.migrations.typescript.scope import Scope
from qb_engine.migrations.typescript.things import Class, Function, Instance

_NAMES = frozenset(
    ("identifier", "type_identifier", "shorthand_property_identifier",
     "shorthand_property_identifier_pattern", "this", "super")
)  # fmt: skip


def reached(machine: Machine, node: Node, scope: Scope) -> dict[tuple[int, str], Scope]:
    """The names that an expression or a statement reaches, each with the block that has it."""
    found: dict[tuple[int, str], Scope] = {}
    seen: set[int] = set()
    waiting: list[tuple[Node, Scope]] = [(node, scope)]
    while waiting:
        one, within = waiting.pop()
        if one.type == "member_expression" and _is_name(machine, one):
            continue
        if one.type in _NAMES:
            name = machine.source.of(one)
            holder = within.holder(name)
            if holder is not None and (id(holder), name) not in found:
                found[id(holder), name] = holder
                waiting += _inside(holder.names[name], seen)
        waiting += [(child, within) for child in one.named_children]
    return found


def _is_name(machine: Machine, node: Node) -> bool:
    """True for `A.name`, which gives nobody A."""
    owner = field(node, "object")
    return owner.type == "identifier" and machine.source.of(field(node, "property")) == "name"


def _inside(value: Any, seen: set[int]) -> list[tuple[Node, Scope]]:
    """The code of a value and of what it holds."""
    found: list[tuple[Node, Scope]] = []
    values = [value]
    while values:
        one = values.pop()
        if id(one) in seen:
            continue
        if isinstance(one, (Function, Class)):
            seen.add(id(one))
            found.append((one.node, one.scope))
        elif isinstance(one, (list, dict, Instance)):
            seen.add(id(one))
            inside = one.fields if isinstance(one, Instance) else one
            values += inside if isinstance(inside, list) else inside.values()
            if isinstance(one, Instance):
                values.append(one.of)
    return found


def may_change(value: object) -> bool:
    """True for what can be changed by those who are given it."""
    return isinstance(value, (list, dict, Class, Instance))


def disturbs(machine: Machine, node: Node, scope: Scope) -> bool:
    """True when an expression that is not understood may change what the file has."""
    if not acts(node):
        return False
    for (_, name), holder in reached(machine, node, scope).items():
        value = holder.names[name]
        variable = name not in holder.constant and name not in ("this", "super")
        if may_change(value) or (variable and not isinstance(value, Function)):
            return True
    return False
