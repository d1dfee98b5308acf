"""the planner's settings of the target, set for the twin's database"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qb_engine.shadow.twin.gap import Gap
from qb_engine.sql import ident, literal

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection

# What the planner asks, in every version; enable_* and the like come by their category.
SETTINGS = """
SELECT name, current_setting(name) FROM pg_catalog.pg_settings
 WHERE context IN ('user', 'superuser')
   AND (category LIKE 'Query Tuning%%' OR name = ANY (%s))
 ORDER BY name
"""
OTHERS = [
    *("work_mem", "hash_mem_multiplier", "effective_io_concurrency"),
    *("max_parallel_workers", "max_parallel_workers_per_gather", "parallel_leader_participation"),
    *("default_text_search_config", "timezone", "datestyle", "intervalstyle"),
    *("array_nulls", "xmloption", "standard_conforming_strings", "row_security"),
    *("transform_null_equals", "temp_buffers", "backend_flush_after"),
]
SEARCH_PATH = "SELECT pg_catalog.current_schemas(false)::text[]"
# A tablespace may have costs of its own.
TABLESPACES = """
SELECT spcname::text FROM pg_catalog.pg_tablespace
 WHERE spcoptions IS NOT NULL AND array_to_string(spcoptions, ' ') ~ 'page_cost' ORDER BY 1
"""


def differing(target: Connection, base: Connection) -> tuple[dict[str, str], list[Gap]]:
    """The target's settings that the twin's server has otherwise, as this role has them there."""
    wanted: dict[str, str] = dict(target.execute(SETTINGS, [OTHERS]).fetchall())
    here: dict[str, str] = dict(base.execute(SETTINGS, [OTHERS]).fetchall())
    found = {n: v for n, v in wanted.items() if n in here and here[n] != v}
    row = target.execute(SEARCH_PATH).fetchone()
    path = ", ".join(ident(name) for name in (row[0] if row else ()))
    if path != "public":
        found["search_path"] = path
    gaps = [
        Gap(f"setting {name}", "this server does not know it")
        for name in sorted(wanted.keys() - here.keys())
    ]
    for (name,) in target.execute(TABLESPACES).fetchall():
        gaps.append(Gap(f"tablespace {name}", "its own page costs: the twin has no tablespaces"))
    return found, gaps


def apply(admin: Connection, dbname: str, settings: dict[str, str]) -> list[Gap]:
    """Set them for a database; what the server refuses is a gap."""
    import psycopg

    gaps = []
    for name, value in settings.items():
        # a list of names is given as such, not as one name
        text = value if name == "search_path" else literal(value)
        try:
            admin.execute(f"ALTER DATABASE {ident(dbname)} SET {ident(name)} TO {text}".encode())
        except psycopg.Error as error:
            why = error.diag.message_primary or str(error)
            gaps.append(Gap(f"setting {name}", f"refused here: {why}"))
    return gaps
