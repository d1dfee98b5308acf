"""the names that a backfill has in Temporal, the same from every process of a project"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from psycopg.conninfo import conninfo_to_dict

if TYPE_CHECKING:
    from qb_engine.database.target import Target
    from qb_engine.project import Project

# What says which database it is; libpq takes what is missing from the environment.
PLACE = {
    "service": "PGSERVICE",
    "host": "PGHOST",
    "hostaddr": "PGHOSTADDR",
    "port": "PGPORT",
    "dbname": "PGDATABASE",
    "user": "PGUSER",
}


def digest(project: Project, target: Target) -> str:
    """Twelve letters for a project and a target: projects that share a Temporal do not mix."""
    parts = [str(project.root), target.name]
    if not target.embedded:  # its socket may move; the project says which one it is
        given = conninfo_to_dict(target.conninfo)
        parts += [str(given.get(k) or os.environ.get(v, "")) for k, v in PLACE.items()]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def task_queue(project: Project, target: Target) -> str:
    """The queue that the workers of a project and a target poll."""
    return f"{project.config.temporal.task_queue or 'qb'}-{digest(project, target)}"


def workflow_id(project: Project, target: Target, migration: str) -> str:
    """One workflow per backfill: a second start finds the first one's."""
    return f"qb-backfill-{target.name}-{digest(project, target)}-{migration}"
