"""what a look at the catalog finds, and how one kind of statement is looked for"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.sql import Statement

Verdict = Literal["finished", "unfinished", "repeatable", "unknown"]
Note = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """Whether a statement finished, in which words the catalog says so, and what it left.

    `unfinished` runs again after `clear` (SQL, each outside a transaction) has removed what was
    half made; `repeatable` may have finished, and runs again all the same; of `unknown` nobody
    can tell.
    """

    verdict: Verdict
    said: str
    clear: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of statement: `before` notes what is there, `now` compares; both only read."""

    matches: Callable[[Statement], bool]
    before: Callable[[Connection, Statement], Note]
    now: Callable[[Connection, Statement, Note], Found]
