"""the error catalogue: one page per code, a Markdown file of this folder named after it

A page says what the error means, what state the database is in, what to do, and shows an example.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from importlib.resources import files

from qb_engine.errors import InputError

HEADINGS = ("What it means", "What state the database is in", "What to do", "Example")

_HEADING = re.compile(r"^## (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Page:
    """What is to be known about the errors of one code."""

    code: str
    title: str
    meaning: str
    state: str
    todo: str
    example: str


def codes() -> tuple[str, ...]:
    """Every code that has a page, in alphabetical order."""
    names = (entry.name for entry in files(__package__).iterdir())
    return tuple(sorted(name.removesuffix(".md") for name in names if name.endswith(".md")))


def page(code: str) -> Page:
    """The page of a code. Raise InputError that names what is near when there is none."""
    known = codes()
    if code not in known:
        near = difflib.get_close_matches(code, known, n=3, cutoff=0.4)
        raise InputError(
            f"there is no error code {code!r}",
            why=f"{len(known)} codes have a page",
            todo=f"did you mean {', '.join(near)}?" if near else "see them with: qb error",
            code="bad-option",
        )
    return parsed(code, files(__package__).joinpath(f"{code}.md").read_text("utf-8"))


def parsed(code: str, text: str) -> Page:
    """A page's text as its parts; raise ValueError when one is missing or misplaced."""
    head, *rest = _HEADING.split(text)
    title = head.strip().removeprefix(f"# {code}").strip()
    if not head.startswith(f"# {code}\n") or not title:
        raise ValueError(f"{code}: a page begins with its code, and with what happened")
    if tuple(rest[::2]) != HEADINGS:
        raise ValueError(f"{code}: its headings are {rest[::2]}, not {HEADINGS}")
    meaning, state, todo, example = (body.strip() for body in rest[1::2])
    fenced = re.fullmatch(r"```text\n(.*?)\n```", example, re.DOTALL)
    if fenced is None:
        raise ValueError(f"{code}: its example is not one block of text")
    return Page(code, title, meaning, state, todo, fenced[1])
