"""what a shadow lacks, what stands in for it, and which objects that leaves uncertain"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection

VERSION = "qb"  # of an extension that is a stand-in

STANDINS = """
SELECT e.extname::text, ARRAY(
       SELECT pg_catalog.jsonb_build_array(d.classid::pg_catalog.int8, d.objid::pg_catalog.int8)
         FROM pg_catalog.pg_depend d
        WHERE d.refclassid = 'pg_catalog.pg_extension'::regclass AND d.refobjid = e.oid
          AND d.deptype = 'e')
  FROM pg_catalog.pg_extension e WHERE e.extversion = %s ORDER BY 1
"""

# what is built on some objects: through types, functions and views, but not from table to table
BUILT_ON = """
WITH RECURSIVE seed AS (
    SELECT (x ->> 0)::pg_catalog.oid AS class, (x ->> 1)::pg_catalog.oid AS id
      FROM pg_catalog.unnest(%s::pg_catalog.jsonb[]) AS x
), reach(class, id) AS (
    SELECT class, id FROM seed
     UNION
    SELECT CASE WHEN w.oid IS NULL THEN d.classid ELSE 'pg_catalog.pg_class'::regclass END,
           coalesce(w.ev_class, d.objid)
      FROM reach r
      JOIN pg_catalog.pg_depend d ON d.refclassid = r.class AND d.refobjid = r.id
      LEFT JOIN pg_catalog.pg_class c
             ON r.class = 'pg_catalog.pg_class'::regclass AND c.oid = r.id
      LEFT JOIN pg_catalog.pg_rewrite w
             ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND w.oid = d.objid
     WHERE d.deptype IN ('n', 'a', 'i', 'e')
       AND (c.oid IS NULL OR c.relkind IN ('v', 'm', 'c') OR w.oid IS NOT NULL)
), relations AS (
    SELECT CASE r.class
             WHEN 'pg_catalog.pg_class'::regclass THEN r.id
             WHEN 'pg_catalog.pg_attrdef'::regclass
             THEN (SELECT adrelid FROM pg_catalog.pg_attrdef WHERE oid = r.id)
             WHEN 'pg_catalog.pg_constraint'::regclass
             THEN (SELECT conrelid FROM pg_catalog.pg_constraint WHERE oid = r.id)
             WHEN 'pg_catalog.pg_trigger'::regclass
             THEN (SELECT tgrelid FROM pg_catalog.pg_trigger WHERE oid = r.id)
             WHEN 'pg_catalog.pg_policy'::regclass
             THEN (SELECT polrelid FROM pg_catalog.pg_policy WHERE oid = r.id)
           END AS id
      FROM reach r WHERE (r.class, r.id) NOT IN (SELECT class, id FROM seed)
)
SELECT n.nspname || '.' || c.relname AS name
  FROM relations r JOIN pg_catalog.pg_class c ON c.oid = r.id
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind NOT IN ('c', 't')
 UNION
SELECT n.nspname || '.' || p.proname
  FROM reach r JOIN pg_catalog.pg_proc p
    ON r.class = 'pg_catalog.pg_proc'::regclass AND p.oid = r.id
  JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
 WHERE (r.class, r.id) NOT IN (SELECT class, id FROM seed)
 UNION
SELECT n.nspname || '.' || t.typname
  FROM reach r JOIN pg_catalog.pg_type t
    ON r.class = 'pg_catalog.pg_type'::regclass AND t.oid = r.id
  JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
 WHERE (r.class, r.id) NOT IN (SELECT class, id FROM seed)
   AND t.typrelid = 0 AND t.typcategory <> 'A'
 ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class Lacking:
    """Something that a shadow does not have as the target has it.

    `stubbed` says that something stands in for it, `objects` which relations, functions and types
    (as `schema.name`) are built on that, so that what is seen of them is less certain.
    """

    name: str
    kind: str  # extension, relation, statement, language, role
    stubbed: bool = False
    objects: tuple[str, ...] = ()
    why: str = ""

    def __str__(self) -> str:
        if self.kind == "statement":
            return f"{self.name}: {self.why}"
        said = f"{self.kind} {self.name}"
        if self.stubbed:
            return f"{said} (a stand-in is used)"
        return f"{said}: {self.why}" if self.why else said

    def as_dict(self) -> dict[str, Any]:
        """The fields as JSON has them."""
        return {
            "name": self.name,
            "kind": self.kind,
            "stubbed": self.stubbed,
            "objects": list(self.objects),
            "why": self.why,
        }


def read_lacking(found: dict[str, Any]) -> Lacking:
    """What `as_dict` has written."""
    return Lacking(
        found["name"], found["kind"], found["stubbed"], tuple(found["objects"]), found["why"]
    )


def stand_ins(conn: Connection) -> tuple[Lacking, ...]:
    """The extensions of a database that are stand-ins, and what is built on them."""
    found = conn.execute(STANDINS, [VERSION]).fetchall()
    return tuple(
        Lacking(name, "extension", stubbed=True, objects=built_on(conn, members))
        for name, members in found
    )


def built_on(conn: Connection, members: Iterable[Sequence[int]]) -> tuple[str, ...]:
    """The relations, functions and types that are built on objects, given as (class, oid)."""
    from psycopg.types.json import Jsonb

    rows = conn.execute(BUILT_ON, [[Jsonb(list(each)) for each in members]]).fetchall()
    return tuple(name for (name,) in rows)
