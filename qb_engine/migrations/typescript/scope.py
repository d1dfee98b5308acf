"""names and what they stand for"""

from __future__ import annotations

from typing import Any


class Scope:
    """The names of a block, inside those of another."""

    __slots__ = ("constant", "names", "outer", "whole")

    def __init__(self, outer: Scope | None = None, *, whole: bool = False) -> None:
        self.names: dict[str, Any] = {}
        self.constant: set[str] = set()
        self.outer = outer
        self.whole = whole  # of a function or the file: `var` lives here

    def declare(self, name: str, value: Any, *, constant: bool = False) -> None:
        """Make a name of this block."""
        self.names[name] = value
        if constant:
            self.constant.add(name)

    def holder(self, name: str) -> Scope | None:
        """The block that has a name; None when none has it."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names:
                return scope
            scope = scope.outer
        return None

    def function(self) -> Scope:
        """The function's block that this one is in."""
        scope = self
        while not scope.whole and scope.outer is not None:
            scope = scope.outer
        return scope
