"""constraints of tables and of domains"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from qb_engine.schema.catalog.collector import (
    FIRST_USER_OID,
    Collector,
    Group,
    Payload,
    Row,
)
from qb_engine.schema.catalog.patterns import names_a_row, tree
from qb_engine.schema.ids import ObjectId, new_id

KIND = {
    "p": "primary key",
    "u": "unique",
    "c": "check",
    "f": "foreign key",
    "n": "not null",
    "x": "exclusion",
}
STARTS = {"p": "PRIMARY KEY", "u": "UNIQUE", "f": "FOREIGN KEY"}  # of definitions

# Constraint triggers ('t') are triggers. NOT NULL constraints (PostgreSQL 18) are what the column
# says, under names that nobody chose: only those that say more than the column are read.
# The definition is asked for when it is special; others are written by pattern. One that is not
# valid may be not enforced, too. An index behind it that excludes is that of a PERIOD.
SPECIAL = f"""k.contypid <> 0 OR k.contype NOT IN ('p', 'u', 'f', 'c') OR NOT k.convalidated
            OR i.indnatts <> i.indnkeyatts OR k.confdelsetcols IS NOT NULL
            OR {names_a_row("k.conbin")}"""
CONSTRAINTS = f"""
SELECT k.oid, k.conrelid, k.contypid, k.conname::text, k.contype::text, k.conkey, k.confrelid,
       k.convalidated, k.condeferrable, k.condeferred, k.conparentid, k.conislocal,
       CASE WHEN {SPECIAL} THEN pg_catalog.pg_get_constraintdef(k.oid) END, k.confkey,
       CASE WHEN k.contype = 'c' THEN {tree("k.conbin")} END,
       pg_catalog.concat(k.confupdtype, k.confdeltype, k.confmatchtype), i.indisexclusion,
       i.indnullsnotdistinct, k.connoinherit
FROM pg_catalog.pg_constraint k
LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = k.conindid
WHERE k.oid >= {FIRST_USER_OID} AND k.contype <> 't'
  AND (k.contype <> 'n' OR NOT k.convalidated OR k.connoinherit)
"""


def read_constraints(rows: Sequence[Row], into: Collector) -> None:
    relations, columns, facts, quote = into.relations, into.columns, into.facts, into.quote
    groups = into.definitions.groups
    inherited = any(row[10] for row in rows)
    of = {row[0]: row[1] for row in rows} if inherited else {}
    for row in rows:
        (
            oid, table_oid, domain_oid, name, contype, key, referenced, valid, deferrable,
            deferred, parent, local, definition, their_key, condition, actions, temporal,
            not_distinct, no_inherit,
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
        _, schema, table, _ = relation
        mine = columns[table_oid]
        names = [mine[number][3] for number in key or () if number > 0]
        payload: Payload = {"columns": names, "definition": definition, "kind": KIND[contype]}
        if referenced:
            target = relations.get(referenced)
            if target is not None:
                payload["references"] = [target[1], target[2]]
        if not valid:
            payload["valid"] = False
            if contype == "n":
                column = mine[key[0]]
                facts[column] = {**facts[column], "nullable": True}
                into.special.add(table_oid)
        if deferrable:
            payload["deferrable"] = True
        if deferred:
            payload["deferred"] = True
        if parent or not local:
            payload["inherited"] = True
        if definition is None:
            like: Hashable
            if contype == "c":
                like, start = (condition, tuple(names), no_inherit), ""
            else:
                start = f"{STARTS[contype]} ({', '.join(map(quote, names))})"
                like = (contype, actions, deferrable, deferred, temporal, not_distinct)
            if contype == "f":
                target, theirs = relations.get(referenced), columns.get(referenced)
                if target is None or not theirs:
                    like, start = oid, ""
                else:
                    listed = ", ".join([quote(theirs[number][3]) for number in their_key])
                    start += f" REFERENCES {quote(target.schema)}.{quote(target.name)}({listed})"
            groups[like].append((oid, start, payload))
        id = new_id(ObjectId, ("constraint", schema, table, name))
        facts[id] = payload
        into.constraints[oid] = id


GROUPS = (Group(CONSTRAINTS, read_constraints),)
