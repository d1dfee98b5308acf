"""the servers that a project carries with it: PostgreSQL and Temporal, in its `.qb/` folder

They are started when first needed, run until they are stopped, and are found again by later
processes. Nothing of them is reachable from another machine, or by another user of this one.
"""

from __future__ import annotations

from qb_engine.database.embedded.postgres import EmbeddedPostgres
from qb_engine.database.embedded.programs import pg_binary
from qb_engine.database.embedded.status import ServerStatus
from qb_engine.database.embedded.temporal import EmbeddedTemporal

__all__ = ["EmbeddedPostgres", "EmbeddedTemporal", "ServerStatus", "pg_binary"]
