"""what JavaScript gives every file: JSON, Object, Math, Promise, Date, process"""

from __future__ import annotations

import datetime
import math
import re
from typing import Any

from tree_sitter import Node

from qb_engine.migrations.typescript import cooking, functions, members, numbers, sending
from qb_engine.migrations.typescript import operators as op
from qb_engine.migrations.typescript.expressions import told
from qb_engine.migrations.typescript.grammar import line_of
from qb_engine.migrations.typescript.machine import Machine
from qb_engine.migrations.typescript.members import GLOBALS, method, static
from qb_engine.migrations.typescript.refusal import Thrown
from qb_engine.migrations.typescript.things import (
    UNDEFINED,
    BigInt,
    Builtin,
    Class,
    Date,
    Function,
    Instance,
    Late,
    Namespace,
    Promise,
    Undefined,
    Unknown,
)

Given = list[Any]


def _first(given: Given) -> Any:
    return given[0] if given else UNDEFINED


def _as_string(machine: Machine, given: Given, node: Node) -> Any:
    return told(machine, op.string, node, given[0]) if given else ""


def _as_number(machine: Machine, given: Given, node: Node) -> Any:
    if given and isinstance(given[0], BigInt):
        return float(given[0].value)
    return told(machine, op.number, node, given[0]) if given else 0.0


def _as_boolean(machine: Machine, given: Given, node: Node) -> Any:
    return op.truthy(_first(given))


def _parse_int(machine: Machine, given: Given, node: Node) -> Any:
    text = told(machine, op.string, node, _first(given))
    radix = told(machine, op.number, node, given[1]) if len(given) > 1 else 0.0
    if math.isnan(radix):
        radix = 0.0
    if radix != 0 and not 2 <= radix <= 36:
        return machine.unknown("value", node)
    made = numbers.parse_int(text, int(radix))
    if abs(made) > 2**53 and int(radix) not in (0, 2, 4, 8, 10, 16, 32):
        return machine.unknown("value", node)  # its last digits may differ
    return made


def _parse_float(machine: Machine, given: Given, node: Node) -> Any:
    return numbers.parse_float(told(machine, op.string, node, _first(given)))


def _stringify(machine: Machine, given: Given, node: Node) -> Any:
    if len(given) > 1 and given[1] is not None and not isinstance(given[1], Undefined):
        return machine.unknown("value", node)
    indent = given[2] if len(given) > 2 else ""
    if isinstance(indent, float):
        indent = "" if math.isnan(indent) else " " * int(max(min(indent, 10), 0))
    if isinstance(_first(given), Undefined):
        return UNDEFINED
    try:
        value = sending.json_value(_first(given))
    except sending.NoJson:
        machine.refuse("value", f"`{machine.source.brief(node)}` cannot be told", node)
    text = sending.written(value, indent[:10] if isinstance(indent, str) else "")
    if not cooking.is_whole(text):
        return machine.unknown("value", node, "writes half of a character")
    machine.spend(10 * len(text), node)  # one item after the other
    return text


def _parse_json(machine: Machine, given: Given, node: Node) -> Any:
    import json

    text = _first(given)
    if len(given) > 1 and isinstance(given[1], (Function, Builtin)):
        machine.refuse("value", f"`{machine.source.brief(node)}` is not understood", node)
    try:
        if not isinstance(text, str):
            raise ValueError
        return sending.parsed(json.loads(text, parse_constant=_no_constant))
    except ValueError:
        machine.refuse("value", f"`{machine.source.brief(node)}` parses no JSON", node)


def _no_constant(text: str) -> Any:
    raise ValueError(text)


def _dict(machine: Machine, given: Given, node: Node) -> dict[str, Any]:
    value = _first(given)
    if isinstance(value, list):
        return {str(index): item for index, item in enumerate(value)}
    if not isinstance(value, dict):
        machine.refuse("value", f"`{machine.source.brief(node)}` goes through no object", node)
    return value


def _keys(machine: Machine, given: Given, node: Node) -> Any:
    return list(op.keys(_dict(machine, given, node)))


def _values(machine: Machine, given: Given, node: Node) -> Any:
    value = _dict(machine, given, node)
    return [value[key] for key in op.keys(value)]


def _entries(machine: Machine, given: Given, node: Node) -> Any:
    value = _dict(machine, given, node)
    return [[key, value[key]] for key in op.keys(value)]


def _from_entries(machine: Machine, given: Given, node: Node) -> Any:
    made: dict[str, Any] = {}
    for pair in members.items(machine, _first(given), node):
        if not isinstance(pair, list) or len(pair) < 2:
            machine.refuse("value", f"`{machine.source.brief(node)}` is not understood", node)
        made[told(machine, op.key_of, node, pair[0])] = pair[1]
    return made


