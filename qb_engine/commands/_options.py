"""kinds of options that several commands take"""

from __future__ import annotations

from math import isfinite
from typing import Any

import click

from qb_engine.errors import InputError


class Duration(click.ParamType):  # type: ignore[type-arg]  # generic only in newer versions
    """A length of time such as `500ms`, `30s` or `5min`, in seconds; 0 is none."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Seconds as a number."""
        from qb_engine.project import seconds

        try:
            found = seconds(value)
        except InputError as error:
            self.fail(f"{error.what}; {error.todo}", param, ctx)
        if not isfinite(found) or found < 0:
            self.fail(f"{value!r} is not a length of time; write it as 500ms, 2s or 5min")
        return found
