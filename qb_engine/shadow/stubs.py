"""what a target's catalog tells of an extension, as statements that make something like it"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qb_engine.shadow.standing_in import language, nothing, wrapper
from qb_engine.sql import ident, literal, qualified

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.shadow.extensions import Extension

_MEMBERS = """
WITH members AS (
    SELECT d.classid, d.objid FROM pg_catalog.pg_depend d
      JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
     WHERE d.refclassid = 'pg_catalog.pg_extension'::regclass AND d.deptype = 'e'
       AND e.extname = %s
)
"""
TYPES = f"""{_MEMBERS}
SELECT n.nspname::text, t.typname::text, t.typtype::text, t.typmodin <> 0,
       pg_catalog.format_type(t.typbasetype, t.typtypmod),
       ARRAY(SELECT l.enumlabel::text FROM pg_catalog.pg_enum l WHERE l.enumtypid = t.oid
              ORDER BY l.enumsortorder),
       (SELECT pg_catalog.string_agg(pg_catalog.quote_ident(a.attname) || ' '
               || pg_catalog.format_type(a.atttypid, a.atttypmod), ', ' ORDER BY a.attnum)
          FROM pg_catalog.pg_attribute a
         WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped)
  FROM members m JOIN pg_catalog.pg_type t
    ON m.classid = 'pg_catalog.pg_type'::regclass AND m.objid = t.oid
  JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
  LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid
 WHERE t.typtype IN ('b', 'c', 'd', 'e') AND (c.oid IS NULL OR c.relkind = 'c')
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_type e WHERE e.typarray = t.oid)
 ORDER BY t.oid
"""
FUNCTIONS = f"""{_MEMBERS}
SELECT n.nspname::text, p.proname::text, p.prokind::text,
       pg_catalog.pg_get_function_arguments(p.oid),
       pg_catalog.pg_get_function_identity_arguments(p.oid),
       pg_catalog.pg_get_function_result(p.oid), p.proretset,
       CASE p.provolatile WHEN 'i' THEN 'IMMUTABLE' WHEN 's' THEN 'STABLE' ELSE 'VOLATILE' END
       || CASE WHEN p.proisstrict THEN ' STRICT' ELSE '' END,
       p.proallargtypes IS NOT NULL, t.typname::text
  FROM members m JOIN pg_catalog.pg_proc p
    ON m.classid = 'pg_catalog.pg_proc'::regclass AND m.objid = p.oid
  JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
  JOIN pg_catalog.pg_type t ON t.oid = p.prorettype
 WHERE p.prokind IN ('f', 'p')
   AND NOT EXISTS (SELECT FROM pg_catalog.unnest(p.proargtypes::pg_catalog.oid[]
                                                 || p.prorettype) AS a(id)
                     JOIN pg_catalog.pg_type x ON x.oid = a.id
                    WHERE x.typname IN ('internal', 'cstring', '_cstring', 'any', 'fdw_handler',
                                        'language_handler', 'index_am_handler', 'tsm_handler',
                                        'table_am_handler'))
 ORDER BY p.oid
"""
RELATIONS = f"""{_MEMBERS}
SELECT n.nspname::text, c.relname::text,
       (SELECT pg_catalog.string_agg(pg_catalog.quote_ident(a.attname) || ' '
               || pg_catalog.format_type(a.atttypid, a.atttypmod), ', ' ORDER BY a.attnum)
          FROM pg_catalog.pg_attribute a
         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
  FROM members m JOIN pg_catalog.pg_class c
    ON m.classid = 'pg_catalog.pg_class'::regclass AND m.objid = c.oid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'v', 'm') ORDER BY c.oid
"""
OTHERS = f"""{_MEMBERS}
SELECT 'wrapper', f.fdwname::text FROM members m JOIN pg_catalog.pg_foreign_data_wrapper f
    ON m.classid = 'pg_catalog.pg_foreign_data_wrapper'::regclass AND m.objid = f.oid
 UNION ALL
