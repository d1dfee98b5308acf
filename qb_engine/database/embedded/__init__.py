"""the servers that a project carries with it: PostgreSQL and Temporal, in its `.qb/` folder

They are started when first needed, run until they are stopped, and are found again by later
processes. Nothing of them is reachable from another machine, or by another user of this one.
"""

from __future__ import annotations

import sys

from qb_engine.errors import ServerError

if sys.platform == "win32":
    raise ServerError(
        "the embedded servers do not run on Windows",
        where=sys.platform,
        why="they need unix sockets in private folders, and file locks",
        todo="work in WSL, or name your own PostgreSQL with -c URL and Temporal in qb.toml",
        code="embedded-server",
    )

from qb_engine.database.embedded.postgres import EmbeddedPostgres
from qb_engine.database.embedded.programs import pg_binary
from qb_engine.database.embedded.status import ServerStatus
from qb_engine.database.embedded.temporal import EmbeddedTemporal

__all__ = ["EmbeddedPostgres", "EmbeddedTemporal", "ServerStatus", "pg_binary"]
