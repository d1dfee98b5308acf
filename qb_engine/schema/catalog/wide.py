"""what a whole database has: collations, conversions, languages, publications, event triggers"""

from __future__ import annotations

from collections.abc import Sequence

from qb_engine.schema.catalog.collector import Collector, Row, own
from qb_engine.schema.catalog.grants import read_acl
from qb_engine.schema.catalog.rare import NO_ACL, Rare
from qb_engine.schema.ids import ObjectId

# The columns for a locale have changed their names with 16 and 17; as JSON they have none to miss.
COLLATIONS = f"""
SELECT c.oid, c.collnamespace, c.collname::text, '',
       pg_catalog.pg_get_userbyid(c.collowner)::text,
       pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object(
           'provider', c.collprovider::text, 'deterministic', c.collisdeterministic,
           'collate', c.collcollate, 'ctype', c.collctype,
           'locale', coalesce(pg_catalog.to_jsonb(c) ->> 'colllocale',
                              pg_catalog.to_jsonb(c) ->> 'colliculocale'),
           'rules', pg_catalog.to_jsonb(c) ->> 'collicurules')), {NO_ACL}
FROM pg_catalog.pg_collation c WHERE {own("pg_collation", "c.oid")}
"""

CONVERSIONS = f"""
SELECT c.oid, c.connamespace, c.conname::text, '', pg_catalog.pg_get_userbyid(c.conowner)::text,
       pg_catalog.jsonb_build_object(
           'from', pg_catalog.pg_encoding_to_char(c.conforencoding)::text,
           'to', pg_catalog.pg_encoding_to_char(c.contoencoding)::text,
           'function', c.conproc::text, 'default', c.condefault), {NO_ACL}
FROM pg_catalog.pg_conversion c WHERE {own("pg_conversion", "c.oid")}
"""

LANGUAGES = f"""
SELECT l.oid, 0::oid, l.lanname::text, '', pg_catalog.pg_get_userbyid(l.lanowner)::text,
       pg_catalog.jsonb_build_object(
           'trusted', l.lanpltrusted,
           'handler', l.lanplcallfoid::pg_catalog.regprocedure::text,
           'inline', l.laninline::pg_catalog.regprocedure::text,
           'validator', l.lanvalidator::pg_catalog.regprocedure::text),
       l.lanacl::text[], pg_catalog.acldefault('l', l.lanowner)::text[]
FROM pg_catalog.pg_language l WHERE {own("pg_language", "l.oid")}
"""

EVENT_TRIGGERS = f"""
SELECT e.oid, 0::oid, e.evtname::text, '', pg_catalog.pg_get_userbyid(e.evtowner)::text,
       pg_catalog.jsonb_build_object(
           'event', e.evtevent::text, 'function', e.evtfoid::pg_catalog.regprocedure::text,
           'enabled', e.evtenabled::text, 'tags', e.evttags::text[]), {NO_ACL}
FROM pg_catalog.pg_event_trigger e WHERE {own("pg_event_trigger", "e.oid")}
"""

# What a publication publishes is in columns that every version adds to.
PUBLICATIONS = f"""
SELECT p.oid, 0::oid, p.pubname::text, '', pg_catalog.pg_get_userbyid(p.pubowner)::text,
       (pg_catalog.to_jsonb(p) - '{{oid,pubname,pubowner}}'::text[])
       || pg_catalog.jsonb_build_object(
           'tables', ARRAY(
               SELECT n.nspname::text || '.' || c.relname::text || coalesce(' (' || (
                          SELECT pg_catalog.string_agg(a.attname::text, ', ' ORDER BY a.attnum)
                          FROM pg_catalog.pg_attribute a
                          WHERE a.attrelid = c.oid AND a.attnum = ANY (r.prattrs)) || ')', '')
                      || coalesce(' WHERE ' || pg_catalog.pg_get_expr(r.prqual, r.prrelid), '')
               FROM pg_catalog.pg_publication_rel r
               JOIN pg_catalog.pg_class c ON c.oid = r.prrelid
               JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
               WHERE r.prpubid = p.oid),
           'schemas', ARRAY(
               SELECT n.nspname::text FROM pg_catalog.pg_publication_namespace r
               JOIN pg_catalog.pg_namespace n ON n.oid = r.pnnspid
               WHERE r.pnpubid = p.oid)), {NO_ACL}
FROM pg_catalog.pg_publication p WHERE {own("pg_publication", "p.oid")}
"""

STATISTICS = f"""
SELECT s.oid, s.stxnamespace, s.stxname::text, '', pg_catalog.pg_get_userbyid(s.stxowner)::text,
       pg_catalog.jsonb_build_object(
           'definition', pg_catalog.pg_get_statisticsobjdef(s.oid),
           'target', nullif(s.stxstattarget, -1)), {NO_ACL}
FROM pg_catalog.pg_statistic_ext s WHERE {own("pg_statistic_ext", "s.oid")}
"""

DEFAULT_PRIVILEGES = f"""
SELECT d.oid, d.defaclnamespace, pg_catalog.pg_get_userbyid(d.defaclrole)::text,
       CASE d.defaclobjtype WHEN 'r' THEN 'tables' WHEN 'S' THEN 'sequences'
            WHEN 'f' THEN 'functions' WHEN 'T' THEN 'types' WHEN 'n' THEN 'schemas'
            WHEN 'L' THEN 'large objects' ELSE d.defaclobjtype::text END,
       NULL::text, '{{}}'::jsonb, d.defaclacl::text[], NULL::text[]
FROM pg_catalog.pg_default_acl d WHERE {own("pg_default_acl", "d.oid")}
"""


class DefaultPrivileges(Rare):
    """Their access privileges are the fact itself, not a grant on it."""

    def read(self, rows: Sequence[Row], into: Collector) -> None:
        for oid, schema_oid, role, what, _, _, acl, _ in rows:
            schema = into.schemas.get(schema_oid) if schema_oid else ""
            if schema is not None:
                id = ObjectId(self.kind, schema, role, what)
                into.add(id, {"privileges": read_acl(acl, role)}, of=self.of, oid=oid)


KINDS = (
    Rare("collation", 3456, "pg_collation", COLLATIONS),
    Rare("conversion", 2607, "pg_conversion", CONVERSIONS),
    Rare("language", 2612, "pg_language", LANGUAGES),
    Rare("event trigger", 3466, "pg_event_trigger", EVENT_TRIGGERS),
    Rare("publication", 6104, "pg_publication", PUBLICATIONS),
    Rare("statistics", 3381, "pg_statistic_ext", STATISTICS),
    DefaultPrivileges("default privilege", 826, "pg_default_acl", DEFAULT_PRIVILEGES),
)
