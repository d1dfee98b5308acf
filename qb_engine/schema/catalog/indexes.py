"""indexes; the one behind a constraint is part of the constraint"""

from __future__ import annotations

from collections.abc import Sequence

from qb_engine.schema.catalog.collector import FIRST_USER_OID, Collector, Group, Row, present
from qb_engine.schema.ids import ObjectId

INDEXES = f"""
SELECT i.indexrelid, i.indrelid, c.relname::text, k.oid,
       CASE WHEN k.oid IS NULL THEN pg_catalog.pg_get_indexdef(i.indexrelid) END,
       CASE WHEN NOT (i.indisvalid AND i.indisready AND i.indislive) THEN false END,
       nullif(i.indisclustered, false), nullif(i.indisreplident, false),
       space.spcname::text, CASE WHEN k.oid IS NOT NULL THEN c.reloptions::text[] END,
       parent.inhparent
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_class t ON t.oid = i.indrelid AND t.relkind IN ('r', 'p', 'm', 'f')
LEFT JOIN pg_catalog.pg_constraint k
       ON k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x')
LEFT JOIN pg_catalog.pg_inherits parent
       ON parent.inhrelid = i.indexrelid AND c.relispartition
LEFT JOIN pg_catalog.pg_tablespace space ON space.oid = c.reltablespace
WHERE i.indexrelid >= {FIRST_USER_OID}
"""


def read_indexes(rows: Sequence[Row], into: Collector) -> None:
    relations, facts = into.relations, into.facts
    attached = []
    for row in rows:
        (
            oid, table_oid, name, constraint_oid, definition, valid, clustered, identity, space,
            options, parent,
        ) = row  # fmt: skip
        table = relations.get(table_oid)
        if table is None:
            continue
        if constraint_oid is None:
            id = ObjectId("index", table.schema, table.name, name)
            payload = facts[id] = {"definition": definition}
        else:
            id = into.constraints.get(constraint_oid, table)
            payload = facts[id]
        relations[oid] = id
        if not (valid is clustered is identity is space is options is parent is None):
            payload |= present(
                **{"valid" if constraint_oid is None else "index_valid": valid},
                clustered=clustered,
                replica_identity=identity,
                tablespace=space,
                options=options and sorted(options),
            )
            if parent is not None and constraint_oid is None:
                attached.append((payload, parent))
    for payload, parent in attached:
        if parent in relations:
            payload["attached_to"] = relations[parent].sub


GROUPS = (Group(INDEXES, read_indexes),)
