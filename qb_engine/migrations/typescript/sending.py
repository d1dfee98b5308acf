"""values as JSON, as parameters, and as the text that the pg driver sends for a parameter"""

from __future__ import annotations

import datetime
import json
from typing import Any

from tree_sitter import Node

from qb_engine.migrations.typescript import cooking, numbers
from qb_engine.migrations.typescript.machine import Machine
from qb_engine.migrations.typescript.operators import keys
from qb_engine.migrations.typescript.things import (
    BigInt,
    Date,
    Undefined,
    Unknown,
)

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


class NoJson(Exception):
    """A value that JSON does not have; it holds the value."""

    def __init__(self, value: Any) -> None:
        super().__init__(repr(value))
        self.value = value


def parameter(machine: Machine, value: Any, node: Node) -> Any:
    """A parameter as a JSON value from which the driver's text follows: see `sent`."""
    try:
        made = _parameter(value)
    except NoJson as no:
        if isinstance(no.value, Unknown):
            machine.refuse_unknown(no.value, "it is a parameter of the SQL")
        machine.refuse("value", "a parameter is neither text, number, boolean, null, array, "
                       "date nor JSON", node)  # fmt: skip
    for text in _texts(made):
        if not cooking.is_whole(text) or "\0" in text:
            machine.refuse("value", "a parameter holds a character that cannot be sent", node)
    return made


def _parameter(value: Any) -> Any:
    if value is None or isinstance(value, Undefined):
        return None
    if isinstance(value, BigInt):
        return value.value
    if isinstance(value, Date):
        return date(value).replace("Z", "+00:00")
    if isinstance(value, float):
        told = numbers.as_json(value)
        return numbers.written(value) if told is None else told
    if isinstance(value, list):
        return [_parameter(item) for item in value]
    return json_value(value)


def json_value(value: Any) -> Any:
    """A value as JSON.stringify has it, parsed again. Raise NoJson for what it has not."""
    if isinstance(value, str):
        return str.__str__(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, float):
        return numbers.as_json(value)
    if isinstance(value, Date):
        return date(value)
    if isinstance(value, list):
        return [None if isinstance(item, Undefined) else json_value(item) for item in value]
    if isinstance(value, dict) and "toJSON" not in value and "toPostgres" not in value:
        return {
            key: json_value(value[key])
            for key in keys(value)
            if not isinstance(value[key], Undefined)
        }
    raise NoJson(value)


def parsed(value: Any) -> Any:
    """A value of Python's json as one of JavaScript."""
    if isinstance(value, list):
        return [parsed(item) for item in value]
    if isinstance(value, dict):
        return {key: parsed(item) for key, item in value.items()}
    if isinstance(value, int) and not isinstance(value, bool):
        return numbers.from_text(str(value))
    return value


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    if isinstance(value, dict):
        return [text for key, item in value.items() for text in (key, *_texts(item))]
    return []


def date(value: Date) -> str:
    """A moment as `toISOString` writes it."""
    moment = _EPOCH + datetime.timedelta(milliseconds=value.ms)
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def written(value: Any, indent: str = "") -> str:
    """A JSON value as JSON.stringify writes it."""
    return _written(value, indent, "\n" if indent else "")


def _written(value: Any, indent: str, margin: str) -> str:
    if isinstance(value, float):
        return numbers.written(value)
    if not isinstance(value, (list, dict)):
        return json.dumps(value, ensure_ascii=False)
    deeper = margin + indent
    if isinstance(value, list):
        parts, ends = [_written(item, indent, deeper) for item in value], "[]"
    else:
        colon = ": " if indent else ":"
        parts = [
            json.dumps(key, ensure_ascii=False) + colon + _written(item, indent, deeper)
            for key, item in value.items()
        ]
        ends = "{}"
    if not parts:
        return ends
    return ends[0] + deeper + ("," + deeper).join(parts) + margin + ends[1]


def sent(value: Any) -> str | None:
    """What the pg driver sends for a parameter of a Query: its text; None for NULL."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return numbers.written(value)
    if isinstance(value, (list, tuple)):
        return "{" + ",".join(_item(item) for item in value) + "}"
    return written(value)


def _item(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return str(sent(value))
    text = sent(value)
    if text is None:
        return "NULL"
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
