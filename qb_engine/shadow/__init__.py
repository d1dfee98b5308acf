"""throw-away databases with the target's schema: made once per schema, cloned per use"""

from __future__ import annotations

from qb_engine.shadow.dump import Dump, dump
from qb_engine.shadow.shadow import Scratch, Shadow, from_sql, like, scratch

__all__ = ["Dump", "Scratch", "Shadow", "dump", "from_sql", "like", "scratch"]
