"""`qb backfill status`: how far it is"""

from __future__ import annotations

from qb_engine.commands import Session, qb_command
from qb_engine.commands.backfill.found import NAME, told
from qb_engine.report import Report


@qb_command("status", short_help="Tell how far it is.")
@NAME
def part(session: Session, name: str | None) -> Report:
    """Tell how far the backfill of NAME is: from the ledger, whether Temporal runs or not.

    With --json one object, whose keys stay: migration, table, kind, key_said, state, wanted,
    rows_done, rows_total, rows_total_exact, fraction, rate, eta, eta_low, eta_high, batches,
    batch_size, parallel, options, retries, quarantined, sweeps, segments, holds, waits, workers,
    error, error_code, then_post, post_state, post_error, in_sync, explained, estimated, checked,
    totals, started_at, finished_at, last_batch_at, workflow, ui, notes. Times are ISO 8601,
    lengths of time seconds, rates rows per second; what is not known is null.
    """
    from qb_engine import backfill

    return told(session, name, backfill.status)
