"""how TypeORM reads a migration's name: `parseInt` of its last 13 characters, and nothing else"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Literal

Reading = Literal[
    "good",
    "no-stamp",  # refused: no number there
    "date",  # refused: eight digits at the end
    "short",  # refused: some other number of digits at the end, fewer than 13
    "in-front",  # refused: 13 digits, but not at the end
    "date-in-front",  # a date before the words: refused, or a few digits of it are taken
    "zeros",  # refused
    "negative",
    "text-after",
    "small",  # a date alone, or filled up with zeros
    "fourteen",
    "long",
    "unusual",  # the stamp is good, the rest is no identifier
]

REFUSED: frozenset[Reading] = frozenset({"no-stamp", "date", "short", "in-front", "zeros"})
EARLIEST_MS = 10**11  # 1973: what is smaller is no time in milliseconds


def stamp_of(name: str) -> int | None:
    """The number that TypeORM orders by; None when it refuses the name."""
    found = re.match(r"\s*([+-]?\d+)", name[-13:])
    return int(found[1]) or None if found else None


def reading(name: str) -> Reading:
    """What is right or wrong with a name."""
    stamp = stamp_of(name)
    trailing = len(name) - len(name.rstrip("0123456789"))
    if re.match(r"\d{8}[_-]", name):
        return "date-in-front"
    if re.search(r"\d{13}", name) and not trailing:
        return "in-front" if stamp is None else "text-after"
    if stamp is None:
        if trailing >= 13:
            return "zeros"
        return "no-stamp" if not trailing else "date" if trailing == 8 else "short"
    if stamp < 0:
        return "negative"
    if not trailing:
        return "text-after"
    if trailing > 13:
        return "fourteen" if trailing == 14 else "long"
    if stamp < EARLIEST_MS:
        return "small"
    return "good" if re.fullmatch(r"[A-Za-z_$][\w$]*", name, re.ASCII) else "unusual"


def better(name: str) -> str:
    """A name with a date or a moment at its end (8 or 14 digits), written as TypeORM reads it."""
    words = name.rstrip("0123456789")
    digits = name[len(words) :].ljust(14, "0")
    try:
        at = datetime.strptime(digits, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return f"{words}1710460800000"
    return f"{words}{int(at.timestamp() * 1000)}"
