"""comments, on whatever they are"""

from __future__ import annotations

from collections.abc import Sequence

from qb_engine.schema.catalog.collector import EXTENSION, FIRST_USER_OID, Collector, Group, Row
from qb_engine.schema.ids import ObjectId

PUBLIC_OID, PUBLIC_COMMENT = 2200, "standard public schema"

COMMENTS = f"""
SELECT c.classoid, c.objoid, c.objsubid, c.description
FROM pg_catalog.pg_description c
WHERE (c.objoid >= {FIRST_USER_OID} OR c.objoid = {PUBLIC_OID})
  AND (c.classoid, c.objoid) NOT IN (
       SELECT e.classid, e.objid FROM pg_catalog.pg_depend e
       WHERE e.refclassid = {EXTENSION} AND e.deptype = 'e')
"""


def read_comments(rows: Sequence[Row], into: Collector) -> None:
    for of, oid, number, text in rows:
        if oid == PUBLIC_OID and text == PUBLIC_COMMENT:
            continue
        id = into.find(of, oid, number)
        if id is None:
            into.orphans.append((of, oid, number, text))
        else:
            into.facts[id.remark("comment")] = {"text": text}


GROUPS = (Group(COMMENTS, read_comments),)


UNKNOWN = """
SELECT what.type, coalesce(what.schema, ''), what.identity, o.said
FROM unnest(%(of)s::oid[], %(oid)s::oid[], %(number)s::int[], %(said)s::text[])
     AS o (of, oid, number, said),
     LATERAL pg_catalog.pg_identify_object(o.of, o.oid, o.number) what
WHERE what.type IS NOT NULL
"""


def unknown(into: Collector) -> dict[str, list[object]]:
    """The parameters of UNKNOWN: the comments on what no group has claimed."""
    of, oid, number, said = (list(column) for column in zip(*into.orphans))
    return {"of": of, "oid": oid, "number": number, "said": said}


def read_unknown(rows: Sequence[Row], into: Collector) -> None:
    known = {*into.schemas.values(), ""}
    for kind, schema, identity, text in rows:
        # schemas are claimed but for those that were to be left out
        if schema in known and kind != "schema":
            into.facts[ObjectId("comment", schema, identity, kind)] = {"text": text}
