"""has anything changed? a hash over the row versions of the catalogs, which every DDL moves"""

from __future__ import annotations

from collections.abc import Collection

import psycopg
from psycopg import rows

from qb_engine.schema.catalog.collector import FIRST_USER_OID

# Nobody's schema consists of temporary tables; they and the excluded schemas are left out with
# all that hangs on them, down to the columns of the index of a toast table.
OUTSIDE = """
WITH aside AS MATERIALIZED (
    SELECT n.oid FROM pg_catalog.pg_namespace n
    WHERE n.nspname = ANY (%(excluded)s)
       OR pg_catalog.starts_with(n.nspname::text, 'pg_temp_')
       OR pg_catalog.starts_with(n.nspname::text, 'pg_toast_temp_')
), away AS MATERIALIZED (
    SELECT c.oid, c.reltoastrelid AS toast
    FROM pg_catalog.pg_class c WHERE c.relnamespace IN (SELECT oid FROM aside)
), outside AS MATERIALIZED (
    SELECT away.oid FROM away
    UNION ALL SELECT away.toast FROM away WHERE away.toast <> 0
    UNION ALL SELECT i.indexrelid FROM away JOIN pg_catalog.pg_index i ON i.indrelid = away.toast
)
"""

# catalog, what identifies a row, what it belongs to, a condition
_SCHEMA, _RELATION = "NOT IN (SELECT oid FROM aside)", "NOT IN (SELECT oid FROM outside)"
_EITHER = "NOT IN (SELECT oid FROM outside UNION ALL SELECT oid FROM aside)"
CATALOGS: tuple[tuple[str, tuple[str, ...], str, str], ...] = (
    ("pg_namespace", ("oid",), f"oid {_SCHEMA}", ""),
    ("pg_class", ("oid",), f"relnamespace {_SCHEMA}", "relnamespace <> 99"),
    ("pg_attribute", ("attrelid", "attnum"), f"attrelid {_RELATION}", "attnum > 0"),
    ("pg_attrdef", ("oid",), f"adrelid {_RELATION}", ""),
    ("pg_constraint", ("oid",), f"connamespace {_SCHEMA}", ""),
    ("pg_index", ("indexrelid",), f"indrelid {_RELATION}", ""),
    ("pg_inherits", ("inhrelid", "inhparent"), "", ""),
    ("pg_sequence", ("seqrelid",), f"seqrelid {_RELATION}", ""),
    ("pg_trigger", ("oid",), f"tgrelid {_RELATION}", ""),
    ("pg_rewrite", ("oid",), f"ev_class {_RELATION}", ""),
    ("pg_policy", ("oid",), f"polrelid {_RELATION}", ""),
    ("pg_type", ("oid",), f"typnamespace {_SCHEMA}", ""),
    ("pg_enum", ("oid",), "", ""),
    ("pg_range", ("rngtypid",), "", ""),
    ("pg_proc", ("oid",), f"pronamespace {_SCHEMA}", ""),
    ("pg_aggregate", ("aggfnoid",), "", ""),
    ("pg_operator", ("oid",), f"oprnamespace {_SCHEMA}", ""),
    ("pg_opclass", ("oid",), f"opcnamespace {_SCHEMA}", ""),
    ("pg_opfamily", ("oid",), f"opfnamespace {_SCHEMA}", ""),
    ("pg_amop", ("oid",), "", ""),
    ("pg_amproc", ("oid",), "", ""),
    ("pg_cast", ("oid",), "", ""),
    ("pg_am", ("oid",), "", ""),
    ("pg_language", ("oid",), "", ""),
    ("pg_collation", ("oid",), f"collnamespace {_SCHEMA}", ""),
    ("pg_conversion", ("oid",), f"connamespace {_SCHEMA}", ""),
    ("pg_extension", ("oid",), "", ""),
    ("pg_ts_config", ("oid",), f"cfgnamespace {_SCHEMA}", ""),
    ("pg_ts_config_map", ("mapcfg", "maptokentype", "mapseqno"), "", ""),
    ("pg_ts_dict", ("oid",), f"dictnamespace {_SCHEMA}", ""),
    ("pg_ts_parser", ("oid",), f"prsnamespace {_SCHEMA}", ""),
    ("pg_ts_template", ("oid",), f"tmplnamespace {_SCHEMA}", ""),
    ("pg_statistic_ext", ("oid",), f"stxnamespace {_SCHEMA}", ""),
    ("pg_foreign_data_wrapper", ("oid",), "", ""),
    ("pg_foreign_server", ("oid",), "", ""),
    ("pg_foreign_table", ("ftrelid",), f"ftrelid {_RELATION}", ""),
    ("pg_event_trigger", ("oid",), "", ""),
    ("pg_publication", ("oid",), "", ""),
    ("pg_publication_rel", ("oid",), "", ""),
    ("pg_publication_namespace", ("oid",), "", ""),
    ("pg_transform", ("oid",), "", ""),
    ("pg_default_acl", ("oid",), "", ""),
    ("pg_description", ("objoid", "classoid", "objsubid"), f"objoid {_EITHER}", ""),
    ("pg_seclabel", ("objoid", "classoid", "objsubid"), f"objoid {_EITHER}", ""),
)

