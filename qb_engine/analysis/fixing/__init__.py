"""From an unsafe migration to a safe one: looked at, composed of safe steps, written, proved.

`fix` gives a Fixed: the files of a folder migration, and the Proof that they end where the original
does, without its hazards. Nothing is written here; the operations know the steps.
"""

from __future__ import annotations

from qb_engine.analysis.fixing.fix import Fixed, fix
from qb_engine.analysis.fixing.ground import Ground
from qb_engine.analysis.fixing.prove import Proof

__all__ = ["Fixed", "Ground", "Proof", "fix"]
