"""`qb backfill status`: how far it is"""

from __future__ import annotations

from qb_engine.commands import Session, qb_command
from qb_engine.commands.backfill.found import NAME, told
from qb_engine.report import Report


@qb_command("status", short_help="Tell how far it is.")
@NAME
def part(session: Session, name: str | None) -> Report:
    """Tell how far the backfill of NAME is: from the ledger, whether Temporal runs or not."""
    from qb_engine import backfill

    return told(session, name, backfill.status)
