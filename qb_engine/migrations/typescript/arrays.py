"""methods of arrays"""

from __future__ import annotations

from typing import Any

from tree_sitter import Node

from qb_engine.migrations.typescript import cooking, functions
from qb_engine.migrations.typescript import operators as op
from qb_engine.migrations.typescript.expressions import told
from qb_engine.migrations.typescript.machine import ITEM, ITEMS, LENGTH, Machine
from qb_engine.migrations.typescript.members import CHANGING, method
from qb_engine.migrations.typescript.things import UNDEFINED, Undefined, Unknown, placed

CHANGING.update(("push", "unshift", "pop", "shift", "reverse", "sort", "splice", "fill"))


def _each(machine: Machine, items: list[Any], given: list[Any], node: Node) -> list[Any]:
    """What a function gives for every item, in order."""
    machine.climb(3)
    function = given[0] if given else UNDEFINED
    results: list[Any] = []
    for index in range(len(items)):
        if index >= len(items):
            machine.refuse("value", "an array shrinks while it is gone through", node)
        machine.turn(node)
        results.append(
            functions.call(machine, function, None, [items[index], float(index), items], node)
        )
    return results


def _decided(machine: Machine, items: list[Any], given: list[Any], node: Node) -> list[bool]:
    """What a function decides for every item."""
    results = _each(machine, items, given, node)
    for result in results:
        if isinstance(result, Unknown):
            machine.refuse_unknown(result, "it decides what is sent")
    return [op.truthy(result) for result in results]


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
    before = list(items)
    return [i for i, keep in zip(before, _decided(machine, items, given, node)) if keep]


@method(list, "some")
def _some(machine: Machine, items: list[Any], given: list[Any], node: Node) -> Any:
    return _first(machine, items, given, node, True) is not None


@method(list, "every")
def _every(machine: Machine, items: list[Any], given: list[Any], node: Node) -> Any:
    return _first(machine, items, given, node, False) is None


@method(list, "find")
def _find(machine: Machine, items: list[Any], given: list[Any], node: Node) -> Any:
    at = _first(machine, items, given, node, True)
    return UNDEFINED if at is None else items[at]


@method(list, "findIndex")
def _find_index(machine: Machine, items: list[Any], given: list[Any], node: Node) -> Any:
    at = _first(machine, items, given, node, True)
    return -1.0 if at is None else float(at)


def _first(
    machine: Machine, items: list[Any], given: list[Any], node: Node, wanted: bool
) -> int | None:
    """The first item for which a function decides so; it is not called for those after it."""
    machine.climb(3)
    for index, item in enumerate(list(items)):
        machine.turn(node)
        function = given[0] if given else UNDEFINED
        result = functions.call(machine, function, None, [item, float(index), items], node)
        if isinstance(result, Unknown):
            machine.refuse_unknown(result, "it decides what is sent")
        if op.truthy(result) == wanted:
            return index
    return None


@method(list, "reduce")
def _reduce(machine: Machine, items: list[Any], given: list[Any], node: Node) -> Any:
    machine.climb(3)
    rest = list(enumerate(items))
    if len(given) > 1:
        value = given[1]
    elif rest:
        value = rest.pop(0)[1]
    else:
        machine.refuse("value", f"`{machine.source.brief(node)}` has no value", node)
    for index, item in rest:
        machine.turn(node)
        value = functions.call(machine, given[0], None, [value, item, float(index), items], node)
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


def _flattened(items: list[Any], depth: float) -> list[Any]:
    made: list[Any] = []
    for item in items:
        if isinstance(item, list) and depth >= 1:
            made += _flattened(item, depth - 1)
        else:
            made.append(item)
    return made


@method(list, "entries")
def _entries(machine: Machine, items: list[Any], given: list[Any], node: Node) -> Any:
    return [[float(index), item] for index, item in enumerate(items)]


@method(list, "keys")
def _keys(machine: Machine, items: list[Any], given: list[Any], node: Node) -> Any:
    return [float(index) for index in range(len(items))]


@method(list, "values")
def _values(machine: Machine, items: list[Any], given: list[Any], node: Node) -> Any:
    return list(items)
