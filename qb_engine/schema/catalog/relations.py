"""tables, partitioned and foreign tables, views, materialized views, and their columns"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Sequence
from operator import itemgetter

from qb_engine.schema.catalog.collector import (
    CLASS,
    COVERED_SCHEMAS,
    FIRST_USER_OID,
    NO_COLUMN,
    Collector,
    ColumnKind,
    Group,
    Payload,
    Row,
    member,
    present,
)
from qb_engine.schema.catalog.foreign import shown_options
from qb_engine.schema.catalog.grants import add_grants
from qb_engine.schema.ids import ObjectId, new_id
from qb_engine.schema.writing import encode, write, write_columns

# kinds of relations that are facts of their own, and how a table says which kind of table it is
KIND = {"r": "table", "p": "table", "f": "table", "v": "view", "m": "matview", "c": "composite"}
TABLE_KIND = {"r": "table", "p": "partitioned", "f": "foreign"}
PERSISTENCE = {"u": "unlogged", "t": "temporary"}
NO_KIND = ColumnKind({}, ("", None), None, "")
REPLICA_IDENTITY = {"n": "nothing", "f": "full", "i": "index"}

RELATIONS = f"""
SELECT c.oid, c.relnamespace, c.relname::text, c.relkind::text,
       pg_catalog.pg_get_userbyid(c.relowner)::text,
       nullif(c.relpersistence, 'p')::text, c.reloptions::text[], toast.reloptions::text[],
       space.spcname::text, CASE WHEN am.amname <> 'heap' THEN am.amname::text END,
       nullif(c.relreplident, 'd')::text, nullif(c.relrowsecurity, false),
       nullif(c.relforcerowsecurity, false),
       CASE WHEN c.reloftype <> 0 THEN pg_catalog.format_type(c.reloftype, NULL) END,
       CASE WHEN c.relkind = 'p' THEN pg_catalog.pg_get_partkeydef(c.oid) END,
       -- a bound has no columns in it: without a relation pg_get_expr takes no lock
       CASE WHEN c.relispartition THEN pg_catalog.pg_get_expr(c.relpartbound, 0) END,
       CASE WHEN c.relkind IN ('v', 'm') THEN pg_catalog.pg_get_viewdef(c.oid) END,
       CASE WHEN NOT c.relispopulated AND c.relkind = 'm' THEN false END,
       server.srvname::text, foreigner.ftoptions,
       c.relacl::text[],
       CASE WHEN c.relacl IS NOT NULL
            THEN pg_catalog.acldefault('r', c.relowner)::text[] END
FROM pg_catalog.pg_class c
LEFT JOIN pg_catalog.pg_class toast ON toast.oid = c.reltoastrelid AND toast.reloptions IS NOT NULL
LEFT JOIN pg_catalog.pg_tablespace space ON space.oid = c.reltablespace
LEFT JOIN pg_catalog.pg_am am ON am.oid = c.relam
LEFT JOIN pg_catalog.pg_foreign_table foreigner ON foreigner.ftrelid = c.oid
LEFT JOIN pg_catalog.pg_foreign_server server ON server.oid = foreigner.ftserver
WHERE c.oid >= {FIRST_USER_OID} AND c.relkind IN ('r', 'p', 'f', 'v', 'm', 'c')
  AND c.relnamespace IN ({COVERED_SCHEMAS})
  AND c.oid NOT IN ({member(CLASS)})
"""

PARENTS = """
SELECT i.inhrelid, i.inhparent, i.inhseqno, i.inhdetachpending, c.relispartition, c.relkind::text
FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
ORDER BY i.inhrelid, i.inhseqno
"""

# A default has no columns in it: without a relation pg_get_expr takes no lock. What a column is
# generated from has some. Read apart: a join with what is so wide costs more than both.
DEFAULTS = f"""
SELECT d.adrelid::bigint << 16 | d.adnum, pg_catalog.pg_get_expr(
           d.adbin, CASE WHEN d.adbin::text LIKE '%{{VAR %' THEN d.adrelid ELSE 0 END)
