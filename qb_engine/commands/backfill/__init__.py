"""`qb backfill`: fill the rows of a migration, and watch, hold or end it

One file per word after `backfill`, each with a `part`; a new file here is a new word.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import Any

import click

from qb_engine.commands._tree import QbGroup

ORDER = [
    *("estimate", "preview", "start", "status", "watch", "pause", "resume", "tune", "cancel"),
    *("retry", "quarantine", "signals", "list", "history"),
]
SHARED = frozenset({"found", "following", "live", "screen"})


class _Parts(QbGroup):
    """The words are the modules of this folder, imported when needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        found = {
            module.name.replace("_", "-")
            for module in pkgutil.iter_modules(__path__)
            if module.name not in SHARED
        }
        return [n for n in ORDER if n in found] + sorted(found - set(ORDER))

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in self.list_commands(ctx):
            return None
        module: Any = import_module(f"{__name__}.{name.replace('-', '_')}")
        part: click.Command = module.part
        return part


@click.group("backfill", cls=_Parts, short_help="Fill rows in batches: start, watch, pause ...")
def command() -> None:
    """Fill the rows of a migration's table in batches, each row written once.

    It is driven by Temporal and goes on without this terminal or notebook. NAME may be left out:
    the last migration with a backfill is meant.
    """
