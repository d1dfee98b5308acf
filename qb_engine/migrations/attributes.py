"""what a Migration or a Backfill class may say, and clear words when it says something else"""

from __future__ import annotations

import ast
import difflib
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from qb_engine.errors import InputError
from qb_engine.migrations.declaration import Backfill, Migration
from qb_engine.migrations.model import Expectation, refuse_nul
from qb_engine.sql import Source

Rule = tuple[str, Callable[[Any], bool]]
"""What is expected, in words, and whether a value is that."""

TEXT: Rule = ("a text", lambda value: isinstance(value, str))
# what other tools call the two directions
ELSEWHERE = {
    "upgrade": "up", "forward": "up", "forwards": "up", "change": "up",
    "downgrade": "down", "backward": "down", "backwards": "down",
}  # fmt: skip
NEAR = 0.7  # of a method's name to one that counts; `setup` is none

OPTIONAL_TEXT: Rule = ("a text", lambda value: value is None or isinstance(value, str))
COUNT: Rule = (
    "a whole number of at least 1",
    lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= 1,
)

POSITIVE: Rule = (
    "a positive number",
    lambda value: isinstance(value, int | float) and not isinstance(value, bool) and value > 0,
)
NAMES: Rule = (
    "a list of names",
    lambda value: isinstance(value, list | tuple) and all(isinstance(each, str) for each in value),
)

MIGRATION: Mapping[str, Rule | None] = {
    "up": None,  # many forms; whoever makes SQL of them knows
    "down": None,
    "constraints": (
        'a dictionary such as {"users": {"must_exist": True}}',
        lambda value: isinstance(value, dict),
    ),
    "expect": (
        'a list of rules such as ["SELECT id FROM users WHERE email IS NULL"]',
        lambda value: (
            isinstance(value, list | tuple) and all(isinstance(e, str | Mapping) for e in value)
        ),
    ),
    "irreversible": ("a text that says why", TEXT[1]),
    "transaction": ("True or False", lambda value: isinstance(value, bool)),
}
BACKFILL: Mapping[str, Rule | None] = {
    "table": TEXT,
    "set": (
        'a dictionary of SQL texts such as {"email": "lower(name)"}',
        lambda value: (
            isinstance(value, dict)
            and all(isinstance(each, str) for pair in value.items() for each in pair)
        ),
    ),
    "sql": TEXT,
    "transform": (
        "a method transform(self, rows)",
        lambda value: value is None or callable(value),
    ),
    "columns": NAMES,
    "where": OPTIONAL_TEXT,
    "key": (
        "the name of a column, or a tuple of names",
        lambda value: (
            value is None
            or isinstance(value, str)
            or (isinstance(value, tuple | list) and all(isinstance(each, str) for each in value))
        ),
    ),
    "validate": (
        "a query that returns no row, or a method validate(self, q)",
        lambda value: value is None or isinstance(value, str) or callable(value),
    ),
    "batch_size": COUNT,
    "parallel": COUNT,
    "target_ms": POSITIVE,
    "max_rate": ("a positive number or None", lambda value: value is None or POSITIVE[1](value)),
    "window": TEXT,
    "throttle": (
        'a dictionary such as {"replica_lag": {"stop": 5}, "archive_queue": False}',
        lambda value: (
            isinstance(value, Mapping)
            and all(
                isinstance(k, str) and (v is False or isinstance(v, Mapping))
                for k, v in value.items()
            )
        ),
    ),
    "on_error": (
        '"stop", "quarantine", or a method on_error(self, error, key) that returns one of these or '
        '"skip"',
        lambda value: value in ("stop", "quarantine") or callable(value),
    ),
    "max_errors": COUNT,
    "retry": (
        'a dictionary such as {"attempts": 10, "first": 0.05, "longest": 5, "deadline": 600, '
        '"classes": ["retry", "shrink", "reconnect"]}, or a method retry(self, error, tries)',
        lambda value: callable(value) or (isinstance(value, Mapping) and _strategy(value)),
    ),
    "keep_in_sync": ("True or False", lambda value: isinstance(value, bool)),
}


def _strategy(retry: Mapping[Any, Any]) -> bool:
    """Whether a dictionary says how errors are tried again."""
    rules: dict[Any, Callable[[Any], bool]] = {
        "attempts": COUNT[1],
        "deadline": POSITIVE[1],
        "first": lambda value: value == 0 or POSITIVE[1](value),
        "longest": lambda value: value == 0 or POSITIVE[1](value),
        "classes": lambda value: (
            isinstance(value, list | tuple) and set(value) <= {"retry", "shrink", "reconnect"}
        ),
    }
    return all(name in rules and rules[name](value) for name, value in retry.items())


