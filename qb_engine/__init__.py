"""qb's engine: everything qb knows and does, without a face.

The rooms, from the ground up, are listed in the README; a room imports only the rooms above it.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Give the names that migration files import, without loading their rooms before."""
    if name in ("Migration", "Backfill"):
        from qb_engine import migrations

        return getattr(migrations, name)
    if name == "Verdict":  # what a rule of the user's own answers
        from qb_engine.constraints.rules import Verdict

        return Verdict
    from importlib import import_module

    if name[:1].isupper():
        operations = import_module("qb_engine.operations")
        if hasattr(operations, name):
            return getattr(operations, name)
    raise AttributeError(f"module 'qb_engine' has no attribute {name!r}")