def _assign(machine: Machine, given: Given, node: Node) -> Any:
    target = _first(given)
    if not isinstance(target, dict):
        machine.refuse("value", f"`{machine.source.brief(node)}` changes no object", node)
    machine.affect(node, target)
    for one in given[1:]:
        if isinstance(one, Unknown):
            machine.refuse_unknown(one, "it changes an object")
        if isinstance(one, dict):
            if "__proto__" in one:
                members.refuse_prototype(machine, node)
            target.update({key: one[key] for key in op.keys(one)})
        elif one is not None and not isinstance(one, (Undefined, bool, float)):
            machine.refuse("value", f"`{machine.source.brief(node)}` is not understood", node)
    return target


def _freeze(machine: Machine, given: Given, node: Node) -> Any:
    value = _first(given)
    if isinstance(value, (list, dict, Instance, Class)):
        machine.freeze(value)
    return value


def _is_array(machine: Machine, given: Given, node: Node) -> Any:
    value = _first(given)
    return value if isinstance(value, Unknown) else isinstance(value, list)


def _from(machine: Machine, given: Given, node: Node) -> Any:
    source = _first(given)
    if isinstance(source, dict) and isinstance(source.get("length"), float):
        count = source["length"]
        if set(source) != {"length"} or not 0 <= count <= 1_000_000:
            machine.refuse("value", f"`{machine.source.brief(node)}` is not understood", node)
        made: list[Any] = [UNDEFINED] * int(count)
    else:
        made = list(members.items(machine, source, node))
    if len(given) < 2:
        return made
    if len(given) > 2:
        machine.refuse("value", "what `this` is given to a function is not understood", node)
    machine.climb(3)
    results = []
    for index, item in enumerate(made):
        if isinstance(source, list) and (len(source) != len(made) or source[index] is not item):
            machine.refuse("value", "an array changes while it is gone through", node)
        machine.turn(node)
        results.append(functions.call(machine, given[1], None, [item, float(index)], node))
    return results


def _of(machine: Machine, given: Given, node: Node) -> Any:
    return list(given)


def _all(machine: Machine, given: Given, node: Node) -> Any:
    machine.climb(3)
    items = members.items(machine, _first(given), node)
    queries: list[int] = []
    late = Late.NOTHING
    thrown: Thrown | None = None
    values: list[Any] = []
    for item in items:
        if isinstance(item, Promise):
            queries += item.queries
            late |= item.late
            thrown = thrown or item.thrown
            machine.loose = [other for other in machine.loose if other is not item]
            item = item.value
        machine.settled(item, node)
        values.append(item)
    made = Promise(values, tuple(queries), late, line_of(node), thrown)
    if late:
        machine.loose.append(made)
    return made


def _settled(machine: Machine, given: Given, node: Node) -> Any:
    machine.refuse("swallowed", f"`{machine.source.brief(node)}` goes on after a failure", node)


def _resolved(machine: Machine, given: Given, node: Node) -> Any:
    value = _first(given)
    machine.settled(value, node)
    return value if isinstance(value, Promise) else Promise(value)


def _math(function: Any) -> Any:
    def run(machine: Machine, given: Given, node: Node) -> Any:
        values = [told(machine, op.number, node, one) for one in given]
        if not values or any(math.isnan(one) or math.isinf(one) for one in values):
            return machine.unknown("value", node)
        return float(function(*values))

    return run


def _floor(value: float, *_: float) -> float:
    return math.floor(value)


def _ceil(value: float, *_: float) -> float:
    return math.ceil(value)


def _abs(value: float, *_: float) -> float:
    return abs(value)


_ISO = re.compile(
    r"(?P<day>\d{4}-\d{2}-\d{2})(?:T(?P<time>\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3})?)?)"
    r"(?P<zone>Z|[+-]\d{2}:\d{2}))?"
)
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def date(machine: Machine, given: Given, node: Node) -> Any:
    """`new Date(...)`; what depends on the clock or the time zone is not known."""
    value = _first(given)
    if not given:
        return machine.unknown("environment", node, "is the moment at which it runs")
    if isinstance(value, Unknown):
        return value
    if isinstance(value, Date) and len(given) == 1:
        return Date(value.ms)
    whole = len(given) == 1 and isinstance(value, float) and value.is_integer()
    if whole and 0 <= value < 253_402_300_800_000:
        return Date(int(value))
    found = _ISO.fullmatch(value) if isinstance(value, str) and len(given) == 1 else None
    if found is None:
        return machine.unknown("environment", node, "depends on the time zone in which it runs")
    try:
        moment = datetime.datetime.fromisoformat(
            f"{found['day']}T{found['time'] or '00:00'}{(found['zone'] or 'Z')}"
        )
    except ValueError:
        return machine.unknown("value", node)
    ms = (moment - _EPOCH) // datetime.timedelta(milliseconds=1)
    if not -62_135_596_800_000 <= ms < 253_402_300_800_000:  # a year with other than four digits
        return machine.unknown("value", node)
    return Date(ms)