FROM pg_catalog.pg_attrdef d WHERE d.adrelid >= {FIRST_USER_OID}
"""

COLUMNS = f"""
SELECT a.attrelid::bigint << 16 | a.attnum, a.attname::text,
       pg_catalog.format_type(a.atttypid, a.atttypmod),
       a.attnotnull,
       nullif(a.attidentity, '')::text, nullif(a.attgenerated, '')::text,
       CASE WHEN a.attcollation <> t.typcollation OR a.attstorage <> t.typstorage
              OR a.attcompression <> '' OR NOT a.attislocal OR a.attstattarget >= 0
              OR a.attoptions IS NOT NULL OR a.attfdwoptions IS NOT NULL OR a.attacl IS NOT NULL
       THEN pg_catalog.json_build_object(
            'collation', CASE WHEN a.attcollation <> t.typcollation THEN (
                SELECT n.nspname::text || '.' || l.collname::text FROM pg_catalog.pg_collation l
                JOIN pg_catalog.pg_namespace n ON n.oid = l.collnamespace
                WHERE l.oid = a.attcollation) END,
            'storage', CASE WHEN a.attstorage <> t.typstorage THEN a.attstorage::text END,
            'compression', nullif(a.attcompression, '')::text,
            'inherited', CASE WHEN NOT a.attislocal THEN true END,
            'statistics', CASE WHEN a.attstattarget >= 0 THEN a.attstattarget::int END,
            'options', a.attoptions, 'foreign_options', a.attfdwoptions,
            'acl', a.attacl::text[])::text END
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
WHERE a.attrelid >= {FIRST_USER_OID} AND a.attnum > 0 AND NOT a.attisdropped
  AND c.relkind IN ('r', 'p', 'f', 'v', 'm', 'c')
  AND c.relnamespace IN ({COVERED_SCHEMAS})
