"""the hazards of files, looked at on one shadow: each as if alone, or on top of those before it"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qb_engine.analysis.facts import Examined
from qb_engine.analysis.hazards.hazard import Circumstances, Finding
from qb_engine.analysis.kept import Kept, Said, key_of
from qb_engine.analysis.page import Page

if TYPE_CHECKING:
    from qb_engine.analysis.looking import Looker
    from qb_engine.analysis.sheet import Sheet
    from qb_engine.shadow import Shadow
    from qb_engine.sql import SqlError

Figured = Callable[
    [Sequence[Examined], Collection[str]], tuple[Sequence[Examined], Sequence[Finding]]
]
"""Joins steps with what the target says of what they touch, and finds what its rows break."""


@dataclass(frozen=True)
class Ground:
    """The schema that files are looked at on.

    `identity` stands for it and for the server: equal ones are equal schemas. `open` gives a fresh
    copy, dropped at the end. `known` is false where nobody has given one, `claiming` true where a
    target can be asked about its rows.
    """

    identity: str
    open: Callable[[], AbstractContextManager[Shadow]]
    known: bool = True
    claiming: bool = False


@dataclass(frozen=True)
class Linted:
    """A file with what its `statements`, so many, do and what may go wrong.

    `problems` do not parse. `lacking` says what the shadow lacks of the schema, as sentences. What
    was said of the same file before comes without `examined` and `problems`.
    """

    file: str
    examined: tuple[Examined, ...]
    findings: tuple[Finding, ...]
    problems: tuple[SqlError, ...] = ()
    lacking: tuple[str, ...] = ()
    statements: int = 0


def lint(
    files: Sequence[Sheet | Page],
    ground: Ground,
    *,
    circumstances: Circumstances | None = None,
    figured: Figured | None = None,
    kept: Kept | None = None,
) -> Iterator[Linted]:
    """Look at files in their order; those that are wanted are given as they are done.

    All of them share a shadow. Its server is only asked for what was not seen before, and a file
    is only read when nothing was said of it before, or of one that it comes after.
    """
    kept = kept or Kept()
    known = circumstances or Circumstances()
    pages = [each if isinstance(each, Page) else Page.of(each) for each in files]
    keys = _keys(pages, ground, known) if figured is None else [""] * len(pages)
    with ExitStack() as stack:
        looker: Looker | None = None
        for at, page in enumerate(pages):
            if not page.wanted:
                continue
            if (said := kept.said(keys[at])) is not None:
                yield Linted(said.file, (), said.findings, (), said.lacking, said.statements)
                continue
            if looker is None:
                from qb_engine.analysis.looking import Looker

                looker = stack.enter_context(Looker(pages, ground))
            linted = _linted(looker, at, page.sheet, ground, known, figured, kept)
            found = (linted.file, linted.statements, linted.findings, linted.lacking)
            kept.say(keys[at], Said(*found))
            yield linted


def _linted(
    looker: Looker,
    at: int,
    sheet: Sheet,
    ground: Ground,
    known: Circumstances,
    figured: Figured | None,
    kept: Kept,
) -> Linted:
    from qb_engine.analysis.accept import accepted
    from qb_engine.analysis.saying import said_of

    if sheet.broken:
        return Linted(sheet.file, (), accepted(sheet.broken, sheet.texts))
    key = looker.key(at)
    look = kept.get(key)
    if look is None:
        look = looker.look(at)
        kept.put(key, look)
    return said_of(sheet, look, ground, known, figured)


def _keys(pages: Sequence[Page], ground: Ground, known: Circumstances) -> list[str]:
    """All that is said of each page depends on; empty where that cannot be told from outside."""
    grounds = f"{ground.known} {ground.claiming}"
    place = key_of(["said", ground.identity, grounds, repr(known), os.getcwd()])
    found, before, whole = [], "", True
    for page in pages:
        told = bool(page.digest) and (whole or not page.chained)
        on = before if page.chained else "alone"
        found.append(key_of([place, on, page.file, page.digest]) if told else "")
        if page.chained:
            whole = whole and bool(page.digest)
            before = key_of([before, page.digest])
    return found
