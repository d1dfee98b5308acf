"""constraints of tables and of domains"""

from __future__ import annotations

from collections.abc import Sequence

from qb_engine.schema.catalog.collector import (
    FIRST_USER_OID,
    Collector,
    Group,
    Payload,
    Row,
)
from qb_engine.schema.ids import ObjectId

KIND = {
    "p": "primary key",
    "u": "unique",
    "c": "check",
    "f": "foreign key",
    "n": "not null",
    "x": "exclusion",
}

# Constraint triggers ('t') are triggers. NOT NULL constraints (PostgreSQL 18) are what the column
# says, under names that nobody chose: only those that say more than the column are read.
# Sorted, and not by an index: so all are printed before the first is sent, while we do other work.
CONSTRAINTS = f"""
SELECT k.oid, k.conrelid, k.contypid, k.conname::text, k.contype::text, k.conkey, k.confrelid,
       k.convalidated, k.condeferrable, k.condeferred, k.conparentid, k.conislocal,
       pg_catalog.pg_get_constraintdef(k.oid)
FROM pg_catalog.pg_constraint k
WHERE k.oid >= {FIRST_USER_OID} AND k.contype <> 't'
  AND (k.contype <> 'n' OR NOT k.convalidated OR k.connoinherit)
ORDER BY k.oid::bigint
"""


def read_constraints(rows: Sequence[Row], into: Collector) -> None:
    relations, columns, facts = into.relations, into.columns, into.facts
    of = {row[0]: row[1] for row in rows}
    for row in rows:
        (
            oid, table_oid, domain_oid, name, contype, key, referenced, valid, deferrable,
            deferred, parent, local, definition,
        ) = row  # fmt: skip
        if domain_oid:
            domain = into.ids.get((1247, domain_oid))
            if domain is not None and contype != "n":
                facts[domain].setdefault("constraints", {})[name] = definition
                into.constraints[oid] = ObjectId("constraint", domain.schema, domain.name, name)
            continue
        relation = relations.get(table_oid)
        # a foreign key to a partitioned table has one more row for each of its partitions
        if relation is None or (contype == "f" and parent and of.get(parent) == table_oid):
            continue
        # an expression of an exclusion constraint has the number 0 and no name
        names = [columns[table_oid, number].sub for number in key or () if number > 0]
        payload: Payload = {"columns": names, "definition": definition, "kind": KIND[contype]}
        if referenced:
            target = relations.get(referenced)
            if target is not None:
                payload["references"] = [target.schema, target.name]
        if not valid:
            payload["valid"] = False
            if contype == "n":
                column = columns[table_oid, key[0]]
                facts[column] = {**facts[column], "nullable": True}
        if deferrable:
            payload["deferrable"] = True
        if deferred:
            payload["deferred"] = True
        if parent or not local:
            payload["inherited"] = True
        id = ObjectId("constraint", relation.schema, relation.name, name)
        facts[id] = payload
        into.constraints[oid] = id


GROUPS = (Group(CONSTRAINTS, read_constraints),)
