"""From a draft to a migration file: drafts kept by name, the way back derived, the file written.

A draft is what a user wrote in a cell: SQL or Python, in parts (`migration`, `pre`, `post`,
`backfill`). `generate` writes it as a migration with inferred constraints and a derived `down`.
"""

from __future__ import annotations

from qb_engine.drafting.derive import Derived, WayBack, derive
from qb_engine.drafting.generate import generate, next_stamp
from qb_engine.drafting.models import from_models
from qb_engine.drafting.outcome import Generated
from qb_engine.drafting.store import Draft, DraftPart, discard, drafts, get, last, save

__all__ = [
    "Derived",
    "Draft",
    "DraftPart",
    "Generated",
    "WayBack",
    "derive",
    "discard",
    "drafts",
    "from_models",
    "generate",
    "get",
    "last",
    "next_stamp",
    "save",
]
