"""rehearsals in the ledger of the target: written down, and asked for before a run on production"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from qb_engine import ledger
from qb_engine.errors import RefusedError
from qb_engine.ledger.decisions import decide

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.database.target import Target
    from qb_engine.migrations import LoadedMigration

REHEARSED = "rehearsed"
WITHOUT = "run without rehearsal"

FOUND = """
SELECT DISTINCT ON (migration) migration, detail FROM qb.event
 WHERE what = %s AND migration = ANY (%s) ORDER BY migration, id DESC
"""


def keep(conn: Connection, target: Target, migration: LoadedMigration, detail: Any) -> None:
    """Write a rehearsal that went well into the target's ledger, with the files' checksums."""
    ledger.ensure(conn, target)
    sums = {"checksum": migration.whole_checksum, "down_checksum": migration.down_checksum}
    decide(conn, REHEARSED, migration.id, None, detail={**sums, **detail})


def unrehearsed(
    conn: Connection, migrations: Iterable[LoadedMigration]
) -> tuple[LoadedMigration, ...]:
    """Those that were never rehearsed for this target as they are now."""
    wanted = tuple(migrations)
    if not ledger.exists(conn):
        return wanted
    rows = conn.execute(FOUND, [REHEARSED, [m.id for m in wanted]]).fetchall()
    known: dict[str, dict[str, Any]] = dict(rows)
    return tuple(
        m
        for m in wanted
        if known.get(m.id, {}).get("checksum") != m.whole_checksum
        or known[m.id].get("down_checksum") != m.down_checksum
    )


def refuse_unrehearsed(
    conn: Connection,
    target: Target,
    migrations: Iterable[LoadedMigration],
    without: str | None = None,
) -> None:
    """Raise RefusedError for what was not rehearsed, on production; a reason is written down."""
    if not target.production:
        return
    left = unrehearsed(conn, migrations)
    if not left:
        return
    if without:
        ledger.ensure(conn, target)
        for migration in left:
            decide(conn, WITHOUT, migration.id, None, reason=without)
        return
    raise RefusedError(
        f"{left[0].id} was not rehearsed"
        + (f", nor were {len(left) - 1} more" if len(left) > 1 else ""),
        where=target.display,
        why="a production target asks for a rehearsal of what runs on it, as it is now",
        todo=f"qb rehearse {left[0].name}, or say why not: --without-rehearsal REASON",
        code="not-rehearsed",
    )
