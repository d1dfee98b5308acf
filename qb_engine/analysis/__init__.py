"""what a migration would do: its constraints, the plan seen on a shadow, the dry run"""

from __future__ import annotations

from qb_engine.analysis.dryrun import DryRun, dry_run
from qb_engine.analysis.plan import PlannedMigration, plan
from qb_engine.analysis.verify import Verified, verify

__all__ = ["DryRun", "PlannedMigration", "Verified", "dry_run", "plan", "verify"]
