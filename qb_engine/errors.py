"""what went wrong: what happened, where, why, and what to do next"""

from __future__ import annotations

import os

from qb_engine.secrets import mask


def nearby(text: str) -> str:
    """A text with the paths below the current folder written relative to it."""
    return text.replace(os.getcwd() + os.sep, "")


class QbError(Exception):
    """An error that a user reads. Each kind has an exit code of its own.

    `what` happened, `where` (file, line, statement, host), `why`, and what `todo` next.
    All four are masked when they are made, so that no secret travels in an exception.
    """

    exit_code = 3

    def __init__(self, what: str, *, where: str = "", why: str = "", todo: str = "") -> None:
        self.what = mask(what)
        self.where = mask(nearby(where))
        self.why = mask(why)
        self.todo = mask(todo)
        super().__init__(self.what)

    def lines(self) -> list[str]:
        """The error as lines of text, empty parts left out."""
        head = f"{type(self).__name__}: {self.what}"
        found = [head + (f"  [{self.where}]" if self.where else "")]
        found += [
            f"  why: {line}" if i == 0 else f"       {line}"
            for i, line in enumerate(self.why.splitlines())
        ]
        if self.todo:
            found.append(f"  next: {self.todo}")
        return found

    def as_dict(self) -> dict[str, str]:
        """The four parts and the kind, as JSON shows them."""
        return {
            "kind": type(self).__name__,
            "what": self.what,
            "where": self.where,
            "why": self.why,
            "next": self.todo,
        }

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def _render_traceback_(self) -> list[str]:
        """Show the four parts instead of a traceback (IPython calls this)."""
        return self.lines()


class InputError(QbError):
    """The input is wrong: an option, a file, a name, a piece of SQL."""

    exit_code = 2


class ServerError(QbError):
    """PostgreSQL or Temporal cannot be reached, or refused what was asked of it."""

    exit_code = 3


class StatementError(ServerError):
    """A statement of a migration failed on the server."""

    def __init__(
        self, what: str, *, sqlstate: str = "", where: str = "", why: str = "", todo: str = ""
    ) -> None:
        super().__init__(what, where=where, why=why, todo=todo)
        self.sqlstate = sqlstate


class RefusedError(QbError):
    """A guard said no: production without its alias, a read-only room, an edited migration."""

    exit_code = 4


class InterruptedRun(QbError):
    """The user stopped it; what was recorded is said."""

    exit_code = 130
