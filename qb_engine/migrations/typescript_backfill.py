"""a backfill as the constants that a backfill.ts exports, and those as a backfill"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qb_engine.errors import InputError
from qb_engine.migrations import filling
from qb_engine.migrations.attributes import BACKFILL, check_backfill
from qb_engine.migrations.bounded import bounded
from qb_engine.migrations.declaration import Backfill

PYTHON = "python"
"""The constant that names the methods that backfill.py has: no constant can hold them."""

_FILLS = ("table", "set", "sql", "columns", "where", "key", "validate", PYTHON)


def constants_of(declared: Backfill) -> dict[str, Any]:
    """What a backfill says otherwise than by default, as JSON values; its methods by name."""
    found: dict[str, Any] = {}
    methods: list[str] = []
    for name in BACKFILL:
        value, usual = getattr(declared, name), getattr(Backfill, name)
        if callable(value):
            methods.append(name)
        elif value is not None and _json(value) != _json(usual):
            found[name] = _json(value)
    return found | ({PYTHON: methods} if methods else {})


def in_python(constants: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the methods that stand in backfill.py, as the constants say."""
    found = constants.get(PYTHON, ())
    return tuple(map(str, found)) if isinstance(found, list | tuple) else (str(found),)


def read_constants(path: Path, text: str | None = None) -> Mapping[str, Any]:
    """What a backfill.ts exports. Raise InputError with the line for what is no plain constant."""
    from qb_engine.migrations.typescript import constants, describe

    script = describe(path, text)
    if script.errors:
        raise _broken(
            path, "the file does not parse", "what stands there is not TypeScript, or JavaScript",
            "mend the line that is named", script.errors[0],
        )  # fmt: skip
    found = constants(path, text)
    for each in script.exports:
        if each.callable:
            raise _broken(
                path, f"{each.name} is a function or a class",
                "a TypeORM project whose glob finds this file would take it for a migration; and "
                "qb runs no TypeScript", "write it in backfill.py, as a method", each.line,
            )  # fmt: skip
        if each.kind != "type" and each.name not in found:
            raise _broken(
                path, f"{each.name} cannot be read",
                "it is known only when the file runs, or it is no JSON value",
                "write it as a literal", each.line,
            )  # fmt: skip
    return found


def same(constants: Mapping[str, Any], declared: Backfill) -> bool:
    """True when constants fill what a declaration fills; how fast it goes may differ."""
    theirs = constants_of(declared)
    return all(constants.get(name) == theirs.get(name) for name in _FILLS)


def backfill_of(constants: Mapping[str, Any], path: Path) -> Backfill:
    """The backfill that constants are; `path` is the file that exports them.

    Raise InputError for a constant that is unknown or of the wrong type, and where methods are
    missing, which only backfill.py can have.
    """
    for name in constants:
        if name not in BACKFILL and name != PYTHON:
            near = difflib.get_close_matches(name.lower(), BACKFILL, n=1, cutoff=0.4)
            raise _broken(
                path, f"{name!r} is nothing that a backfill has",
                f"it knows {', '.join(BACKFILL)}",
                f"did you mean {near[0]!r}?" if near else "remove it, or do not export it",
            )  # fmt: skip
    if methods := in_python(constants):
        raise _broken(
            path, f"{' and '.join(methods)} of this backfill {_are(methods)} Python",
            "constants cannot hold a method",
            "put backfill.py beside it, which has them",
        )  # fmt: skip
    values = {name: _usual_type(name, value) for name, value in constants.items()}
    declared: Backfill = type("backfill", (Backfill,), values)()
    check_backfill(declared, "", path)
    kinds = filling.kinds(declared)
    if not declared.table or len(kinds) != 1:
        raise _broken(
            path, "the constants do not say what to fill",
            f"they give {' and '.join(kinds)}" if len(kinds) > 1
            else "a backfill needs `table`, and `set` or `sql`",
            "keep one of them" if len(kinds) > 1
            else 'export them: export const table = "users"; export const set = { a: "b" }',
        )  # fmt: skip
    if declared.sql:
        bounded(declared.sql, declared.table, str(path))
    return declared


def _json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _json(each) for key, each in value.items()}
    return [_json(each) for each in value] if isinstance(value, list | tuple) else value


def _usual_type(name: str, value: Any) -> Any:
    """A list as the tuple that a declaration has there."""
    return tuple(value) if name in ("key", "columns") and isinstance(value, list) else value


def _are(names: tuple[str, ...]) -> str:
    return "is" if len(names) == 1 else "are"


def _broken(path: Path, what: str, why: str, todo: str, line: int = 0) -> InputError:
    where = f"{path}:{line}" if line else str(path)
    return InputError(what, where=where, why=why, todo=todo, code="broken-file")
