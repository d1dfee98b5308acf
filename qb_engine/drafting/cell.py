"""a cell of Python as a draft: run with everything at hand, and rewritten as a module of its own"""

from __future__ import annotations

import ast
import builtins
import inspect
import traceback
from dataclasses import dataclass, field
from typing import Any

from qb_engine.errors import InputError, QbError
from qb_engine.migrations import Backfill, Migration
from qb_engine.sql import Source

# what a cell may use of SQLAlchemy without importing it
SQLALCHEMY = (
    "MetaData", "Table", "and_", "case", "column", "delete", "func", "insert", "not_", "null",
    "or_", "select", "table", "text", "update", "values",
)  # fmt: skip
# what a cell says about its migration, besides its own helpers
DECLARED = ("constraints", "up", "down", "irreversible", "transaction")


@dataclass(frozen=True)
class Cell:
    """A cell that ran: the class that it defines, or the attributes that it assigns."""

    text: str
    cls: type | None = None
    values: dict[str, Any] = field(default_factory=dict)

    def declares(self, name: str) -> bool:
        """True when the cell itself says this of its migration."""
        if self.cls is None:
            return name in self.values
        return name in vars(self.cls)


def offered() -> dict[str, Any]:
    """The names that a cell may use without importing them, SQLAlchemy's at last."""
    return {name: _load(name, module) for name, module in homes().items()}


def homes() -> dict[str, str]:
    """The module that each offered name is imported from."""
    from qb_engine import operations

    own = ("Migration", "Backfill", "Column", "Sql")
    kinds = tuple(kind.__name__ for kind in operations.all_operations())
    return dict.fromkeys(SQLALCHEMY, "sqlalchemy") | dict.fromkeys((*own, *kinds), "qb_engine")


def run(text: str, *, backfill: bool = False, source: Source | None = None) -> Cell:
    """Run a cell as a draft; raise InputError with its line when it is none."""
    source = source or Source("", 1)
    name = source.file or "<draft>"
    space: dict[str, Any] = {**offered(), "__name__": "qb_draft", "__builtins__": builtins}
    try:
        code = compile("\n" * (source.line - 1) + text, name, "exec")
        exec(code, space)
    except SyntaxError as error:
        raise InputError(
            f"invalid Python: {error.msg}",
            where=str(Source(source.file, error.lineno or source.line)),
            why=(error.text or "").rstrip(),
            todo="mend the line that is named",
            code="bad-draft",
        ) from None
    except QbError as error:
        error.where = _place(error, name, source)  # the line of the cell, not of a fragment of it
        raise
    except Exception as error:  # noqa: BLE001 - a user's cell may raise anything
        raise InputError(
            f"the draft raised {type(error).__name__}",
            where=_place(error, name, source),
            why=str(error),
            todo="mend the line that is named",
            code="bad-draft",
        ) from None
    return _declared(text, space, Backfill if backfill else Migration, source)


def _place(error: Exception, name: str, source: Source) -> str:
    """The line of the cell that raised."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == name]
    line = frames[-1].lineno if frames else None
    return str(Source(source.file, line or source.line))


def _declared(text: str, space: dict[str, Any], base: type, source: Source) -> Cell:
    classes = [
        value
        for value in space.values()
        if inspect.isclass(value) and issubclass(value, base) and value is not base
    ]
    if len(classes) == 1:
        return Cell(text, classes[0])
    if classes:
        names = ", ".join(c.__name__ for c in classes)
        raise InputError(
            f"the draft defines {len(classes)} {base.__name__} classes",
            where=str(source),
            why=f"found {names}",
            todo="keep one of them",
            code="bad-draft",
        )
    values = {name: space[name] for name in DECLARED if name in space}
    if base is Migration and "up" in values:
        return Cell(text, None, values)
    what = (
        'write up = "ALTER TABLE ..." or class Name(Migration): ...'
        if base is Migration
        else 'write class Fill(Backfill): table = "users"; set = {"email": "lower(name)"}'
    )
    raise InputError(
        f"the draft says nothing about its {base.__name__.lower()}",
        where=str(source),
        todo=what,
        code="bad-draft",
    )


def _load(name: str, module: str) -> Any:
    from importlib import import_module

    return getattr(import_module(module), name)


def imports(text: str, extra: tuple[str, ...] = ()) -> list[str]:
    """The import lines for the offered names that a text uses and does not define itself."""
    tree = ast.parse(text)
    nodes = list(ast.walk(tree))
    used = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    defined = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            defined |= {a.asname or a.name.partition(".")[0] for a in node.names}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined.add(node.name)
    found: dict[str, list[str]] = {}
    where = homes()
    for name in sorted((used - defined) | set(extra), key=str.lower):
        if name in where:
            found.setdefault(where[name], []).append(name)
    return [_import(module, names) for module, names in sorted(found.items())]


def _import(module: str, names: list[str]) -> str:
    line = f"from {module} import {', '.join(names)}"
    if len(line) <= 100:
        return line
    inner = "".join(f"    {name},\n" for name in names)
    return f"from {module} import (\n{inner})"
