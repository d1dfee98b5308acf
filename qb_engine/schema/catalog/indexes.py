"""indexes; the one behind a constraint is part of the constraint"""

from __future__ import annotations

from collections.abc import Sequence

from qb_engine.schema.catalog.collector import (
    FIRST_USER_OID,
    Collector,
    Group,
    Row,
    present,
)
from qb_engine.schema.catalog.patterns import KEYWORDS, Index, Shape
from qb_engine.schema.ids import ObjectId

# The definition is asked for when it is special: with expressions, or INCLUDE. Others are written
# by pattern, from the columns that make their shape.
# Sorted, and not by an index: so all are printed before the first is sent, while we do other work.
INDEXES = f"""
SELECT i.indexrelid, i.indrelid, c.relname::text, k.oid,
       CASE WHEN k.oid IS NULL AND (i.indexprs IS NOT NULL OR i.indnatts <> i.indnkeyatts)
            THEN pg_catalog.pg_get_indexdef(i.indexrelid) END,
       CASE WHEN NOT (i.indisvalid AND i.indisready AND i.indislive) THEN false END,
       nullif(i.indisclustered, false), nullif(i.indisreplident, false),
       space.spcname::text, c.reloptions::text[], parent.inhparent,
       i.indisunique, i.indnullsnotdistinct, i.indkey::int2[],
       c.relkind = 'I', c.relam, i.indclass, i.indoption, i.indcollation,
       CASE WHEN i.indexprs IS NULL AND k.oid IS NULL
            THEN pg_catalog.pg_get_expr(i.indpred, i.indrelid) END
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
LEFT JOIN pg_catalog.pg_constraint k
       ON k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x')
LEFT JOIN pg_catalog.pg_inherits parent
       ON parent.inhrelid = i.indexrelid AND c.relispartition
LEFT JOIN pg_catalog.pg_tablespace space ON space.oid = c.reltablespace
WHERE i.indexrelid >= {FIRST_USER_OID}
  AND c.relnamespace <> (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = 'pg_toast')
ORDER BY i.indexrelid::bigint
"""


def read_keywords(rows: Sequence[Row], into: Collector) -> None:
    into.quote.keywords = frozenset(rows[0][0])


def read_indexes(rows: Sequence[Row], into: Collector) -> None:
    relations, facts, columns = into.relations, into.facts, into.columns
    attached = []
    for row in rows:
        (
            oid, table_oid, name, constraint_oid, definition, valid, clustered, identity, space,
            options, parent, unique, not_distinct, key, partitioned, method, classes, orders,
            collations, predicate,
        ) = row  # fmt: skip
        table = relations.get(table_oid)
        if table is None:
            continue
        if constraint_oid is None:
            id = ObjectId("index", table.schema, table.name, name)
            payload = facts[id] = {"definition": definition}
            if definition is None:
                ids = [columns[table_oid, number] for number in key]
                # an operator class and a collation are printed if the column's is another
                kinds = [(facts[c]["type"], facts[c].get("collation")) for c in ids]
                rest = (method, classes, orders, collations, not_distinct, str(options), *kinds)
                index = Index(oid, name, table, [c.sub for c in ids], predicate, payload)
                into.indexes.shapes[Shape(unique, partitioned, rest)].append(index)
        elif constraint_oid in into.constraints:
            id = into.constraints[constraint_oid]
            payload = facts[id]
        else:
            continue
        relations[oid] = id
        if not (valid is clustered is identity is space is options is parent is None):
            payload |= present(
                clustered=clustered,
                replica_identity=identity,
                tablespace=space,
                **{"valid" if constraint_oid is None else "index_valid": valid},
                **{} if constraint_oid is None else {"options": options and sorted(options)},
            )
            if parent is not None and constraint_oid is None:
                attached.append((payload, parent))
    for payload, parent in attached:
        if parent in relations:
            payload["attached_to"] = relations[parent].sub


GROUPS = (Group(KEYWORDS, read_keywords), Group(INDEXES, read_indexes))
