"""`qb backfill resume`: go on with a paused one"""

from __future__ import annotations

from qb_engine.commands import Session, qb_command
from qb_engine.commands.backfill.found import CONFIRM, NAME, told
from qb_engine.report import Report


@qb_command("resume", short_help="Go on with a paused one.")
@NAME
@CONFIRM
def part(session: Session, name: str | None, confirm: str) -> Report:
    """Go on with the paused backfill of NAME."""
    from qb_engine import backfill

    session.guard_production("resume the backfill", confirm)
    return told(session, name, backfill.resume)
