"""the twin of a target: its schema, its statistics and its sizes, and not one of its rows"""

from __future__ import annotations

from qb_engine.shadow.twin.after import Settled
from qb_engine.shadow.twin.copies import copied, stretched
from qb_engine.shadow.twin.gap import Gap
from qb_engine.shadow.twin.implied import Assignment, constant, imply
from qb_engine.shadow.twin.twin import Facts, Twin, drop, settled, twin

__all__ = [
    "Assignment",
    "Facts",
    "Gap",
    "Settled",
    "Twin",
    "constant",
    "copied",
    "drop",
    "imply",
    "settled",
    "stretched",
    "twin",
]
