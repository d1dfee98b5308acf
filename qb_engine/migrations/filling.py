"""what a backfill does, as far as the rows are concerned: its kind, and what its checksum covers"""

from __future__ import annotations

import hashlib
import inspect
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
    more = [declared.sql, source(declared.transform), list(declared.columns)]
    return said + more if any(more) else said


def checksum(declared: Backfill) -> str:
    """A hash of what is written where."""
    return hashlib.sha256(repr(content(declared)).encode()).hexdigest()


def source(value: Any) -> str:
    """A method as its text, a text as it is."""
    return inspect.getsource(value) if callable(value) else str(value or "")
