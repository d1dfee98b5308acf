"""enums, domains, composite types, ranges and base types"""

from __future__ import annotations

from collections.abc import Sequence

from qb_engine.schema.catalog.collector import (
    COVERED_SCHEMAS,
    FIRST_USER_OID,
    TYPE,
    Collector,
    Group,
    Payload,
    Row,
    member,
    present,
)
from qb_engine.schema.catalog.grants import add_grants
from qb_engine.schema.ids import ObjectId

KIND = {"e": "enum", "d": "domain", "c": "composite", "r": "range", "b": "type", "p": "type"}

# Not listed: the row type of a table, arrays, and multiranges, which come and go with another.
TYPES = f"""
SELECT t.oid, t.typnamespace, t.typname::text, t.typtype::text, t.typrelid,
       pg_catalog.pg_get_userbyid(t.typowner)::text,
       CASE WHEN t.typtype = 'e' THEN ARRAY(
            SELECT e.enumlabel::text FROM pg_catalog.pg_enum e
            WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder) END,
       CASE WHEN t.typtype = 'd' THEN pg_catalog.format_type(t.typbasetype, t.typtypmod) END,
       CASE WHEN t.typnotnull THEN true END,
       CASE WHEN t.typdefaultbin IS NOT NULL THEN pg_catalog.pg_get_expr(t.typdefaultbin, 0)
            ELSE t.typdefault END,
       CASE WHEN t.typcollation <> coalesce(base.typcollation, t.typcollation) THEN (
            SELECT n.nspname::text || '.' || l.collname::text
            FROM pg_catalog.pg_collation l JOIN pg_catalog.pg_namespace n ON n.oid = l.collnamespace
            WHERE l.oid = t.typcollation) END,
       CASE WHEN t.typtype = 'r' THEN (
            SELECT pg_catalog.json_strip_nulls(pg_catalog.json_build_object(
                'subtype', pg_catalog.format_type(r.rngsubtype, NULL),
                'multirange', pg_catalog.format_type(r.rngmultitypid, NULL),
                'collation', (SELECT l.collname::text FROM pg_catalog.pg_collation l
                              WHERE l.oid = r.rngcollation),
                'opclass', (SELECT n.nspname::text || '.' || o.opcname::text
                            FROM pg_catalog.pg_opclass o
                            JOIN pg_catalog.pg_namespace n ON n.oid = o.opcnamespace
                            WHERE o.oid = r.rngsubopc),
                'canonical', nullif(r.rngcanonical::text, '-'),
                'subtype_diff', nullif(r.rngsubdiff::text, '-')))
            FROM pg_catalog.pg_range r WHERE r.rngtypid = t.oid)
            WHEN t.typtype IN ('b', 'p') AND t.typisdefined THEN pg_catalog.json_build_object(
                'input', t.typinput::text, 'output', t.typoutput::text,
                'receive', t.typreceive::text, 'send', t.typsend::text,
                'modifier_input', t.typmodin::text, 'modifier_output', t.typmodout::text,
                'analyze', t.typanalyze::text, 'length', t.typlen, 'by_value', t.typbyval,
                'category', t.typcategory::text, 'preferred', t.typispreferred,
                'delimiter', t.typdelim::text, 'alignment', t.typalign::text,
                'storage', t.typstorage::text)
            END,
       t.typacl::text[],
       CASE WHEN t.typacl IS NOT NULL
            THEN pg_catalog.acldefault('T', t.typowner)::text[] END
FROM pg_catalog.pg_type t
LEFT JOIN pg_catalog.pg_type base ON base.oid = t.typbasetype
LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid
WHERE (t.typrelid = 0 OR c.relkind = 'c')
  AND (t.typtype IN ('e', 'd', 'r', 'c') OR (t.typtype IN ('b', 'p') AND t.typcategory <> 'A'))
  AND t.typnamespace IN ({COVERED_SCHEMAS})
  AND t.oid >= {FIRST_USER_OID} AND t.oid NOT IN ({member(TYPE)})
"""


def read_types(rows: Sequence[Row], into: Collector) -> None:
    for row in rows:
        (
            oid, schema_oid, name, typtype, relation, owner, labels, base, required, default,
            collation, details, acl, default_acl,
        ) = row  # fmt: skip
        schema = into.schemas.get(schema_oid)
        if schema is None:
            continue
        id = ObjectId(KIND[typtype], schema, name)
        payload: Payload = {"owner": owner}
        if typtype == "e":
            payload["labels"] = labels
        elif typtype == "d":
            payload |= {"type": base, "nullable": not required}
            payload |= present(default=default, collation=collation)
        elif typtype == "c":
            payload["attributes"] = into.attributes.get(relation, [])
        payload |= details or {}
        into.add(id, payload, of=TYPE, oid=oid)
        add_grants(into, id, owner, acl, default_acl)


GROUPS = (Group(TYPES, read_types),)
