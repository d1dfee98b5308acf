"""`qb typeorm`: go over from TypeORM, or work beside it

One file per word after `typeorm`, each with a `part`; a new file here is a new word.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import Any

import click

from qb_engine.commands._tree import QbGroup

ORDER = ["import", "check", "adopt", "release"]
SHARED = frozenset[str]()


class _Parts(QbGroup):
    """The words are the modules of this folder, imported when needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        found = {
            module.name.rstrip("_").replace("_", "-")
            for module in pkgutil.iter_modules(__path__)
            if not module.name.startswith("_") and module.name not in SHARED
        }
        return [n for n in ORDER if n in found] + sorted(found - set(ORDER))

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in self.list_commands(ctx):
            return None
        word = "import_" if name == "import" else name.replace("-", "_")  # a keyword of Python
        module: Any = import_module(f"{__name__}.{word}")
        part: click.Command = module.part
        return part


@click.group("typeorm", cls=_Parts, short_help="Take a TypeORM project over, or work beside it.")
def command() -> None:
    """Find a TypeORM project, see what is wrong in it, take its history over, and give it back."""
