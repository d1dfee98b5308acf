"""what no other group claimed: named, so that nothing is left out in silence"""

from __future__ import annotations

from collections.abc import Sequence

from qb_engine.schema.catalog import foreign, operators, text_search, wide
from qb_engine.schema.catalog.collector import FIRST_USER_OID, Collector, Group, Row
from qb_engine.schema.catalog.rare import presence

RARE = operators.KINDS + text_search.KINDS + foreign.KINDS + wide.KINDS
PRESENCE = presence(RARE)

# Catalogs that the groups read, and those whose rows are parts of what they read.
CLAIMED = (
    1247,  # pg_type
    1255,  # pg_proc
    1259,  # pg_class
    2600,  # pg_aggregate
    2602,  # pg_amop
    2603,  # pg_amproc
    2604,  # pg_attrdef
    2606,  # pg_constraint
    2615,  # pg_namespace
    2618,  # pg_rewrite
    2620,  # pg_trigger
    3079,  # pg_extension
    3256,  # pg_policy
    6106,  # pg_publication_rel
    6237,  # pg_publication_namespace
    *(kind.of for kind in RARE),
)

UNCLAIMED = f"""
SELECT what.type || ' ' || what.identity
FROM (SELECT d.classid, d.objid FROM pg_catalog.pg_depend d
      WHERE d.objid >= {FIRST_USER_OID} AND d.classid <> ALL ('{{{",".join(map(str, CLAIMED))}}}')
      UNION
      SELECT 3576, t.oid FROM pg_catalog.pg_transform t WHERE t.oid >= {FIRST_USER_OID}
      UNION
      SELECT 1259, c.oid FROM pg_catalog.pg_class c
      WHERE c.oid >= {FIRST_USER_OID} AND c.relkind NOT IN ('i', 'I', 't')
        AND c.relnamespace::pg_catalog.regnamespace::text IN ('pg_catalog', 'information_schema')
      UNION
      SELECT 1255, p.oid FROM pg_catalog.pg_proc p
      WHERE p.oid >= {FIRST_USER_OID}
        AND p.pronamespace::pg_catalog.regnamespace::text IN ('pg_catalog', 'information_schema')
     ) object (of, oid),
     LATERAL pg_catalog.pg_identify_object(object.of, object.oid, 0) what
WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                  WHERE d.classid = object.of AND d.objid = object.oid AND d.deptype = 'e')
UNION ALL
SELECT 'subscription ' || pg_catalog.quote_ident(s.subname)
FROM pg_catalog.pg_subscription s
WHERE s.subdbid = (SELECT oid FROM pg_catalog.pg_database
                   WHERE datname = pg_catalog.current_database())
UNION ALL
SELECT 'security label of ' || what.type || ' ' || what.identity
FROM pg_catalog.pg_seclabel l,
     LATERAL pg_catalog.pg_identify_object(l.classoid, l.objoid, l.objsubid) what
WHERE l.objoid >= {FIRST_USER_OID}
UNION ALL
SELECT 'setting of database ' || pg_catalog.current_database()
       || CASE WHEN s.setrole = 0 THEN ''
               ELSE ' for role ' || pg_catalog.pg_get_userbyid(s.setrole) END
       || ': ' || pg_catalog.split_part(item, '=', 1)
FROM pg_catalog.pg_db_role_setting s, pg_catalog.unnest(s.setconfig) item
WHERE s.setdatabase = (SELECT oid FROM pg_catalog.pg_database
                       WHERE datname = pg_catalog.current_database())
"""


def read_unclaimed(rows: Sequence[Row], into: Collector) -> None:
    into.unmodelled.extend(text for (text,) in rows)


GROUPS = (Group(UNCLAIMED, read_unclaimed),)
