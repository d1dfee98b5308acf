"""a room's public names, each imported when somebody asks for it: `qb status` needs no executor"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import Any


class Room(ModuleType):
    """A package that imports its public names late.

    A name may be that of the module in which it lives: it means the value all the same.
    """

    doors: Mapping[str, str]

    def __getattr__(self, name: str) -> Any:
        where = self.doors.get(name)
        if where is None:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        value = getattr(import_module(where), name)
        self.__dict__[name] = value
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.doors and isinstance(value, ModuleType):
            return  # Python's own, once a module is imported
        super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.doors})


def opened(package: str, names: Mapping[str, str]) -> None:
    """Have a package import names when they are asked for: by module, with blanks between them."""
    room = sys.modules[package]
    doors = {name: f"{package}.{where}" for where, each in names.items() for name in each.split()}
    room.__dict__["doors"] = doors
    room.__class__ = Room
