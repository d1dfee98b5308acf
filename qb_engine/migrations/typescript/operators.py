"""what operators and conversions of JavaScript make of known values"""

from __future__ import annotations

import math
from typing import Any

from qb_engine.migrations.typescript import numbers
from qb_engine.migrations.typescript.things import (
    UNDEFINED,
    BigInt,
    Builtin,
    Class,
    Connection,
    Date,
    Function,
    Namespace,
    Runner,
    Text,
    Undefined,
    Unknown,
    placed,
)


class NotTold(Exception):
    """An operation whose outcome qb does not tell."""


def is_primitive(value: Any) -> bool:
    """True for what is compared by its value."""
    return value is None or isinstance(value, (str, float, bool, Undefined, BigInt))


def truthy(value: Any) -> bool:
    """What `if (value)` decides."""
    if isinstance(value, float):
        return not (value == 0 or math.isnan(value))
    if isinstance(value, BigInt):
        return value.value != 0
    if isinstance(value, (str, bool)):
        return bool(value)
    return not (value is None or isinstance(value, Undefined))


def string(value: Any) -> str:
    """What `String(value)` is."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return numbers.written(value)
    if value is None:
        return "null"
    if isinstance(value, Undefined):
        return "undefined"
    if isinstance(value, BigInt):
        return str(value.value)
    if isinstance(value, list):
        return join(value, ",")
    if isinstance(value, dict) and not {"toString", "valueOf"} & value.keys():
        return "[object Object]"
    raise NotTold


def join(items: list[Any], separator: str) -> str:
    """What `items.join(separator)` is."""
    nothing = (None, UNDEFINED)
    texts = ["" if any(item is no for no in nothing) else string(item) for item in items]
    return placed(separator.join(texts), *texts[:1])


def number(value: Any) -> float:
    """What `Number(value)` is."""
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, float):
        return value
    if isinstance(value, str):
        return numbers.from_text(value)
    if value is None:
        return 0.0
    if isinstance(value, Undefined):
        return math.nan
    if isinstance(value, Date):
        return float(value.ms)
    raise NotTold


_MAKERS = ("Object", "Array", "Promise")  # they have members, and are functions too


def kind(value: Any) -> str:
    """What `typeof value` is."""
    if isinstance(value, str):
        return "string"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, float):
        return "number"
    if isinstance(value, Undefined):
        return "undefined"
    if isinstance(value, BigInt):
        return "bigint"
    if isinstance(value, (Function, Builtin, Class)):
        return "function"
    if isinstance(value, Namespace) and value.name in _MAKERS:
        return "function"
    return "object"


def same(left: Any, right: Any) -> bool:
    """What `left === right` is."""
    if isinstance(left, str) and isinstance(right, str):
        return str.__eq__(left, right)
    if kind(left) != kind(right):
        return False
    if is_primitive(left) and is_primitive(right):
        return bool(left == right)
    if isinstance(left, (Runner, Connection)):
        return bool(left == right)
    return left is right


def alike(left: Any, right: Any) -> bool:
    """What `left == right` is."""
    nothing = (None, UNDEFINED)
    if any(left is no for no in nothing) or any(right is no for no in nothing):
        return any(left is no for no in nothing) and any(right is no for no in nothing)
    if kind(left) == kind(right):
        return same(left, right)
    if is_primitive(left) and is_primitive(right) and not isinstance(left, BigInt):
        return number(left) == number(right)
    raise NotTold


def add(left: Any, right: Any) -> Any:
    """What `left + right` is."""
    if isinstance(left, BigInt) and isinstance(right, BigInt):
        return BigInt(left.value + right.value)
    if isinstance(left, (str, list, dict)) or isinstance(right, (str, list, dict)):
        a, b = string(left), string(right)
        return placed(a + b, a, b)
    if isinstance(left, Date) or isinstance(right, Date):
        raise NotTold  # a text that depends on the time zone
    return number(left) + number(right)


def arithmetic(sign: str, left: Any, right: Any) -> Any:
    """What `left sign right` is, for - * / % **."""
    a, b = number(left), number(right)
    try:
        if sign == "-":
            return a - b
        if sign == "*":
            return a * b
        if sign == "/":
            if b == 0:
                raise NotTold
            return a / b
        if sign == "%":
            return math.fmod(a, b)
        if sign == "**" and a.is_integer() and b.is_integer() and 0 <= b < 64:
            power = int(a) ** int(b)  # others may differ in their last digit
            if abs(power) <= 2**53:
                return float(power)
    except (ValueError, OverflowError):
        raise NotTold from None
    raise NotTold


def compare(sign: str, left: Any, right: Any) -> bool:
    """What `left sign right` is, for < > <= >=."""
    a: Any
    b: Any
    if isinstance(left, str) and isinstance(right, str):
        a, b = units(left), units(right)
    elif isinstance(left, BigInt) and isinstance(right, BigInt):
        a, b = left.value, right.value
    else:
        a, b = number(left), number(right)
    if sign == "<":
        return bool(a < b)
    if sign == ">":
        return bool(a > b)
    return bool(a <= b) if sign == "<=" else bool(a >= b)


def units(text: str) -> bytes:
    """A text as JavaScript orders it."""
    return text.encode("utf-16-be", "surrogatepass")


def is_index(key: str) -> bool:
    """True for a key that JavaScript lists before all others."""
    if not (key.isascii() and key.isdigit() and len(key) <= 10):
        return False
    return (key == "0" or key[0] != "0") and int(key) < 2**32 - 1


def keys(value: dict[str, Any]) -> list[str]:
    """The keys of an object in the order that JavaScript lists them."""
    if not any(is_index(key) for key in value):
        return list(value)
    first = sorted((key for key in value if is_index(key)), key=int)
    return first + [key for key in value if not is_index(key)]


def key_of(value: Any) -> str:
    """A value as the name of a property."""
    return str.__str__(value) if isinstance(value, Text) else string(value)


def unknown_in(*values: Any) -> Unknown | None:
    """The first unknown value in these, however deep."""
    waiting = list(reversed(values))
    seen: set[int] = set()
    while waiting:
        value = waiting.pop()
        if isinstance(value, Unknown):
            return value
        if isinstance(value, (list, dict)):
            if id(value) in seen:
                continue
            seen.add(id(value))
            inside = value if isinstance(value, list) else value.values()
            waiting.extend(reversed(list(inside)))
    return None
