"""throw-away databases with the target's schema: made once per schema, cloned per use"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qb_engine.doors import opened

if TYPE_CHECKING:
    from qb_engine.shadow.dump import Dump, dump
    from qb_engine.shadow.lacking import Lacking
    from qb_engine.shadow.server import Scratch, scratch
    from qb_engine.shadow.shadow import Shadow, from_file, from_sql, like
else:
    opened(
        __name__,
        {
            "dump": "Dump dump",
            "lacking": "Lacking",
            "server": "Scratch scratch",
            "shadow": "Shadow from_file from_sql like",
        },
    )

__all__ = [
    "Dump",
    "Lacking",
    "Scratch",
    "Shadow",
    "dump",
    "from_file",
    "from_sql",
    "like",
    "scratch",
]
