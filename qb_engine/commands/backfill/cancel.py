"""`qb backfill cancel`: end it after the batches in flight"""

from __future__ import annotations

from qb_engine.commands import Session, qb_command
from qb_engine.commands.backfill.found import NAME, told
from qb_engine.report import Report


@qb_command("cancel", short_help="End it after the batches in flight.")
@NAME
def part(session: Session, name: str | None) -> Report:
    """End the backfill of NAME after the batches in flight. Written rows stay as they are."""
    from qb_engine import backfill

    return told(session, name, backfill.cancel)
