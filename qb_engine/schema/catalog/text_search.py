"""text search configurations, dictionaries, parsers and templates"""

from __future__ import annotations

from qb_engine.schema.catalog.collector import own
from qb_engine.schema.catalog.rare import NO_ACL, Rare

CONFIGURATIONS = f"""
SELECT c.oid, c.cfgnamespace, c.cfgname::text, '', pg_catalog.pg_get_userbyid(c.cfgowner)::text,
       pg_catalog.jsonb_build_object(
           'parser', n.nspname::text || '.' || p.prsname::text,
           'mappings', ARRAY(
               SELECT k.alias || ': ' || pg_catalog.string_agg(
                          m.mapdict::pg_catalog.regdictionary::text, ', ' ORDER BY m.mapseqno)
               FROM pg_catalog.pg_ts_config_map m
               JOIN pg_catalog.ts_token_type(p.oid) k ON k.tokid = m.maptokentype
               WHERE m.mapcfg = c.oid GROUP BY k.alias)), {NO_ACL}
FROM pg_catalog.pg_ts_config c
JOIN pg_catalog.pg_ts_parser p ON p.oid = c.cfgparser
JOIN pg_catalog.pg_namespace n ON n.oid = p.prsnamespace
WHERE {own("pg_ts_config", "c.oid")}
"""

DICTIONARIES = f"""
SELECT d.oid, d.dictnamespace, d.dictname::text, '',
       pg_catalog.pg_get_userbyid(d.dictowner)::text,
       pg_catalog.jsonb_build_object(
           'template', n.nspname::text || '.' || t.tmplname::text, 'options', d.dictinitoption),
       {NO_ACL}
FROM pg_catalog.pg_ts_dict d
JOIN pg_catalog.pg_ts_template t ON t.oid = d.dicttemplate
JOIN pg_catalog.pg_namespace n ON n.oid = t.tmplnamespace
WHERE {own("pg_ts_dict", "d.oid")}
"""

PARSERS = f"""
SELECT p.oid, p.prsnamespace, p.prsname::text, '', NULL::text, pg_catalog.jsonb_build_object(
           'start', p.prsstart::text, 'token', p.prstoken::text, 'end', p.prsend::text,
           'headline', p.prsheadline::text, 'types', p.prslextype::text), {NO_ACL}
FROM pg_catalog.pg_ts_parser p WHERE {own("pg_ts_parser", "p.oid")}
"""

TEMPLATES = f"""
SELECT t.oid, t.tmplnamespace, t.tmplname::text, '', NULL::text, pg_catalog.jsonb_build_object(
           'init', t.tmplinit::text, 'lexize', t.tmpllexize::text), {NO_ACL}
FROM pg_catalog.pg_ts_template t WHERE {own("pg_ts_template", "t.oid")}
"""

KINDS = (
    Rare("text search configuration", 3602, "pg_ts_config", CONFIGURATIONS),
    Rare("text search dictionary", 3600, "pg_ts_dict", DICTIONARIES),
    Rare("text search parser", 3601, "pg_ts_parser", PARSERS),
    Rare("text search template", 3764, "pg_ts_template", TEMPLATES),
)
