"""reaching PostgreSQL: targets, connections and the embedded servers; nothing else opens one"""

from __future__ import annotations

from qb_engine.database.target import Target, from_url, named, resolve

__all__ = ["Target", "from_url", "named", "resolve"]
