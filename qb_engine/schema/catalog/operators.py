"""operators, operator classes and families, casts, access methods"""

from __future__ import annotations

from qb_engine.schema.catalog.collector import own
from qb_engine.schema.catalog.rare import NO_ACL, Rare

OPERATORS = f"""
SELECT o.oid, o.oprnamespace, o.oprname::text,
       CASE WHEN o.oprleft = 0 THEN '' ELSE pg_catalog.format_type(o.oprleft, NULL) || ', ' END
           || pg_catalog.format_type(o.oprright, NULL),
       pg_catalog.pg_get_userbyid(o.oprowner)::text,
       pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object(
           'function', nullif(o.oprcode::text, '-'),
           'result', pg_catalog.format_type(o.oprresult, NULL),
           'commutator', nullif(o.oprcom::pg_catalog.regoperator::text, '0'),
           'negator', nullif(o.oprnegate::pg_catalog.regoperator::text, '0'),
           'restrict', nullif(o.oprrest::text, '-'), 'join', nullif(o.oprjoin::text, '-'),
           'merges', o.oprcanmerge, 'hashes', o.oprcanhash)), {NO_ACL}
FROM pg_catalog.pg_operator o WHERE {own("pg_operator", "o.oid")}
"""

CLASSES = f"""
SELECT o.oid, o.opcnamespace, o.opcname::text, am.amname::text,
       pg_catalog.pg_get_userbyid(o.opcowner)::text,
       pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object(
           'type', pg_catalog.format_type(o.opcintype, NULL), 'default', o.opcdefault,
           'family', n.nspname::text || '.' || f.opfname::text,
           'key_type', CASE WHEN o.opckeytype <> 0
                            THEN pg_catalog.format_type(o.opckeytype, NULL) END)), {NO_ACL}
FROM pg_catalog.pg_opclass o
JOIN pg_catalog.pg_am am ON am.oid = o.opcmethod
JOIN pg_catalog.pg_opfamily f ON f.oid = o.opcfamily
JOIN pg_catalog.pg_namespace n ON n.oid = f.opfnamespace
WHERE {own("pg_opclass", "o.oid")}
"""

FAMILIES = f"""
SELECT f.oid, f.opfnamespace, f.opfname::text, am.amname::text,
       pg_catalog.pg_get_userbyid(f.opfowner)::text,
       pg_catalog.jsonb_build_object(
           'operators', ARRAY(
               SELECT o.amopstrategy || ' ' || o.amoppurpose::text || ' '
                      || o.amopopr::pg_catalog.regoperator::text
               FROM pg_catalog.pg_amop o WHERE o.amopfamily = f.oid),
           'functions', ARRAY(
               SELECT p.amprocnum || ' (' || pg_catalog.format_type(p.amproclefttype, NULL) || ', '
                      || pg_catalog.format_type(p.amprocrighttype, NULL) || ') '
                      || p.amproc::pg_catalog.regprocedure::text
               FROM pg_catalog.pg_amproc p WHERE p.amprocfamily = f.oid)), {NO_ACL}
FROM pg_catalog.pg_opfamily f JOIN pg_catalog.pg_am am ON am.oid = f.opfmethod
WHERE {own("pg_opfamily", "f.oid")}
"""

CASTS = f"""
SELECT c.oid, 0::oid, pg_catalog.format_type(c.castsource, NULL) || ' AS '
           || pg_catalog.format_type(c.casttarget, NULL), '', NULL::text,
       pg_catalog.jsonb_build_object(
           'function', CASE WHEN c.castfunc <> 0
                            THEN c.castfunc::pg_catalog.regprocedure::text END,
           'context', c.castcontext::text, 'method', c.castmethod::text), {NO_ACL}
FROM pg_catalog.pg_cast c WHERE {own("pg_cast", "c.oid")}
"""

ACCESS_METHODS = f"""
SELECT a.oid, 0::oid, a.amname::text, '', NULL::text, pg_catalog.jsonb_build_object(
           'handler', a.amhandler::text, 'type', a.amtype::text), {NO_ACL}
FROM pg_catalog.pg_am a WHERE {own("pg_am", "a.oid")}
"""

KINDS = (
    Rare("operator", 2617, "pg_operator", OPERATORS),
    Rare("operator family", 2753, "pg_opfamily", FAMILIES),
    Rare("operator class", 2616, "pg_opclass", CLASSES),
    Rare("cast", 2605, "pg_cast", CASTS),
    Rare("access method", 2601, "pg_am", ACCESS_METHODS),
)