def check_migration(declared: Migration, text: str, path: Path) -> None:
    """Raise InputError with the line for an attribute that is unknown or of the wrong type."""
    _check(declared, Migration, MIGRATION, text, path)


def check_backfill(declared: Backfill, text: str, path: Path) -> None:
    """Raise InputError with the line for an attribute that is unknown or of the wrong type."""
    _check(declared, Backfill, BACKFILL, text, path)


def expectations(declared: Migration, text: str, path: Path) -> tuple[Expectation, ...]:
    """The rules of a Migration class, each with the line on which it stands."""
    name = type(declared).__name__
    node = _given_at(text, name, "expect")
    items = node.value.elts if node and isinstance(node.value, ast.List | ast.Tuple) else []
    lines = [item.lineno for item in items]
    if len(lines) != len(declared.expect):  # made by an expression: the list has one place
        lines = [line_of(text, name, "expect")] * len(declared.expect)
    for said, line in zip(declared.expect, lines):
        if isinstance(said, str):
            refuse_nul(said, Source(str(path), line))
    return tuple(
        Expectation(said, Source(str(path), line)) for said, line in zip(declared.expect, lines)
    )


def class_line(text: str, name: str) -> int:
    """The line on which a class begins, 1 when the text has none of that name."""
    found = _class(text, name)
    return found.lineno if found else 1


def _check(
    declared: Any, base: type, rules: Mapping[str, Rule | None], text: str, path: Path
) -> None:
    cls = type(declared)
    for name in _given(cls, base):
        if name not in rules:
            near = difflib.get_close_matches(name.lower(), rules, n=1, cutoff=0.4)
            raise InputError(
                f"{cls.__name__} has the unknown attribute {name!r}",
                where=f"{path}:{line_of(text, cls.__name__, name)}",
                why=f"a {base.__name__} knows {', '.join(rules)}",
                todo=f"did you mean {near[0]!r}?" if near else "remove it, or begin it with _",
                code="broken-file",
            )
    for name in _methods(cls, base):
        near = [ELSEWHERE[name]] if name in ELSEWHERE else difflib.get_close_matches(
            name.lower(), rules, n=1, cutoff=NEAR
        )  # fmt: skip
        if name not in rules and near and near[0] in rules and f".{name}" not in text:
            raise InputError(
                f"{cls.__name__} has a method {name}, which nothing calls",
                where=f"{path}:{line_of(text, cls.__name__, name)}",
                why=f"a {base.__name__} knows {', '.join(rules)}",
                todo=f"did you mean {near[0]!r}? else begin it with _",
                code="broken-file",
            )
    for name, rule in rules.items():
        value = getattr(declared, name)
        line = line_of(text, cls.__name__, name)
        if rule is not None and not rule[1](value):
            raise InputError(
                f"{name} of {cls.__name__} is {value!r:.80}",
                where=f"{path}:{line}",
                why=f"{rule[0]} is expected",
                todo="mend the line that is named",
                code="broken-file",
            )
        for each in value.values() if isinstance(value, dict) else (value,):
            if base is Backfill and isinstance(each, str):
                refuse_nul(each, Source(str(path), line))


def _given(cls: type, base: type) -> list[str]:
    """The public plain values of a class: methods, properties and nested classes are its own."""
    return [
        name
        for owner in cls.__mro__
        if owner not in base.__mro__
        for name, value in vars(owner).items()
        if not name.startswith("_") and not callable(value) and not hasattr(value, "__get__")
    ]


def _methods(cls: type, base: type) -> list[str]:
    """The public methods of a class."""
    return [
        name
        for owner in cls.__mro__
        if owner not in base.__mro__
        for name, value in vars(owner).items()
        if not name.startswith("_") and inspect.isfunction(value)
    ]


def line_of(text: str, cls: str, name: str) -> int:
    """The line on which a class gives an attribute, else the line of the class."""
    found = _given_at(text, cls, name)
    return found.lineno if found else class_line(text, cls)


def _given_at(text: str, cls: str, name: str) -> Any:
    """The assignment or the method by which a class gives an attribute; None without one."""
    found = _class(text, cls)
    for node in reversed(found.body if found else []):  # the last one counts
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(each, ast.Name) and each.id == name for each in targets):
            return node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
            return node
    return None


def _class(text: str, name: str) -> ast.ClassDef | None:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef) and node.name == name:
            return node
    return None