SELECT 'language', l.lanname::text FROM members m JOIN pg_catalog.pg_language l
    ON m.classid = 'pg_catalog.pg_language'::regclass AND m.objid = l.oid
"""
SCHEMAS = f"""{_MEMBERS}
SELECT n.nspname::text FROM members m JOIN pg_catalog.pg_namespace n
    ON m.classid = 'pg_catalog.pg_namespace'::regclass AND m.objid = n.oid
"""


def described(conn: Connection, extension: Extension) -> tuple[str, ...]:
    """Statements for the types, functions, tables, wrappers and languages of an extension.

    Its types keep what they are given as text, its functions do nothing; operators and index
    classes are left out. Empty when the catalog tells of nothing.
    """
    name = [extension.name]
    found = [f"CREATE SCHEMA {ident(schema)}; GRANT USAGE ON SCHEMA {ident(schema)} TO PUBLIC"
             for (schema,) in conn.execute(SCHEMAS, name).fetchall()]  # fmt: skip
    for kind, each in conn.execute(OTHERS, name).fetchall():
        found.append(wrapper(each) if kind == "wrapper" else language(each))
    conn.execute("SET search_path = ''")
    try:
        for row in conn.execute(TYPES, name).fetchall():
            found += _type(*row)
        for row in conn.execute(FUNCTIONS, name).fetchall():
            found += _function(*row)
        for schema, table, columns in conn.execute(RELATIONS, name).fetchall():
            whole = qualified(schema, table)
            found.append(f"CREATE TABLE {whole} ({columns or ''}); GRANT ALL ON {whole} TO PUBLIC")
    finally:
        conn.execute("RESET search_path")
    return tuple(found)


def _type(
    schema: str, name: str, kind: str, typmod: bool, base: str, labels: list[str], columns: str
) -> list[str]:
    whole = qualified(schema, name)
    if kind == "e":
        return [f"CREATE TYPE {whole} AS ENUM ({', '.join(map(literal, labels))})"]
    if kind == "d":
        return [f"CREATE DOMAIN {whole} AS {base}"]
    if kind == "c":
        return [f"CREATE TYPE {whole} AS ({columns or ''})"]
    out = "LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS"
    goes_in, comes_out = (qualified(schema, f"qb_{name}_{way}") for way in ("in", "out"))
    modifier = qualified(schema, f"qb_{name}_typmod")
    made = [
        f"CREATE TYPE {whole}",
        f"CREATE FUNCTION {goes_in}(cstring) RETURNS {whole} {out} 'textin'",
        f"CREATE FUNCTION {comes_out}({whole}) RETURNS cstring {out} 'textout'",
    ]
    more = ""
    if typmod:
        made.append(f"CREATE FUNCTION {modifier}(cstring[]) RETURNS integer {out} 'byteaoctetlen'")
        more = f", TYPMOD_IN = {modifier}"
    made.append(f"CREATE TYPE {whole} (INPUT = {goes_in}, OUTPUT = {comes_out}{more}, LIKE = text)")
    return made


def _function(
    schema: str,
    name: str,
    kind: str,
    arguments: str,
    identity: str,
    result: str | None,
    set_of: bool,
    how: str,
    outs: bool,
    returns: str,
) -> list[str]:
    whole = qualified(schema, name)
    if kind == "p":
        return [f"CREATE PROCEDURE {whole}({arguments}) LANGUAGE plpgsql AS 'BEGIN RETURN; END'"]
    body = literal(nothing("" if outs else returns, set_of))
    tail = f"RETURNS {result} LANGUAGE plpgsql {how} AS {body}"
    plain = f"CREATE FUNCTION {whole}({identity}) {tail}"
    if arguments == identity:
        return [plain]
    # a default may call what is not there; without it the function is there all the same
    return [f"CREATE FUNCTION {whole}({arguments}) {tail}", plain]
