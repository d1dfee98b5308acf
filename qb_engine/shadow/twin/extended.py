"""extended statistics: given where their stored form can be carried over, else named as missing

The counts of distinct combinations and the dependencies are read from pg_stats_ext in the form
that the server stores; a cast of the twin's own takes them back. Lists of common combinations
and statistics of expressions have no such form in any view.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qb_engine.shadow.twin.gap import Gap

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection

READ = """
SELECT e.schema, e.name, e.inherited, e.ndistinct, e.dependencies, e.most_common, e.expressions,
       s.oid, s.stxkeys::smallint[]
  FROM qb.twin_extended e
  LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = e.schema
  LEFT JOIN pg_catalog.pg_statistic_ext s ON s.stxnamespace = n.oid AND s.stxname = e.name
 ORDER BY 1, 2, 3
"""


def give(base: Connection) -> list[Gap]:
    """Name what extended statistics the twin lacks."""
    gaps = []
    for schema, name, _, ndistinct, dependencies, common, expressions, *_ in base.execute(
        READ
    ).fetchall():
        lacking = [
            text
            for there, text in (
                (ndistinct, "distinct combinations"),
                (dependencies, "dependencies"),
                (common, "common combinations"),
                (expressions, "statistics of expressions"),
            )
            if there
        ]
        if lacking:
            gaps.append(
                Gap(
                    f"{schema}.{name}",
                    f"{' and '.join(lacking)}: this server has no function that restores them",
                )
            )
    return gaps