@method(Date, "toISOString", "toJSON")
def _iso(machine: Machine, value: Date, given: Given, node: Node) -> Any:
    return sending.date(value)


@method(Date, "getTime", "valueOf")
def _time(machine: Machine, value: Date, given: Given, node: Node) -> Any:
    return float(value.ms)


@method(bool, "toString")
def _boolean_text(machine: Machine, value: bool, given: Given, node: Node) -> Any:
    return op.string(value)


@method(dict, "hasOwnProperty")
def _has_own(machine: Machine, value: dict[str, Any], given: Given, node: Node) -> Any:
    return op.unknown_in(*given) or told(machine, op.key_of, node, _first(given)) in value


@method(Function, "bind")
def _bind(machine: Machine, value: Function, given: Given, node: Node) -> Any:
    if len(given) > 1 or not given:
        return machine.unknown("value", node)
    return Builtin(
        "",
        lambda machine, more, node: functions.call(machine, value, given[0], more, node),
        pure=False,
    )


@method(Function, "call")
def _call(machine: Machine, value: Function, given: Given, node: Node) -> Any:
    return functions.call(machine, value, _first(given), given[1:], node)


@method(Function, "apply")
def _apply(machine: Machine, value: Function, given: Given, node: Node) -> Any:
    more = members.items(machine, given[1], node) if len(given) > 1 else []
    return functions.call(machine, value, _first(given), list(more), node)


def _when(machine: Machine, given: Given, node: Node) -> Any:
    return machine.unknown("environment", node, "is the moment at which it runs")


def _by_chance(machine: Machine, given: Given, node: Node) -> Any:
    return machine.unknown("environment", node, "is random")


def _cwd(machine: Machine, given: Given, node: Node) -> Any:
    return machine.unknown(
        "environment", node, "is the folder that it runs in; __dirname is the file's own"
    )


def _many(functions: dict[str, Any], *, pure: bool = True) -> dict[str, Any]:
    return {name: Builtin(name, run, pure) for name, run in functions.items()}


GLOBALS.update(
    _many(
        {"String": _as_string, "Number": _as_number, "Boolean": _as_boolean,
         "parseInt": _parse_int, "parseFloat": _parse_float}
    )
)  # fmt: skip
GLOBALS.update({"NaN": math.nan, "Infinity": math.inf, "undefined": UNDEFINED})
GLOBALS["JSON"] = Namespace("JSON", _many({"stringify": _stringify, "parse": _parse_json}))
GLOBALS["Object"] = Namespace(
    "Object",
    {
        **_many({"keys": _keys, "fromEntries": _from_entries}),
        **_many(
            {"values": _values, "entries": _entries, "assign": _assign, "freeze": _freeze},
            pure=False,
        ),
    },
)
GLOBALS["Array"] = Namespace(
    "Array", _many({"isArray": _is_array, "from": _from, "of": _of}, pure=False)
)
GLOBALS["Promise"] = Namespace(
    "Promise", _many({"all": _all, "allSettled": _settled, "resolve": _resolved}, pure=False)
)
GLOBALS["Math"] = Namespace(
    "Math",
    {
        **_many({"floor": _math(_floor), "ceil": _math(_ceil), "abs": _math(_abs)}),
        **_many({"max": _math(lambda *v: max(v)), "min": _math(lambda *v: min(v))}),
        "random": Builtin("random", _by_chance),
    },
)
GLOBALS["Date"] = Builtin("Date", _when)
static("Date", _many({"now": _when}))
static("Number", {"MAX_SAFE_INTEGER": 9007199254740991.0, **_many({"parseInt": _parse_int})})
GLOBALS["process"] = Namespace(
    "process",
    {"env": Unknown("environment", "process.env", 0), "cwd": Builtin("cwd", _cwd)},
    "environment",
)
GLOBALS["crypto"] = Unknown("environment", "crypto", 0, "is random")
GLOBALS["Buffer"] = Unknown("value", "Buffer", 0, "holds bytes")
