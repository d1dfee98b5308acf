"""what a batch does to its rows: one file per kind, found by its name

A kind writes the rows of a range in a transaction that is not its own. To add one is to add a file
that defines `KIND`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from qb_engine.backfill.kinds.kind import Kind, Wrote

if TYPE_CHECKING:
    from qb_engine.backfill.spec import Spec

__all__ = ["Kind", "Wrote", "of"]

_FILES = {"set": "set_columns", "sql": "statement", "transform": "transform"}


def of(spec: Spec) -> Kind:
    """The kind of a backfill."""
    found: Kind = import_module(f"{__name__}.{_FILES[spec.kind]}").KIND
    return found
