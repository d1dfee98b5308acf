"""who owns what on a target, and the same on a shadow"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from qb_engine.sql import ident

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection

BATCH = 100  # objects that change hands in one transaction

# what belongs to somebody by itself: not what follows a table, nor what an extension brought
_OWNED = """
WITH apart AS (
    SELECT oid FROM pg_catalog.pg_namespace
     WHERE nspname NOT IN ('pg_catalog', 'information_schema', 'qb')
       AND NOT pg_catalog.starts_with(nspname, 'pg_toast')
       AND NOT pg_catalog.starts_with(nspname, 'pg_temp')
), owned(class, id, owner) AS (
    SELECT 'pg_catalog.pg_class'::regclass, c.oid, c.relowner FROM pg_catalog.pg_class c
     WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relnamespace IN (SELECT oid FROM apart)
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                        WHERE c.relkind = 'S' AND d.classid = 'pg_catalog.pg_class'::regclass
                          AND d.objid = c.oid AND d.deptype IN ('a', 'i'))
     UNION ALL
    SELECT 'pg_catalog.pg_proc'::regclass, p.oid, p.proowner FROM pg_catalog.pg_proc p
     WHERE p.pronamespace IN (SELECT oid FROM apart)
     UNION ALL
    SELECT 'pg_catalog.pg_type'::regclass, t.oid, t.typowner FROM pg_catalog.pg_type t
      LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid
     WHERE t.typnamespace IN (SELECT oid FROM apart) AND t.typtype IN ('b', 'c', 'd', 'e', 'r')
       AND (c.oid IS NULL OR c.relkind = 'c')
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_type e WHERE e.typarray = t.oid)
     UNION ALL
    SELECT 'pg_catalog.pg_namespace'::regclass, n.oid, n.nspowner FROM pg_catalog.pg_namespace n
     WHERE n.oid IN (SELECT oid FROM apart) AND n.nspname <> 'public'
), theirs AS (
    SELECT o.class, o.id, pg_catalog.pg_get_userbyid(o.owner)::text AS owner FROM owned o
     WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                        WHERE d.classid = o.class AND d.objid = o.id AND d.deptype = 'e')
)
"""
COUNTED = f"{_OWNED} SELECT owner, count(*) FROM theirs GROUP BY 1 ORDER BY 2 DESC, 1"
THEIRS = f"""{_OWNED}
SELECT t.owner, i.type, i.identity FROM theirs t,
       LATERAL pg_catalog.pg_identify_object(t.class, t.id, 0) AS i
 WHERE t.owner = ANY (%s) ORDER BY t.class, t.id
"""


def counted(conn: Connection) -> dict[str, int]:
    """How many objects each role owns, the most first."""
    return dict(conn.execute(COUNTED).fetchall())


def handed(conn: Connection, to: Mapping[str, str]) -> Iterator[str]:
    """Scripts that give what some roles own to others, in parts for one transaction each."""
    if not to:
        return
    rows = conn.execute(THEIRS, [list(to)]).fetchall()
    for start in range(0, len(rows), BATCH):
        yield "; ".join(
            f"ALTER {kind.removeprefix('composite ')} {identity} OWNER TO {ident(to[owner])}"
            for owner, kind, identity in rows[start : start + BATCH]
        )
