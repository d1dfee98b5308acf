"""methods of strings"""

from __future__ import annotations

import math
import unicodedata
from typing import Any

from tree_sitter import Node

from qb_engine.migrations.typescript import cooking
from qb_engine.migrations.typescript import operators as op
from qb_engine.migrations.typescript.expressions import told
from qb_engine.migrations.typescript.machine import LENGTH, Machine
from qb_engine.migrations.typescript.members import method
from qb_engine.migrations.typescript.numbers import SPACE
from qb_engine.migrations.typescript.things import Undefined, Unknown, placed


def _checked(machine: Machine, text: str, given: list[Any], node: Node, counts: bool) -> Any:
    """The unknown value among what is given, or None; refuse positions in rare texts."""
    if unknown := op.unknown_in(*given):
        return unknown
    if counts and not text.isascii() and max(text) > "\uffff":
        return machine.unknown("value", node, "counts halves of characters")
    return None


def _index(machine: Machine, given: list[Any], at: int, otherwise: int, node: Node) -> int:
    if len(given) <= at or isinstance(given[at], Undefined):
        return otherwise
    number = told(machine, op.number, node, given[at])
    if math.isnan(number):
        return 0
    return int(max(min(number, 2.0**40), -(2.0**40)))


def _halved(text: str, *wanted: str) -> bool:
    """True where half of a character is looked for, which Python does not find in a whole one."""
    return not text.isascii() and not all(cooking.is_whole(one) for one in wanted)


def _string(machine: Machine, given: list[Any], at: int, node: Node) -> str:
    value = given[at] if len(given) > at else "undefined"
    return str(told(machine, op.string, node, value))


@method(str, "toString", "valueOf")
def _same(machine: Machine, text: str, given: list[Any], node: Node) -> Any:
    return text


@method(str, "trim")
def _trim(machine: Machine, text: str, given: list[Any], node: Node) -> Any:
    return _moved(text, text.lstrip(SPACE).rstrip(SPACE))


@method(str, "trimStart", "trimLeft")
def _trim_start(machine: Machine, text: str, given: list[Any], node: Node) -> Any:
    return _moved(text, text.lstrip(SPACE))


@method(str, "trimEnd", "trimRight")
def _trim_end(machine: Machine, text: str, given: list[Any], node: Node) -> Any:
    return placed(text.rstrip(SPACE), text)


def _moved(text: str, shorter: str) -> str:
    """A text without its beginning: it begins further down."""
    from qb_engine.migrations.typescript.things import Text

    made = placed(shorter, text)
    if isinstance(made, Text):
        made.line += text[: len(text) - len(text.lstrip(SPACE))].count("\n")
    return made


_RECENT = frozenset("\u019b\u0264\ua7d3\ua7d5")  # they got another case with Unicode 16


@method(str, "toUpperCase", "toLowerCase")
def _cased(machine: Machine, text: str, given: list[Any], node: Node) -> Any:
    if any(one in _RECENT or unicodedata.category(one) == "Cn" for one in set(text)):
        return machine.unknown("value", node, "has letters that Unicode got lately")
    return placed(text.upper() if machine.method == "toUpperCase" else text.lower(), text)


@method(str, "concat")
def _concat(machine: Machine, text: str, given: list[Any], node: Node) -> Any:
    if unknown := op.unknown_in(*given):
        return unknown
    parts = [text, *(told(machine, op.string, node, one) for one in given)]
    return placed(cooking.joined("".join(parts)), *parts)


@method(str, "repeat")
def _repeat(machine: Machine, text: str, given: list[Any], node: Node) -> Any:
    if unknown := op.unknown_in(*given):
        return unknown
    count = _index(machine, given, 0, 0, node)
    if count < 0:
        machine.refuse("value", f"`{machine.source.brief(node)}` is no text", node)
    machine.bounded(len(text) * count, LENGTH, node)
    return placed(cooking.joined(text * count), text)


