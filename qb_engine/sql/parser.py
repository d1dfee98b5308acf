"""the parser, imported when the first text is parsed: much is asked of a project without any SQL"""

from __future__ import annotations

from importlib import import_module
from typing import Any


class Late:
    """A module that is imported when somebody first asks for something in it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        value = getattr(import_module(self._name), name)
        self.__dict__[name] = value
        return value


postgast = Late("postgast")
pb = Late("postgast.pg_query_pb2")
