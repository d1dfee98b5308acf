"""a run on a shadow with sampled rows: up, its backfill, down, and up again, all observed

What runs is the runner itself, on another database; so what was rehearsed is what will run.
"""

from __future__ import annotations

from qb_engine.rehearsal.contents import Loss
from qb_engine.rehearsal.record import keep, refuse_unrehearsed
from qb_engine.rehearsal.rehearse import Rehearsal, Stage, rehearse

__all__ = ["Loss", "Rehearsal", "Stage", "keep", "refuse_unrehearsed", "rehearse"]