@method(str, "padStart", "padEnd")
def _pad(machine: Machine, text: str, given: list[Any], node: Node) -> Any:
    if (unknown := _checked(machine, text, given, node, True)) is not None:
        return unknown
    width = _index(machine, given, 0, 0, node)
    machine.bounded(width, LENGTH, node)
    blank = len(given) < 2 or isinstance(given[1], Undefined)
    fill = " " if blank else _string(machine, given, 1, node)
    if not fill.isascii() and max(fill) > "\uffff":
        return machine.unknown("value", node, "counts halves of characters")
    missing = width - len(text)
    if missing <= 0 or not fill:
        return text
    padding = (fill * (missing // len(fill) + 1))[:missing]
    start = machine.method == "padStart"
    return placed(padding + text if start else text + padding, text)


@method(str, "slice")
def _slice(machine: Machine, text: str, given: list[Any], node: Node) -> Any:
    if (unknown := _checked(machine, text, given, node, True)) is not None:
        return unknown
    start = _index(machine, given, 0, 0, node)
    return str(text)[start : _index(machine, given, 1, len(text), node)]


@method(str, "substring")
def _substring(machine: Machine, text: str, given: list[Any], node: Node) -> Any:
    if (unknown := _checked(machine, text, given, node, True)) is not None:
        return unknown
    start = min(max(_index(machine, given, 0, 0, node), 0), len(text))
    end = min(max(_index(machine, given, 1, len(text), node), 0), len(text))
    return str(text)[min(start, end) : max(start, end)]


@method(str, "charAt")
def _char(machine: Machine, text: str, given: list[Any], node: Node) -> Any:
    if (unknown := _checked(machine, text, given, node, True)) is not None:
        return unknown
    at = _index(machine, given, 0, 0, node)
    return str(text)[at : at + 1] if at >= 0 else ""


@method(str, "indexOf", "lastIndexOf")
def _find(machine: Machine, text: str, given: list[Any], node: Node) -> Any:
    if (unknown := _checked(machine, text, given, node, True)) is not None:
        return unknown
    if len(given) != 1:
        return machine.unknown("value", node)
    last = machine.method == "lastIndexOf"
    wanted = _string(machine, given, 0, node)
    return float(text.rfind(wanted) if last else text.find(wanted))


@method(str, "includes", "startsWith", "endsWith")
def _has(machine: Machine, text: str, given: list[Any], node: Node) -> Any:
    if unknown := op.unknown_in(*given):
        return unknown
    if len(given) != 1:
        return machine.unknown("value", node)
    wanted = _string(machine, given, 0, node)
    if _halved(text, wanted):
        return machine.unknown("value", node, "looks for half of a character")
    if machine.method == "includes":
        return wanted in text
    return text.startswith(wanted) if machine.method == "startsWith" else text.endswith(wanted)


@method(str, "split")
def _split(machine: Machine, text: str, given: list[Any], node: Node) -> Any:
    if unknown := op.unknown_in(*given):
        return unknown
    if len(given) != 1:
        return machine.unknown("value", node)
    if isinstance(given[0], Undefined):
        return [text]
    separator = _string(machine, given, 0, node)
    if _halved(text, separator):
        return machine.unknown("value", node, "looks for half of a character")
    if not separator:
        if _checked(machine, text, given, node, True) is not None:
            return machine.unknown("value", node)
        return list(str(text))
    from qb_engine.migrations.typescript.things import Text

    parts: list[str] = str.split(text, separator)
    if not isinstance(text, Text):
        return parts
    placed_parts: list[str] = []
    line, breaks = text.line, separator.count("\n")
    for part in parts:
        placed_parts.append(Text.at(part, line, text.file))
        line += part.count("\n") + breaks
    return placed_parts


@method(str, "replace", "replaceAll")
def _replace(machine: Machine, text: str, given: list[Any], node: Node) -> Any:
    if len(given) != 2 or not all(isinstance(one, str) for one in given):
        unknown = op.unknown_in(*given)
        return unknown or machine.unknown("value", node)
    if not given[0] and not text.isascii():
        return machine.unknown("value", node, "goes between halves of characters")
    if _halved(text, *given):
        return machine.unknown("value", node, "looks for half of a character")
    if "$" in given[1]:
        return machine.unknown("value", node, "uses patterns of replace")
    everywhere = machine.method == "replaceAll"
    made = str.replace(text, given[0], given[1], -1 if everywhere else 1)
    machine.bounded(len(made), LENGTH, node)
    return placed(cooking.joined(made), text)


@method(Unknown, "toString")
def _unknown(machine: Machine, value: Unknown, given: list[Any], node: Node) -> Any:
    return value
