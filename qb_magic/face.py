"""the notebook's face: silent while a command works, asks only where the frontend can"""

from __future__ import annotations

from qb_engine.commands import Face
from qb_engine.errors import InputError
from qb_engine.secrets import mask


class NotebookFace(Face):
    """Reports show what happened; nothing is printed on the way, least of all from a thread."""

    keeps_input = True  # cells are saved in files and in the history: no secret may stand in one

    def ask_password(self, prompt: str) -> str | None:
        """A password typed into a field that shows dots.

        Raise InputError when the frontend has no such field.
        """
        import getpass

        from IPython.core.error import StdinNotImplementedError

        try:
            return getpass.getpass(mask(prompt))
        except (StdinNotImplementedError, EOFError):
            raise InputError(
                "the target asks for a password, and nobody can type one here",
                why="this notebook runs without a user (allow_stdin is off)",
                todo="give it through the passfile, a service or PGPASSWORD",
                code="password-needed",
            ) from None

    def ask(self, prompt: str) -> str | None:
        """A line typed by the user; None when the frontend cannot ask."""
        from IPython.core.error import StdinNotImplementedError

        try:
            return input(mask(prompt))
        except (StdinNotImplementedError, EOFError):
            return None
