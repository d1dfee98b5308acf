"""why a method cannot be read, raised where it is seen"""

from __future__ import annotations

from qb_engine.migrations.typescript.values import Cause, Unread


class Refused(Exception):
    """The text does not tell what happens; never an error that a user sees."""

    def __init__(self, cause: Cause, reason: str, line: int) -> None:
        super().__init__(reason)
        self.cause: Cause = cause
        self.reason = reason
        self.line = line

    def unread(self) -> Unread:
        """The same as a value."""
        return Unread(self.cause, self.reason, self.line)


class Fails(Refused):
    """The text tells that it fails: it looks into what has no value, or too early."""


class Thrown(Exception):
    """The method throws an error, and says this."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
