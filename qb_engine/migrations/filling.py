"""what a backfill does, as far as the rows are concerned: its kind, and what its checksum covers"""

from __future__ import annotations

import ast
import hashlib
import inspect
from pathlib import Path
from typing import Any, Literal

from qb_engine.migrations.bounded import bounded
from qb_engine.migrations.declaration import Backfill
from qb_engine.sql import ident, qualified

Kind = Literal["set", "sql", "transform"]


def kinds(declared: Backfill) -> tuple[Kind, ...]:
    """The kinds that a declaration names: exactly one, when it is right."""
    named = (("set", declared.set), ("sql", declared.sql), ("transform", declared.transform))
    return tuple(kind for kind, given in named if given)  # type: ignore[misc]


def amounts_to(declared: Backfill, table: str = "") -> str:
    """The statement that a backfill amounts to, over the whole table at once.

    `table` is its name as SQL, where it is known. Of a transform, which is no SQL, it is what it
    reads.
    """
    where = declared.where or ""
    name = table or _sql_name(declared.table)
    if declared.sql:
        return bounded(declared.sql, declared.table).filled(where or "true")
    ended = f" WHERE ({where}{_ended(where)})" if where else ""
    if declared.set:
        values = (f"{ident(c)} = ({v}{_ended(v)})" for c, v in declared.set.items())
        return f"UPDATE {name} SET {', '.join(values)}{ended}"
    return f"SELECT {', '.join(map(ident, declared.columns))} FROM {name}{ended}"


def words(declared: Backfill) -> str:
    """What a backfill does, as a sentence goes on after its name."""
    if declared.set:
        return f"fills {', '.join(declared.set)} of {declared.table}"
    if declared.sql:
        return f"runs over {declared.table}: {' '.join(declared.sql.split())}"
    read = f" ({', '.join(declared.columns)})" if declared.columns else ""
    return f"passes the rows of {declared.table}{read} through transform, which is Python"


def _sql_name(table: str) -> str:
    if '"' in table:
        return table
    schema, dot, name = table.partition(".")
    return qualified(schema, name) if dot else ident(table)


def _ended(text: str) -> str:
    return "\n" if "--" in text else ""


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
    """A transform with all of its file that it may use; comments and the pace are left out.

    As text: what Python makes of it differs from one version to the next.
    """
    if not declared.transform:
        return ""
    try:
        code = declared.transform.__func__.__code__
        text = Path(code.co_filename).read_text("utf-8")
        tree = ast.parse(text)
    except (AttributeError, OSError, SyntaxError, ValueError):  # it is not from a file of its own
        return source(declared.transform)
    apart: set[int] = set()
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == type(declared).__name__:
            for each in node.body:
                if _named(each) & _APART:
                    apart.update(range(_first(each), (each.end_lineno or each.lineno) + 1))
    lines = (line.rstrip() for i, line in enumerate(text.splitlines(), 1) if i not in apart)
    return "\n".join(line for line in lines if line and not line.lstrip().startswith("#"))


def _first(node: ast.stmt) -> int:
    """The line on which a statement begins, with what decorates it."""
    around: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(each.lineno for each in around)])


def _named(node: ast.stmt) -> set[str]:
    """What a statement of a class gives."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return {target.id for target in targets if isinstance(target, ast.Name)}


def source(value: Any) -> str:
    """A method as its text, a text as it is."""
    return inspect.getsource(value) if callable(value) else str(value or "")
