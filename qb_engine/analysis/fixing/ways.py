"""the way back of each part, by the inverses of its steps, made while they run on a shadow"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import psycopg

from qb_engine import operations
from qb_engine.analysis.fixing.ground import STATEMENT_S
from qb_engine.database.connect import lost, server_error
from qb_engine.drafting.derive import WayBack
from qb_engine.operations import Inverse, Irreversible, Operation
from qb_engine.operations.safely import Fill, Step, place
from qb_engine.schema import Snapshot, snapshot
from qb_engine.sql import SqlError, ident, qualified, read_one

if TYPE_CHECKING:
    from qb_engine.analysis.fixing.compose import Composed, Piece
    from qb_engine.database.connect import Connection
    from qb_engine.shadow import Shadow


class Refused(Exception):
    """A step that does not run on the shadow; its message says which, and why."""


def ways_back(shadow: Shadow, composed: Composed) -> tuple[WayBack, ...]:
    """The way back of each piece. Raise Refused when a step does not run on the shadow."""
    conn = shadow.connect()
    try:
        conn.execute(f"SET statement_timeout = '{STATEMENT_S}s'".encode())
        start = snapshot(conn)
        found: list[WayBack] = []
        fill = composed.fill
        for piece in composed.pieces:
            if piece.kind == "post" and fill is not None:
                _run(conn, _update(fill))
                fill = None
            found.append(_way(conn, piece))
        if composed.fill is not None and found and (why := _lost(composed.fill, composed, start)):
            found[0] = WayBack(irreversible=why)
        return tuple(found)
    finally:
        conn.close()


def _update(fill: Fill) -> str:
    """A backfill as one UPDATE; what only the user knows is NULL in it."""
    values = ", ".join(f"{ident(column)} = ({sql or 'NULL'})" for column, sql in fill.set.items())
    where = f" WHERE {fill.where}" if fill.where else ""
    return f"UPDATE {qualified(fill.schema, fill.table)} SET {values}{where}"


def _way(conn: Connection, piece: Piece) -> WayBack:
    down: list[str] = []
    loses: list[str] = []
    trouble = ""
    for step in piece.steps:
        if step.irreversible:
            back, gone, why = [], "", f"because {step.irreversible}"
        elif step.down is not None:
            back, gone, why = list(step.down), "", ""
        else:
            back, gone, why = _inverse(conn, step)
        trouble = trouble or why
        down = [*back, *down]
        loses += [gone] if gone else []
        _run(conn, step.sql)
    if trouble:
        return WayBack(irreversible=trouble)
    return WayBack(tuple(down), tuple(dict.fromkeys(loses)))


def _inverse(conn: Connection, step: Step) -> tuple[list[str], str, str]:
    """What undoes a step, what that loses, and why there is no way back; read before it runs."""
    before: Snapshot = snapshot(conn)
    if isinstance(step.run, Operation):
        commands: Iterable[Operation] = (step.run,)
    else:
        commands = operations.read(read_one(step.sql))
    back: list[str] = []
    loses: list[str] = []
    for operation in commands:
        try:
            found = operation.inverse(before)
        except SqlError as error:
            return [], "", f"because its way back cannot be written: {error.what}"
        if isinstance(found, Irreversible):
            return [], "", f"because {found.reason}"
        assert isinstance(found, Inverse)
        back = [*(s.write() if isinstance(s, Operation) else s for s in found.steps), *back]
        loses += [found.loses] if found.loses else []
    return back, "; ".join(loses), ""


def _lost(fill: Fill, composed: Composed, start: Snapshot) -> str:
    """Why a backfill cannot be taken back; empty when what it writes goes with its columns."""
    table = start.tables.get(place(fill.schema, fill.table))
    old = [column for column in fill.set if table is not None and column in table.columns]
    if not old:
        return ""
    return f"because the backfill overwrites {', '.join(old)}, and the old values are not kept"


def _run(conn: Connection, sql: str) -> None:
    try:
        conn.execute(sql.encode())
    except psycopg.Error as error:
        if lost(error):
            raise server_error("trying the safe steps", error) from error
        message = error.diag.message_primary or str(error)
        raise Refused(f"{' '.join(sql.split())}: {message}") from None


def fallback(ways: Sequence[WayBack], own: Sequence[str]) -> tuple[WayBack, ...]:
    """The user's own way back, run where the first part's is; the other parts have none."""
    return (WayBack(tuple(own)), *(WayBack() for _ in ways[1:]))
