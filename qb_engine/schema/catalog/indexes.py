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
from qb_engine.schema.catalog.patterns import KEYWORDS, names_a_row, tree
from qb_engine.schema.ids import ObjectId, new_id

# The definition is asked for when it is special; others are written by pattern: from the columns
# that make their shape, or like one on a table with the same columns if it has an expression.
# B-tree (403) and hash (405) have operator classes without parameters of their own.
SPECIAL = f"""{names_a_row("i.indexprs", "i.indpred")}
            OR (c.relam NOT IN (403, 405) AND EXISTS (
                SELECT FROM pg_catalog.pg_attribute a
                WHERE a.attrelid = i.indexrelid AND a.attoptions IS NOT NULL))"""
INDEXES = f"""
SELECT i.indexrelid, i.indrelid, c.relname::text, k.oid,
       CASE WHEN k.oid IS NULL AND ({SPECIAL}) THEN pg_catalog.pg_get_indexdef(i.indexrelid) END,
       CASE WHEN NOT (i.indisvalid AND i.indisready AND i.indislive) THEN false END,
       nullif(i.indisclustered, false), nullif(i.indisreplident, false),
       space.spcname::text, c.reloptions::text[], parent.inhparent,
       i.indisunique, i.indnullsnotdistinct, i.indkey::int2[],
       c.relkind = 'I', c.relam, i.indclass, i.indoption, i.indcollation, i.indnkeyatts,
       CASE WHEN k.oid IS NULL AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)
            THEN {tree("i.indexprs", "i.indpred")} END
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
LEFT JOIN pg_catalog.pg_constraint k
       ON k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x')
LEFT JOIN pg_catalog.pg_inherits parent
       ON parent.inhrelid = i.indexrelid AND c.relispartition
LEFT JOIN pg_catalog.pg_tablespace space ON space.oid = c.reltablespace
WHERE i.indexrelid >= {FIRST_USER_OID}
  AND c.relnamespace <> (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = 'pg_toast')
"""


def read_keywords(rows: Sequence[Row], into: Collector) -> None:
    into.quote.keywords = frozenset(rows[0][0])


def read_indexes(rows: Sequence[Row], into: Collector) -> None:
    relations, facts, indexes = into.relations, into.facts, into.indexes
    attached = []
    for row in rows:
        (
            oid, table_oid, name, constraint_oid, definition, valid, clustered, identity, space,
            options, parent, unique, not_distinct, key, partitioned, method, classes, orders,
            collations, keys, expression,
        ) = row  # fmt: skip
        table = relations.get(table_oid)
        if table is None:
            continue
        if constraint_oid is None:
            id = new_id(ObjectId, ("index", table[1], table[2], name))
            payload = facts[id] = {"definition": definition}
            if definition is None:
                columns, kinds = into.columns[table_oid], into.column_kinds[table_oid]
                start = indexes.start(unique, partitioned, name, table_oid, table)
                # an operator class and a collation are printed if the column's is another
                like: Row = (
                    unique, partitioned, method, classes, orders, collations, not_distinct,
                    options and str(options),
                )  # fmt: skip
                if expression is None and keys == len(key):
                    names = [columns[number][3] for number in key]
                    shape = (*like, *[kinds[number].type for number in key])
                    indexes.shapes[shape].append((oid, start, names, payload))
                else:
                    # what an expression names is at the same place in both, by the same name
                    layout = indexes.layout(table_oid, columns)
                    known = [kinds[number].type for number in key[:keys] if number]
                    shape = (*like, *known, *key, keys, expression, layout)
                    indexes.groups[shape].append((oid, start, payload))
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


WORDS = Group(KEYWORDS, read_keywords)
GROUPS = (Group(INDEXES, read_indexes),)
