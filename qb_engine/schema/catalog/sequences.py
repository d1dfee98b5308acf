"""sequences: those of identity columns belong to the column, serial ones are owned by it"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from qb_engine.schema.catalog.collector import (
    CLASS,
    COVERED_SCHEMAS,
    FIRST_USER_OID,
    Collector,
    Group,
    Payload,
    Row,
    member,
)
from qb_engine.schema.catalog.grants import add_grants
from qb_engine.schema.ids import ObjectId

FIELDS = ("cache", "cycle", "increment", "max", "min", "start", "type")
TOP = {"smallint": 2**15 - 1, "integer": 2**31 - 1, "bigint": 2**63 - 1}

# last_value is data, not schema
SEQUENCES = f"""
SELECT s.seqrelid, c.relnamespace, c.relname::text, pg_catalog.pg_get_userbyid(c.relowner)::text,
       nullif(c.relpersistence, 'p')::text, pg_catalog.format_type(s.seqtypid, NULL),
       s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache, s.seqcycle,
       d.deptype::text, d.refobjid, d.refobjsubid, c.relacl::text[],
       CASE WHEN c.relacl IS NOT NULL
            THEN pg_catalog.acldefault('s', c.relowner)::text[] END
FROM pg_catalog.pg_sequence s
JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid
LEFT JOIN pg_catalog.pg_depend d
       ON d.classid = 1259 AND d.objid = s.seqrelid AND d.objsubid = 0
      AND d.refclassid = 1259 AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
WHERE s.seqrelid >= {FIRST_USER_OID}
  AND c.relnamespace IN ({COVERED_SCHEMAS})
  AND s.seqrelid NOT IN ({member(CLASS)})
"""


def read_sequences(rows: Sequence[Row], into: Collector) -> None:
    for row in rows:
        (
            oid, schema_oid, name, owner, persistence, type, start, step, low, high, cache, cycle,
            dependency, table_oid, number, acl, default_acl,
        ) = row  # fmt: skip
        schema = into.schemas.get(schema_oid)
        if schema is None:
            continue
        table = into.relations.get(table_oid)
        column = into.column(table_oid, number)
        options = (cache, cycle, step, high, low, start, type)
        if dependency == "i" and table is not None and column is not None:
            payload = into.facts[column]
            special: Payload = {}
            if options != _usual(payload["type"], step):
                usual = _usual(type, step)
                special = {k: v for k, v, u in zip(FIELDS, options, usual) if v != u}
                if type != payload["type"]:
                    special["type"] = type
            if name != f"{table.name}_{column.sub}_seq" or schema != table.schema:
                special["name"] = name if schema == table.schema else f"{schema}.{name}"
            if special:
                into.facts[column] = {**payload, "sequence": special}
                into.special.add(table_oid)
            into.relations[oid] = column
            continue
        id = ObjectId("sequence", schema, name)
        payload = {"owner": owner, **dict(zip(FIELDS, options))}
        if persistence == "u":
            payload["persistence"] = "unlogged"
        if table is not None and column is not None:
            payload["owned_by"] = [table.schema, table.name, column.sub]
        into.facts[id] = payload
        into.relations[oid] = id
        if acl is not None:
            add_grants(into, id, owner, acl, default_acl)


@cache
def _usual(type: str, step: int) -> Row:
    """The options that a sequence of a type has when nothing is said."""
    low, high = (1, TOP.get(type, 0)) if step > 0 else (-TOP.get(type, 0) - 1, -1)
    return (1, False, 1, high, low, low if step > 0 else high, type)


GROUPS = (Group(SEQUENCES, read_sequences),)