# What only pg_depend knows: members of extensions, who owns a sequence, user mappings.
DEPENDENCIES = f"""
SELECT 'pg_depend', pg_catalog.count(*), pg_catalog.bit_xor(
    pg_catalog.hash_record_extended(
        ROW(d.classid, d.objid, d.refclassid, d.refobjid, d.refobjsubid, d.xmin), 0))
FROM (
    SELECT d.classid, d.objid, d.refclassid, d.refobjid, d.refobjsubid, d.xmin
    FROM pg_catalog.pg_depend d WHERE d.refclassid IN (3079, 1417)
    UNION ALL
    SELECT d.classid, d.objid, d.refclassid, d.refobjid, d.refobjsubid, d.xmin
    FROM pg_catalog.pg_sequence s
    JOIN pg_catalog.pg_depend d ON d.classid = 1259 AND d.objid = s.seqrelid AND d.objsubid = 0
    WHERE d.refobjsubid > 0 AND s.seqrelid {_RELATION}
) d"""


def _catalog(name: str, key: tuple[str, ...], belongs: str, condition: str) -> str:
    conditions = " AND ".join(
        part for part in (f"{key[0]} >= {FIRST_USER_OID}", condition, belongs) if part
    )
    if name == "pg_namespace":  # `public` is older than any user, and may be changed or dropped
        conditions = f"(oid >= {FIRST_USER_OID} OR nspname = 'public') AND {belongs}"
    if name == "pg_description":
        conditions = f"(objoid >= {FIRST_USER_OID} OR objoid = 2200) AND {belongs}"
    return f"""
SELECT '{name}', pg_catalog.count(*), pg_catalog.bit_xor(
    pg_catalog.hash_record_extended(ROW({", ".join(key)}, xmin), 0))
FROM pg_catalog.{name} WHERE {conditions}"""


PROBE = f"""{OUTSIDE}
SELECT pg_catalog.md5(pg_catalog.string_agg(pg_catalog.concat_ws(' ', r.*), ',' ORDER BY r.c))
FROM (
    {" UNION ALL ".join(_catalog(*catalog) for catalog in CATALOGS)}
    UNION ALL {DEPENDENCIES}
    UNION ALL
    SELECT 'pg_db_role_setting', pg_catalog.count(*), pg_catalog.bit_xor(
        pg_catalog.hash_record_extended(ROW(s.setdatabase, s.setrole, s.xmin), 0))
    FROM pg_catalog.pg_db_role_setting s
    WHERE s.setdatabase = (SELECT oid FROM pg_catalog.pg_database
                           WHERE datname = pg_catalog.current_database())
) r (c, n, hash)
"""


def probe(conn: psycopg.Connection[object], *, exclude_schemas: Collection[str] = ("qb",)) -> str:
    """Return a hash that every change of the schema moves, and no change of data does.

    It moves for some changes that leave the schema as it was, too: TRUNCATE, REINDEX, VACUUM FULL.
    """
    with psycopg.Cursor(conn, row_factory=rows.tuple_row) as cursor:
        cursor.execute(PROBE, {"excluded": list(exclude_schemas)}, prepare=False)
        row = cursor.fetchone()
    assert row is not None
    return str(row[0])
