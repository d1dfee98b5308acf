"""extended statistics: given where their stored form can be carried over, else named as missing

pg_stats_ext shows the counts of distinct combinations and the dependencies in the form that the
server stores, columns by their numbers; no function takes that back, but a cast does. Lists of
common combinations and statistics of expressions have no such form in any view.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING

import psycopg

from qb_engine.shadow.twin.gap import Gap

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection

READ = """
SELECT e.schema, e.name, e.inherited, e.ndistinct, e.dependencies, e.most_common, e.expressions,
       e.keys, s.oid, s.stxkeys::smallint[]
  FROM qb.twin_extended e
  LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = e.schema
  LEFT JOIN pg_catalog.pg_statistic_ext s ON s.stxnamespace = n.oid AND s.stxname = e.name
 ORDER BY 1, 2, 3
"""
CASTS = """
CREATE CAST (bytea AS pg_ndistinct) WITHOUT FUNCTION;
CREATE CAST (bytea AS pg_dependencies) WITHOUT FUNCTION
"""
NO_CASTS = "DROP CAST (bytea AS pg_ndistinct); DROP CAST (bytea AS pg_dependencies)"
WRITE = """
INSERT INTO pg_catalog.pg_statistic_ext_data
       (stxoid, stxdinherit, stxdndistinct, stxddependencies)
VALUES (%s, %s, %s::bytea::pg_ndistinct, %s::bytea::pg_dependencies)
"""
# how the two forms begin: what they are, their version, how many entries follow
DISTINCT, DEPENDENCIES, VERSION = 0xA352BFA4, 0xB4549A2C, 1


def give(base: Connection) -> list[Gap]:
    """Give extended statistics what can be given, and name what cannot."""
    rows = base.execute(READ).fetchall()
    gaps: list[Gap] = []
    if not rows:
        return gaps
    with base.transaction():
        base.execute(CASTS)
        for schema, name, inherited, ndistinct, dependencies, common, exprs, keys, oid, own in rows:
            if oid is None:
                gaps.append(Gap(f"{schema}.{name}", "extended statistics: could not be made here"))
                continue
            numbers = dict(zip(keys, own))
            found = [renumbered(each, numbers) for each in (ndistinct, dependencies)]
            lacking = [
                text
                for there, text in (
                    (ndistinct and not found[0], "distinct combinations"),
                    (dependencies and not found[1], "dependencies"),
                    (common, "common combinations"),
                    (exprs, "statistics of expressions"),
                )
                if there
            ]
            if any(found):
                try:
                    with base.transaction():
                        base.execute(WRITE, [oid, inherited, *found])
                except psycopg.Error as error:
                    why = error.diag.message_primary or str(error)
                    gaps.append(Gap(f"{schema}.{name}", f"extended statistics: {why}"))
                    continue
            if lacking:
                why = f"{' and '.join(lacking)}: the catalog has no form that can be restored"
                gaps.append(Gap(f"{schema}.{name}", why))
        base.execute(NO_CASTS)
    return gaps


def renumbered(stored: bytes | None, numbers: Mapping[int, int]) -> bytes | None:
    """The stored form with columns by the twin's numbers; None for what this does not know.

    A server of another byte order begins with other bytes. Expressions have negative numbers,
    which stay.
    """
    if not stored or len(stored) < 12:
        return None
    magic, version, count = struct.unpack_from("=III", stored)
    if version != VERSION or magic not in (DISTINCT, DEPENDENCIES):
        return None
    size = "=di" if magic == DISTINCT else "=dh"
    written, at = bytearray(stored), 12
    for _ in range(count):
        _, columns = struct.unpack_from(size, stored, at)
        at += struct.calcsize(size)
        for _ in range(columns):
            (number,) = struct.unpack_from("=h", stored, at)
            struct.pack_into("=h", written, at, numbers.get(number, number))
            at += 2
    return bytes(written)
