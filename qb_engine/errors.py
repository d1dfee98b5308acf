"""what went wrong: what happened, where, why, and what to do next"""

from __future__ import annotations

import os
from typing import ClassVar

from qb_engine.secrets import mask


def nearby(text: str) -> str:
    """A text with the paths below the current folder written relative to it."""
    return text.replace(os.getcwd() + os.sep, "")


class QbError(Exception):
    """An error that a user reads. Each kind has an exit code of its own.

    `what` happened, `where` (file, line, statement, host), `why`, and what `todo` next.
    All four are masked when they are made, so that no secret travels in an exception.
    `code` names the page of the error catalogue that says more: `qb error CODE`.
    """

    exit_code = 3
    default_code: ClassVar[str] = "qb-defect"

    def __init__(
        self, what: str, *, where: str = "", why: str = "", todo: str = "", code: str = ""
    ) -> None:
        self.code = code or self.default_code
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
        found.append(f"  more: qb error {self.code}")
        return found

    def as_dict(self) -> dict[str, str]:
        """The four parts, the kind and the code, as JSON shows them."""
        return {
            "kind": type(self).__name__,
            "code": self.code,
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
    default_code = "bad-input"


class ServerError(QbError):
    """PostgreSQL or Temporal cannot be reached, or refused what was asked of it."""

    exit_code = 3
    default_code = "server-refused"


class StatementError(ServerError):
    """A statement of a migration failed on the server."""

    default_code = "statement-failed"

    def __init__(
        self,
        what: str,
        *,
        sqlstate: str = "",
        where: str = "",
        why: str = "",
        todo: str = "",
        code: str = "",
    ) -> None:
        super().__init__(what, where=where, why=why, todo=todo, code=code)
        self.sqlstate = sqlstate


class RefusedError(QbError):
    """A guard said no: production without its alias, a read-only room, an edited migration."""

    exit_code = 4
    default_code = "refused"


class InterruptedRun(QbError):
    """The user stopped it; what was recorded is said."""

    exit_code = 130
    default_code = "interrupted"
