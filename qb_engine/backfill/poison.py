"""finding the row that a batch fails on: by halves, each tried and rolled back"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import psycopg

from qb_engine.backfill import statements
from qb_engine.backfill.batch import Held, Limits
from qb_engine.backfill.spec import Spec
from qb_engine.backfill.statements import Key

# Bad values, broken constraints, and what a trigger or function raises: errors that a row causes.
CLASSES = ("22", "23", "P0", "21")

Connection = psycopg.Connection[Any]


def find(
    conn: Connection, spec: Spec, held: Held, size: int, limits: Limits, error: psycopg.Error
) -> str:
    """Which row made a batch of `size` keys fail, as text; empty when it cannot be told.

    Writes no more rows than the batch did, and none of them stays.
    """
    if not (error.sqlstate or "").startswith(CLASSES):
        return ""
    try:
        lo, hi = held.after, _edge(conn, spec, held.after, held.hi, size) or held.hi
        while (left := _count(conn, spec, lo, hi)) > 1:
            middle = _edge(conn, spec, lo, hi, left // 2)
            if middle is None:
                return ""
            if _fails(conn, spec, replace(held, cursor=lo), middle, limits):
                hi = middle
            else:
                lo = middle
        row = _edge(conn, spec, lo, hi, 1)
    except psycopg.Error:  # what is looked for is an extra; the error itself is told anyway
        return ""
    if row is None:
        return ""
    named = ", ".join(f"{column.name} = {value}" for column, value in zip(spec.key, row))
    return f"row {named} of {spec.schema}.{spec.table}"


def _fails(conn: Connection, spec: Spec, held: Held, hi: Key, limits: Limits) -> bool:
    try:
        with conn.transaction(force_rollback=True):
            conn.execute(
                "SELECT set_config('lock_timeout', %s, true),"
                " set_config('statement_timeout', %s, true)",
                [str(limits.lock_ms), str(limits.statement_ms)],
            )
            conn.execute(statements.write(spec, held.after, hi, late=held.sweep))
    except psycopg.Error as error:
        if not (error.sqlstate or "").startswith(CLASSES):
            raise
        return True
    return False


def _edge(conn: Connection, spec: Spec, lo: Key, hi: Key, size: int) -> Key:
    found = conn.execute(statements.boundary(spec, lo, hi, size)).fetchone()
    return found[0] if found else None


def _count(conn: Connection, spec: Spec, lo: Key, hi: Key) -> int:
    count: int = conn.execute(statements.count(spec, lo, hi)).fetchall()[0][0]
    return count
