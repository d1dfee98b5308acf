"""how a rule is written, and clear words when it is written another way"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from qb_engine.errors import InputError
from qb_engine.sql import Source


@dataclass(frozen=True, slots=True)
class Form:
    """A rule as it should be written: `example` shows it, `source` is where it stands."""

    kind: str
    example: Any
    source: Source

    def wrong(self, what: str, why: str, todo: str = "") -> InputError:
        """The error for a rule of another form."""
        return InputError(
            f"the rule {self.kind!r}: {what}",
            where=str(self.source),
            why=why,
            todo=todo or f"write it as {self.example!r}",
            code="bad-rule",
        )

    def expected(self, what: str, expected: str, found: Any) -> InputError:
        return self.wrong(f"{what} is {found!r:.80}", f"{expected} is expected")

    def keys(self, value: Any, known: Collection[str], *, needed: Collection[str] = ()) -> Any:
        """A mapping with no key but the known ones, and all that are needed."""
        if not isinstance(value, Mapping):
            raise self.expected("its value", "a mapping", value)
        for key in value:
            if key not in known:
                raise self.unknown(key, known)
        for key in needed:
            if key not in value:
                raise self.wrong(f"{key!r} is missing", f"it needs {', '.join(needed)}")
        return value

    def unknown(self, key: Any, known: Collection[str]) -> InputError:
        near = difflib.get_close_matches(str(key).lower(), known, n=1, cutoff=0.4)
        return self.wrong(
            f"the key {key!r} is unknown",
            f"known keys here: {', '.join(known) or 'none'}",
            f"did you mean {near[0]!r}?" if near else "",
        )

    def text(self, value: Any, what: str) -> str:
        if not isinstance(value, str) or not value.strip() or "\0" in value:
            raise self.expected(what, "a text", value)
        return value

    def number(self, value: Any, what: str) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.expected(what, "a whole number", value)
        return value
