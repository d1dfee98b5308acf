"""the `qb` schema in the target: what ran here, how each statement went, what the schema became"""

from __future__ import annotations

from qb_engine.ledger.history import (
    PartRow,
    Run,
    Standing,
    StepRow,
    begin,
    close_stale,
    finish,
    history,
    keep,
    kept_steps,
    last_fingerprint,
    parts,
    record_steps,
    resume,
    snapshot_after,
    standing,
    status_of,
    steps,
    way_back,
)
from qb_engine.ledger.install import Baseline, baseline, ensure, exists
from qb_engine.ledger.samples import record_samples, samples

__all__ = [
    "Baseline",
    "PartRow",
    "Run",
    "Standing",
    "StepRow",
    "baseline",
    "begin",
    "close_stale",
    "ensure",
    "exists",
    "finish",
    "history",
    "keep",
    "kept_steps",
    "last_fingerprint",
    "parts",
    "record_samples",
    "record_steps",
    "resume",
    "samples",
    "snapshot_after",
    "standing",
    "status_of",
    "steps",
    "way_back",
]
