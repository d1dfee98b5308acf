"""a line of a text with a caret below a place in it"""

from __future__ import annotations

import unicodedata

from qb_engine.secrets import mask

WIDTH = 96  # columns of a line that are shown; a longer one is cut around the place
BEFORE = 64  # columns of a cut line before the place


def marked(head: str, text: str, at: int) -> list[str]:
    """The line of a text around a place, after a heading, with a caret below the place.

    Secrets are masked in the whole text: a line of its own may not look like one.
    """
    whole, before = mask(text), mask(text[:at])
    if not whole.startswith(before):  # the place is in what was masked
        before = whole[: next((i for i, (a, b) in enumerate(zip(whole, before)) if a != b), 0)]
    start = before.rfind("\n") + 1
    line = _visible(whole[start:].split("\n", 1)[0].rstrip("\r"))
    shown, left = _cut(line, len(_visible(before[start:])))
    return [head + shown, " " * (_columns(head) + left) + "^"]


def _visible(line: str) -> str:
    """A line whose characters take the columns that `_columns` counts: no tabs, no controls."""
    line = line.replace("\t", "    ")
    return "".join(" " if unicodedata.category(c) == "Cc" else c for c in line)


def _cut(line: str, at: int) -> tuple[str, int]:
    """The part of a line around a character, and in which column of it the character stands."""
    if _columns(line) <= WIDTH:
        return line, _columns(line[:at])
    begin, room = at, BEFORE
    while begin and room >= _columns(line[begin - 1]):
        begin -= 1
        room -= _columns(line[begin])
    end, room = at, WIDTH - _columns(line[begin:at])
    while end < len(line) and room >= _columns(line[end]):
        room -= _columns(line[end])
        end += 1
    left = "..." if begin else ""
    right = "..." if end < len(line) else ""
    return left + line[begin:end] + right, len(left) + _columns(line[begin:at])


def _columns(text: str) -> int:
    """How many columns a terminal needs for a text."""
    return sum(
        0
        if unicodedata.category(c) in ("Mn", "Me", "Cf")
        else 2
        if unicodedata.east_asian_width(c) in ("W", "F")
        else 1
        for c in text
    )
