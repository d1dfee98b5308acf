"""Will it fail? What statements require of the rows that are there, and rows that break it.

Each file knows one kind of requirement: its `read(conn, changes, statement)` gives claims, in the
words of the server on which the statement has just run. `findings` asks the target for witnesses.
"""

from __future__ import annotations

import pkgutil
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING

import psycopg

from qb_engine.analysis.witnesses.asking import Answer, answer
from qb_engine.analysis.witnesses.claim import Claim
from qb_engine.analysis.witnesses.judging import findings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from qb_engine.analysis.changes import Changes
    from qb_engine.database.connect import Connection
    from qb_engine.sql import Statement

    Read = Callable[[Connection, Changes, Statement], Iterable[Claim]]

__all__ = ["Answer", "Claim", "answer", "claims", "findings"]


@lru_cache(maxsize=1)
def readers() -> tuple[Read, ...]:
    """The function of every kind of claim."""
    modules = (import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__))
    return tuple(module.read for module in modules if hasattr(module, "read"))


def claims(conn: Connection, changes: Changes, statement: Statement) -> tuple[Claim, ...]:
    """What a statement that has just run on `conn` requires of the rows of existing tables.

    It is asked within a savepoint, with an empty search path: every name is then written whole.
    """
    if not touches_rows(changes):
        return ()
    try:
        with conn.transaction(force_rollback=True):
            conn.execute("SET LOCAL search_path = ''")
            found = [claim for read in readers() for claim in read(conn, changes, statement)]
    except psycopg.Error:  # what the server cannot write out cannot be asked; the rest goes on
        return ()
    return tuple(claim for claim in found if claim.relation not in changes.new)


def touches_rows(changes: Changes) -> bool:
    """True when rows that are there may be in the way of such changes."""
    return bool(
        changes.set_not_null
        or any(column.not_null for column in changes.added_columns)
        or any(constraint.valid for constraint in changes.added_constraints)
        or changes.validated
        or any(index.unique or index.exclusion for index in changes.added_indexes)
        or changes.retyped_columns
        or changes.attached
        or changes.created
    )
