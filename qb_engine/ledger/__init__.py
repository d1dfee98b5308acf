"""the `qb` schema in the target: what ran here, how each statement went, what the schema became"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qb_engine.doors import opened

if TYPE_CHECKING:
    from qb_engine.ledger.history import (
        PREPARE,
        PartRow,
        Run,
        Standing,
        StepRow,
        begin,
        beginning,
        close_stale,
        fenced_off,
        finish,
        flush,
        history,
        keep,
        keeping,
        kept_steps,
        last_fingerprint,
        parts,
        record_steps,
        reserve,
        resume,
        snapshot_after,
        standing,
        status_of,
        steps,
        way_back,
    )
    from qb_engine.ledger.install import Baseline, baseline, ensure, exists
    from qb_engine.ledger.samples import record_samples, samples
else:
    opened(
        __name__,
        {
            "history": "PREPARE PartRow Run Standing StepRow begin beginning close_stale fenced_off"
            " finish flush history keep keeping kept_steps last_fingerprint parts record_steps"
            " reserve resume snapshot_after standing status_of steps way_back",
            "install": "Baseline baseline ensure exists",
            "samples": "record_samples samples",
        },
    )

__all__ = [
    "PREPARE",
    "Baseline",
    "PartRow",
    "Run",
    "Standing",
    "StepRow",
    "baseline",
    "begin",
    "beginning",
    "close_stale",
    "ensure",
    "exists",
    "fenced_off",
    "finish",
    "flush",
    "history",
    "keep",
    "keeping",
    "kept_steps",
    "last_fingerprint",
    "parts",
    "record_samples",
    "record_steps",
    "reserve",
    "resume",
    "samples",
    "snapshot_after",
    "standing",
    "status_of",
    "steps",
    "way_back",
]
