"""what a backfill does, as far as the rows are concerned: its kind, and what its checksum covers"""

from __future__ import annotations

import ast
import hashlib
import inspect
from pathlib import Path
from typing import Any, Literal

from qb_engine.migrations.declaration import Backfill

Kind = Literal["set", "sql", "transform"]


def kinds(declared: Backfill) -> tuple[Kind, ...]:
    """The kinds that a declaration names: exactly one, when it is right."""
    named = (("set", declared.set), ("sql", declared.sql), ("transform", declared.transform))
    return tuple(kind for kind, given in named if given)  # type: ignore[misc]


def content(declared: Backfill) -> list[Any]:
    """What is written where. How fast it goes is not part of it: that may be changed."""
    said: list[Any] = [
        declared.table,
        sorted(declared.set.items()),
        declared.where or "",
        declared.key,
        source(declared.validate),
    ]
    more = [declared.sql, _code(declared), list(declared.columns)]
    return said + more if any(more) else said


def checksum(declared: Backfill) -> str:
    """A hash of what is written where."""
    return hashlib.sha256(repr(content(declared)).encode()).hexdigest()


# How it goes, and what the checksum has by itself.
_APART = {
    "batch_size", "parallel", "target_ms", "max_rate", "window", "throttle", "on_error",
    "max_errors", "retry", "keep_in_sync", "table", "where", "key", "columns", "validate",
}  # fmt: skip


def _code(declared: Backfill) -> str:
    """A transform with all of its file that it may use, comments and the pace left out."""
    if not declared.transform:
        return ""
    cls = type(declared)
    try:
        tree = ast.parse(Path(declared.transform.__func__.__code__.co_filename).read_text("utf-8"))
    except (AttributeError, OSError, SyntaxError, ValueError):  # it is not from a file of its own
        return source(declared.transform)
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == cls.__name__:
            node.body = [each for each in node.body if not _named(each) & _APART]
    return ast.unparse(tree)


def _named(node: ast.stmt) -> set[str]:
    """What a statement of a class gives."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return {target.id for target in targets if isinstance(target, ast.Name)}


def source(value: Any) -> str:
    """A method as its text, a text as it is."""
    return inspect.getsource(value) if callable(value) else str(value or "")
