"""migrations and backfills written as Python classes"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from qb_engine.errors import InputError, QbError, nearby
from qb_engine.migrations import filling
from qb_engine.migrations.attributes import (
    check_backfill,
    check_migration,
    class_line,
    expectations,
    line_of,
)
from qb_engine.migrations.bounded import bounded
from qb_engine.migrations.declaration import Backfill, Migration
from qb_engine.migrations.model import Part, PartKind, Reader, Recorder, read_text, statements
from qb_engine.sql import Source, Statement

_FRAGMENT = re.compile(r"(?:line \d+)?")  # where an error is that knows the text and no file


def load(path: Path, kind: PartKind, reader: Reader | None) -> tuple[Part, dict[str, Any], str]:
    """Read a file with one Migration class: its part, its constraints, its text."""
    module, text = execute(path)
    cls = one_class(module, Migration, path)
    with _users_code(path):
        declared = cls()
        check_migration(declared, text, path)
    place = _places(text, path)
    source = place("")
    up, dynamic = _direction(declared, "up", source, place, reader)
    down, down_dynamic = _direction(declared, "down", source, place, reader)
    # a method may find nothing left to do, as one that fills in what is missing does, once applied
    if not up and not dynamic:
        raise InputError(
            f"{cls.__name__} has no up",
            where=str(source),
            why="a migration without statements changes nothing",
            todo='give it: up = "ALTER TABLE ..."',
            code="broken-file",
        )
    part = Part(
        kind, path.name, up, down, declared.irreversible, declared.transaction,
        dynamic or down_dynamic, expect=expectations(declared, text, path),
    )  # fmt: skip
    return part, declared.constraints, text


def load_backfill(path: Path) -> tuple[Backfill, str]:
    """Read a file with one Backfill class."""
    module, text = execute(path)
    cls = one_class(module, Backfill, path)
    with _users_code(path):
        declared: Backfill = cls()
        check_backfill(declared, text, path)
    kinds = filling.kinds(declared)
    if not declared.table or len(kinds) != 1:
        several = " and ".join(kinds)
        raise InputError(
            f"{cls.__name__} does not say what to fill",
            where=f"{path}:{class_line(text, cls.__name__)}",
            why=f"it gives {several}"
            if len(kinds) > 1
            else "a backfill needs `table`, and `set`, `sql` or a method `transform`",
            todo="keep one of them"
            if len(kinds) > 1
            else 'give it: table = "users"; set = {"email": "lower(name)"}',
            code="broken-file",
        )
    if declared.sql:
        bounded(declared.sql, declared.table, f"{path}:{line_of(text, cls.__name__, 'sql')}")
    return declared, text


def execute(path: Path) -> tuple[ModuleType, str]:
    """Run a Python file as a module of its own; raise InputError with file and line."""
    text = read_text(path)
    name = "qb_migration_" + hashlib.sha256(str(path).encode()).hexdigest()[:12]
    spec = importlib.util.spec_from_loader(name, loader=None, origin=str(path))
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    module.__file__ = str(path)
    try:
        code = compile(text, str(path), "exec")
    except SyntaxError as error:
        raise InputError(
            f"invalid Python: {error.msg}",
            where=f"{path}:{error.lineno}",
            why=(error.text or "").rstrip(),
            todo="mend the line that is named",
            code="broken-file",
        ) from None
    sys.modules[name] = module  # dataclasses and pickling look their module up
    try:
        with _users_code(path):
            exec(code, module.__dict__)
    finally:
        sys.modules.pop(name, None)
    return module, text


def one_class(module: ModuleType, base: type, path: Path) -> Any:
    """The one subclass of `base` that the module itself defines."""
    found = [
        value
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, base)
        and value is not base
        and value.__module__ == module.__name__
    ]
    if len(found) == 1:
        return found[0]
    names = ", ".join(cls.__name__ for cls in found)
    raise InputError(
        f"one {base.__name__} class is expected, {len(found)} were found",
        where=str(path),
        why=f"found {names}" if names else f"no class in it derives from {base.__name__}",
        todo=f"define one class: class Name({base.__name__}): ...",
        code="broken-file",
    )


def _direction(
    declared: Any, name: str, source: Source, place: Callable[[str], Source], reader: Reader | None
) -> tuple[tuple[Statement, ...], bool]:
    path = Path(source.file)
    value = getattr(declared, name)
    if not inspect.ismethod(value):
        with _users_code(path, source.line):
            return statements(value, source, place), False
    recorder = Recorder(reader, source)
    with _users_code(path, source.line):
        value(recorder)
        return statements(recorder.items, source, place), True


@contextmanager
def _users_code(path: Path, line: int = 1) -> Iterator[None]:
    """Give whatever is raised inside the file's line that it comes from, else `line`.

    What a part of qb refuses on behalf of the file (an operation its SQL, say) knows no file.
    """
    try:
        yield
    except QbError as error:
        at = _line(path, error)
        file = nearby(str(path))
        if at is None and error.where.startswith(f"{file}:"):
            raise  # placed already, by the text's own line
        known = "" if _FRAGMENT.fullmatch(error.where) or file in error.where else error.where
        error.where = f"{file}:{at or line}" + (f", {known}" if known else "")
        raise
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - a user's file may raise anything, even exit
        raise InputError(
            f"the file raised {type(error).__name__}",
            where=f"{path}:{_line(path, error) or line}",
            why=str(error),
            todo="mend the line that is named",
            code="broken-file",
        ) from None


def _line(path: Path, error: BaseException) -> int | None:
    """The line of the file that was being executed last when an error was raised."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    return frames[-1].lineno if frames else None


def _places(text: str, path: Path) -> Callable[[str], Source]:
    """Where each string constant of the file stands, so that statements have their line."""
    lines: dict[str, int] = {}
    first_class = 1
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            lines.setdefault(node.value, node.lineno)
        if isinstance(node, ast.ClassDef) and first_class == 1:
            first_class = node.lineno
    return lambda sql: Source(str(path), lines.get(sql, first_class))
