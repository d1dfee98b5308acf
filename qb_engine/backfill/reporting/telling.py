"""the words for how far a backfill is: the same in the report, the terminal and the notebook"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qb_engine.backfill.reporting import measure
from qb_engine.report import format_seconds, format_value, stable

if TYPE_CHECKING:
    from qb_engine.backfill.reporting.measure import Hold, Progress


def rows(found: Progress) -> str:
    """`1,200 of 10,000 rows`; `of about` where the total is an estimate."""
    about = "" if found.exact or not found.rows_total else "about "
    return f"{found.rows_done:,} of {about}{found.rows_total:,} rows"


def left(found: Progress) -> str:
    """The range that the end is expected in; empty when nobody knows."""
    if found.eta is None or found.eta_low is None:
        return ""
    if found.eta_high is None:
        return f"{format_seconds(found.eta_low)} left at least"
    low, high = format_seconds(found.eta_low), format_seconds(found.eta_high)
    if low == high or stable():
        return f"{high} left"
    return f"{low} to {high} left"


def pace(found: Progress) -> str:
    """`3,200/s, 12 s to 20 s left`, as far as it is known."""
    parts = [format_value(found.rate, "rate")] if found.rate >= 1 and found.moving else []
    if not any(hold.says == "stop" for hold in found.holds) and (text := left(found)):
        parts.append(text)
    return ", ".join(parts)


def hold(found: Hold) -> str:
    """Why it is held up, for how long now, and what would end it."""
    lasts = format_seconds(found.seconds)
    verb = {"stop": "stopped", "slow": "slowed"}.get(found.says, "held")
    until = f"; goes on when {found.release}" if found.release else ""
    return f"{verb} by {found.signal} for {lasts}: {found.reason}{until}"


def waits(found: Progress) -> list[str]:
    """Everything that it waits for now, the most telling first."""
    said = [hold(each) for each in found.holds]
    if found.note:
        said.append(found.note)
    noted = {each.note: each.number for each in found.segments if each.note}
    known = {each.reason for each in found.holds}
    if found.moving and not found.holds:
        said += [f"segment {number}: {note}" for note, number in noted.items() if note not in known]
    if found.wanted == "pause" and found.state != "paused":
        said.append("it is being paused: the batches in flight end first")
    if found.wanted == "cancel" and not found.ended:
        said.append("it is being cancelled: the batches in flight end first")
    if silent := _silent(found):
        said.append(silent)
    return said


def counts(found: Progress) -> str:
    """Retries, rows set aside, sweeps: what is not nothing."""
    parts = []
    if found.retries:
        parts.append(f"{found.retries:,} batches tried again" if found.retries > 1 else "1 retry")
    if found.quarantined:
        word = "row" if found.quarantined == 1 else "rows"
        parts.append(f"{found.quarantined:,} {word} in quarantine")
    if found.sweeps:
        parts.append(f"sweep {found.sweeps}: {found.swept:,} late rows")
    return ", ".join(parts)


def _silent(found: Progress) -> str:
    """That nothing has happened for long, where nothing says why."""
    waiting = found.state in ("pending", "running") and not found.holds and not found.note
    if not waiting or found.quiet_s < measure.SILENT_S:
        return ""
    lives = ", ".join(each.name for each in found.workers if each.lives)
    who = f"workers: {lives}" if lives else "no worker is heard of: qb worker, or qb backfill start"
    return f"no batch for {format_seconds(found.quiet_s)}; {who}"
