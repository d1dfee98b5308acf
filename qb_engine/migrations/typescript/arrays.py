"""methods of arrays"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tree_sitter import Node

from qb_engine.migrations.typescript import cooking, functions
from qb_engine.migrations.typescript import operators as op
from qb_engine.migrations.typescript.expressions import told
from qb_engine.migrations.typescript.machine import ITEM, ITEMS, LENGTH, Machine
from qb_engine.migrations.typescript.members import CHANGING, method
from qb_engine.migrations.typescript.things import UNDEFINED, Iterated, Undefined, Unknown, placed

CHANGING.update(("push", "unshift", "pop", "shift", "reverse", "sort", "splice", "fill"))


def _through(
    machine: Machine, items: list[Any], given: list[Any], node: Node
) -> Iterator[tuple[Any, Any]]:
    """Every item with what a function gives for it, in order."""
    machine.climb(3)
    function = given[0] if given else UNDEFINED
    if len(given) > 1:
        machine.refuse("value", "what `this` is given to a function is not understood", node)
    for index in range(len(items)):
        if index >= len(items):
            machine.refuse("value", "an array shrinks while it is gone through", node)
        machine.turn(node)
        item = items[index]
        yield item, functions.call(machine, function, None, [item, float(index), items], node)


def _each(machine: Machine, items: list[Any], given: list[Any], node: Node) -> list[Any]:
    return [result for _, result in _through(machine, items, given, node)]


def _decides(machine: Machine, result: Any) -> bool:
    if isinstance(result, Unknown):
        machine.refuse_unknown(result, "it decides what is sent")
    return op.truthy(result)


@method(list, "map")
def _map(machine: Machine, items: list[Any], given: list[Any], node: Node) -> Any:
    return _each(machine, items, given, node)


@method(list, "forEach")
def _for_each(machine: Machine, items: list[Any], given: list[Any], node: Node) -> Any:
    _each(machine, items, given, node)
    return UNDEFINED


@method(list, "flatMap")
def _flat_map(machine: Machine, items: list[Any], given: list[Any], node: Node) -> Any:
    return _flattened(_each(machine, items, given, node), 1)


@method(list, "filter")
def _filter(machine: Machine, items: list[Any], given: list[Any], node: Node) -> Any:
    both = list(_through(machine, items, given, node))
    return [item for item, result in both if _decides(machine, result)]


@method(list, "some")
def _some(machine: Machine, items: list[Any], given: list[Any], node: Node) -> Any:
    return _first(machine, items, given, node, True) is not None


@method(list, "every")
def _every(machine: Machine, items: list[Any], given: list[Any], node: Node) -> Any:
    return _first(machine, items, given, node, False) is None


@method(list, "find")
def _find(machine: Machine, items: list[Any], given: list[Any], node: Node) -> Any:
    found = _first(machine, items, given, node, True)
    return UNDEFINED if found is None else found[1]


@method(list, "findIndex")
def _find_index(machine: Machine, items: list[Any], given: list[Any], node: Node) -> Any:
    found = _first(machine, items, given, node, True)
    return -1.0 if found is None else float(found[0])


def _first(
    machine: Machine, items: list[Any], given: list[Any], node: Node, wanted: bool
) -> tuple[int, Any] | None:
    """The first item for which a function decides so; it is not called for those after it."""
    for index, (item, result) in enumerate(_through(machine, items, given, node)):
        if _decides(machine, result) == wanted:
            return index, item
    return None


@method(list, "reduce")
def _reduce(machine: Machine, items: list[Any], given: list[Any], node: Node) -> Any:
    machine.climb(3)
    count = len(items)
    start = 0 if len(given) > 1 else 1
    if start > count or not given:
        machine.refuse("value", f"`{machine.source.brief(node)}` has no value", node)
    value = given[1] if len(given) > 1 else items[0]
    for index in range(start, count):
        if index >= len(items):
            machine.refuse("value", "an array shrinks while it is gone through", node)
        machine.turn(node)
        given_then = [value, items[index], float(index), items]
        value = functions.call(machine, given[0], None, given_then, node)
    return value


@method(list, "join")
def _join(machine: Machine, items: list[Any], given: list[Any], node: Node) -> Any:
    machine.climb(2)
    separator = "," if not given or isinstance(given[0], Undefined) else given[0]
    if unknown := op.unknown_in(items, separator):
        return unknown
    made = told(machine, lambda i, s: op.join(i, op.string(s)), node, items, separator)
    machine.bounded(len(made), LENGTH, node)
    return placed(cooking.joined(made), made)


@method(list, "toString")
def _string(machine: Machine, items: list[Any], given: list[Any], node: Node) -> Any:
    return _join(machine, items, [], node)


@method(list, "concat")
def _concat(machine: Machine, items: list[Any], given: list[Any], node: Node) -> Any:
    made = list(items)
    for one in given:
        if isinstance(one, Unknown):
            return one
        made += one if isinstance(one, list) else [one]
    machine.bounded(len(made), ITEMS, node)
    return made


@method(list, "slice")
def _slice(machine: Machine, items: list[Any], given: list[Any], node: Node) -> Any:
    if unknown := op.unknown_in(*given):
        return unknown
    start = 0.0 if not given or isinstance(given[0], Undefined) else given[0]
    end = float(len(items)) if len(given) < 2 or isinstance(given[1], Undefined) else given[1]
    return items[int(_whole(machine, start, node)) : int(_whole(machine, end, node))]


def _whole(machine: Machine, value: Any, node: Node) -> float:
    if not isinstance(value, float) or value != value or abs(value) > ITEMS * 10:
        machine.refuse("value", f"`{machine.source.brief(node)}` is not understood", node)
    return value


@method(list, "push", "unshift")
def _push(machine: Machine, items: list[Any], given: list[Any], node: Node) -> Any:
    machine.climb(2)
    if machine.method == "push":
        items.extend(given)
    else:
        items[:0] = given
    machine.bounded(len(items), ITEMS, node)
    return float(len(items))


@method(list, "pop", "shift")
def _pop(machine: Machine, items: list[Any], given: list[Any], node: Node) -> Any:
    if not items:
        return UNDEFINED
    return items.pop(-1 if machine.method == "pop" else 0)


@method(list, "reverse")
def _reverse(machine: Machine, items: list[Any], given: list[Any], node: Node) -> Any:
    items.reverse()
    return items


@method(list, "sort")
def _sort(machine: Machine, items: list[Any], given: list[Any], node: Node) -> Any:
    if given or not all(isinstance(item, str) for item in items):
        machine.refuse("value", f"`{machine.source.brief(node)}` is not understood", node)
    items.sort(key=op.units)
    return items


@method(list, "includes", "indexOf")
def _includes(machine: Machine, items: list[Any], given: list[Any], node: Node) -> Any:
    if unknown := op.unknown_in(items, *given):
        return unknown
    if len(given) != 1 or given[0] != given[0]:
        return machine.unknown("value", node)
    machine.spend(ITEM * len(items), node)
    at = next((i for i, item in enumerate(items) if op.same(item, given[0])), -1)
    return at >= 0 if machine.method == "includes" else float(at)


@method(list, "at")
def _at(machine: Machine, items: list[Any], given: list[Any], node: Node) -> Any:
    at = int(_whole(machine, given[0] if given else 0.0, node))
    return items[at] if -len(items) <= at < len(items) else UNDEFINED


@method(list, "flat")
def _flat(machine: Machine, items: list[Any], given: list[Any], node: Node) -> Any:
    if given and not isinstance(given[0], float):
        machine.refuse("value", f"`{machine.source.brief(node)}` is not understood", node)
    return _flattened(items, min(given[0], 100.0) if given else 1)


def _flattened(items: list[Any], depth: float) -> Any:
    """The items of the arrays in an array; unknown where one of them may be an array or not."""
    made: list[Any] = []
    for item in items:
        if isinstance(item, Unknown) and depth >= 1:
            return item
        inside = _flattened(item, depth - 1) if isinstance(item, list) and depth >= 1 else [item]
        if isinstance(inside, Unknown):
            return inside
        made += inside
    return made


@method(list, "entries")
def _entries(machine: Machine, items: list[Any], given: list[Any], node: Node) -> Any:
    return Iterated(items, lambda index: [float(index), items[index]])


@method(list, "keys")
def _keys(machine: Machine, items: list[Any], given: list[Any], node: Node) -> Any:
    return Iterated(items, float)


@method(list, "values")
def _values(machine: Machine, items: list[Any], given: list[Any], node: Node) -> Any:
    return Iterated(items, items.__getitem__)
