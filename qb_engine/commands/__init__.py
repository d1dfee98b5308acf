"""one module per command; the click group that both faces use

A module here without a leading underscore is a command of the same name (`_` becomes `-`): it
defines `command`, made by `@qb_command`, which returns a Report. Nothing else registers it.
"""

from __future__ import annotations

from qb_engine.commands._session import Face, Progress, Session
from qb_engine.commands._tree import group, invoke, main, qb_command, unforeseen

__all__ = ["Face", "Progress", "Session", "group", "invoke", "main", "qb_command", "unforeseen"]