"""


def read_relations(rows: Sequence[Row], into: Collector) -> None:
    for row in rows:
        (
            oid, schema_oid, name, relkind, owner, persistence, options, toast, space, method,
            identity, security, forced, of_type, key, bound, definition, populated, server,
            foreign_options, acl, default_acl,
        ) = row  # fmt: skip
        schema = into.schemas.get(schema_oid)
        if schema is None:
            continue
        id = ObjectId(KIND[relkind], schema, name)
        into.relations[oid] = id
        if relkind == "c":  # the fact is made with the types, where owner and grants are
            into.attributes[oid] = []
            continue
        payload: Payload = {"columns": [], "owner": owner}
        if relkind in TABLE_KIND:
            payload["kind"] = TABLE_KIND[relkind]
        into.facts[id] = payload
        payload |= present(
            persistence=persistence and PERSISTENCE.get(persistence, persistence),
            options=options and sorted(options),
            toast_options=toast and sorted(toast),
            tablespace=space,
            access_method=method,
            replica_identity=REPLICA_IDENTITY.get(identity) if relkind in "rp" else None,
            row_security=security,
            force_row_security=forced,
            of_type=of_type,
            partition_key=key,
            bound=bound,
            definition=definition,
            populated=populated,
            server=server,
            foreign_options=foreign_options and shown_options(foreign_options),
        )
        if acl is not None:
            add_grants(into, id, owner, acl, default_acl)


def read_parents(rows: Sequence[Row], into: Collector) -> None:
    for child_oid, parent_oid, _, detaching, is_partition, relkind in rows:
        child, parent = into.relations.get(child_oid), into.relations.get(parent_oid)
        if child is None or parent is None or relkind in "iI":
            continue
        payload = into.facts[child]
        if is_partition or detaching:
            payload["partition_of"] = [parent.schema, parent.name]
            if detaching:
                payload["detaching"] = True
        else:
            payload.setdefault("inherits", []).append([parent.schema, parent.name])


def read_defaults(rows: Sequence[Row], into: Collector) -> None:
    into.defaults = dict(rows)


def read_columns(rows: Sequence[Row], into: Collector) -> None:
    known: dict[Row, ColumnKind] = {}  # thousands of columns say the same: they share a payload
    default = into.defaults.get

    def kind(row: Row) -> ColumnKind:
        said = (*row[2:], default(row[0]))
        found = known.get(said)
        if found is None:
            found = known[said] = _column(*said)
        return found

    rows = sorted(rows, key=itemgetter(0))  # by table and number, which are one number here
    keys = [row[0] for row in rows]
    at = 0
    while at < len(rows):
        oid = keys[at] >> 16
        end = bisect_left(keys, (oid + 1) << 16, at)
        relation = into.relations.get(oid)
        if relation is not None:
            _of_one(relation, oid, rows[at:end], [kind(row) for row in rows[at:end]], into)
        at = end


def _of_one(
    relation: ObjectId, oid: int, rows: Sequence[Row], kinds: list[ColumnKind], into: Collector
) -> None:
    """The columns of one relation."""
    of, schema, table, _ = relation
    names = [row[1] for row in rows]
    ids = [new_id(ObjectId, ("column", schema, table, name)) for name in names]
    if of == "composite":
        into.attributes[oid] += [{"name": n, **kind.payload} for n, kind in zip(names, kinds)]
    else:
        whole = into.facts[relation]
        whole["columns"] += names
        into.facts.update(zip(ids, [kind.payload for kind in kinds]))
        for id, granted in [(id, k.acl) for id, k in zip(ids, kinds) if k.acl is not None]:
            add_grants(into, id, whole["owner"], granted)
    if rows[-1][0] & 0xFFFF != len(rows):  # some were dropped
        for place in range(rows[-1][0] & 0xFFFF):
            if place == len(rows) or rows[place][0] & 0xFFFF != place + 1:
                rows = [*rows[:place], ((oid << 16) | (place + 1),), *rows[place:]]
                ids.insert(place, NO_COLUMN)
                kinds.insert(place, NO_KIND)
    into.columns[oid] = [NO_COLUMN, *ids]
    into.column_kinds[oid] = [NO_KIND, *kinds]


def _column(
    type: str,
    required: bool,
    identity: str | None,
    generated: str | None,
    rare: str | None,
    default: str | None,
) -> ColumnKind:
    payload: Payload = {"nullable": not required, "type": type}
    payload |= present(default=default, identity=identity, generated=generated)
    acl = None
    if rare is not None:
        more = json.loads(rare)
        acl = more.pop("acl")
        if more["options"]:
            more["options"].sort()
        if more["foreign_options"]:
            more["foreign_options"] = shown_options(more["foreign_options"])
        payload |= present(**more)
    return ColumnKind(payload, (type, payload.get("collation")), acl, encode(payload))


def settled(into: Collector) -> dict[str, str]:
    """Tables and columns as canonical JSON, once nothing will change them any more."""
    facts = into.facts
    tables = [(id, facts[id]) for id in into.relations.values() if id[0] == "table"]
    columns = []
    for oid, ids in into.columns.items():
        of, schema, name, _ = into.relations[oid]
        if of == "composite":
            continue
        pairs = zip(ids, into.column_kinds[oid])
        if oid in into.special:
            texts = [(id[3], encode(facts[id])) for id in ids if id in facts]
        else:
            texts = [(id[3], kind[3]) for id, kind in pairs if kind is not NO_KIND]
        columns.append((schema, name, texts))
    return {"table": write("table", tables), "column": write_columns(columns)}


HEADS = Group(RELATIONS, read_relations)
GROUPS = (HEADS, Group(PARENTS, read_parents), Group(DEFAULTS, read_defaults))


def columns(oids: Sequence[int] = (), parts: int = 1) -> tuple[Group, ...]:
    """The columns of all relations, or in several parts: one is read while the next is found.

    `oids` are those of the relations, to make parts of the same size.
    """
    bounds = sorted(oids)[:: max(len(oids) // parts, 1)][1:parts]
    if not bounds:
        return (Group(COLUMNS, read_columns),)
    return tuple(
        Group(f"{COLUMNS}{_between('a.attrelid', *ends)}{_between('c.oid', *ends)}", read_columns)
        for ends in zip([None, *bounds], [*bounds, None])
    )


def _between(column: str, low: int | None, high: int | None) -> str:
    above = "" if low is None else f" AND {column} >= {low}"
    return above + ("" if high is None else f" AND {column} < {high}")
