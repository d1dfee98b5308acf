"""what a migration would do: its constraints, the plan seen on a shadow, the dry run"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qb_engine.doors import opened

if TYPE_CHECKING:
    from qb_engine.analysis.dryrun import DryRun, dry_run
    from qb_engine.analysis.plan import PlannedMigration, plan
    from qb_engine.analysis.verify import Verified, verify
else:
    opened(
        __name__,
        {
            "dryrun": "DryRun dry_run",
            "plan": "PlannedMigration plan",
            "verify": "Verified verify",
        },
    )

__all__ = ["DryRun", "PlannedMigration", "Verified", "dry_run", "plan", "verify"]
