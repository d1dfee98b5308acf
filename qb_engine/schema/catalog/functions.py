"""functions, procedures and aggregates"""

from __future__ import annotations

from collections.abc import Sequence

from qb_engine.schema.catalog.collector import (
    COVERED_SCHEMAS,
    PROC,
    Collector,
    Group,
    Payload,
    Row,
    own,
)
from qb_engine.schema.catalog.grants import add_grants
from qb_engine.schema.ids import ObjectId

FUNCTIONS = f"""
SELECT p.oid, p.pronamespace, p.proname::text, p.prokind::text,
       pg_catalog.oidvectortypes(p.proargtypes),
       pg_catalog.pg_get_userbyid(p.proowner)::text,
       CASE WHEN p.prokind <> 'a' THEN pg_catalog.pg_get_functiondef(p.oid) END,
       p.proacl::text[],
       CASE WHEN p.proacl IS NOT NULL
            THEN pg_catalog.acldefault('f', p.proowner)::text[] END
FROM pg_catalog.pg_proc p
WHERE p.pronamespace IN ({COVERED_SCHEMAS}) AND {own("pg_proc", "p.oid")}
"""

AGGREGATES = f"""
SELECT p.oid, a.aggkind::text, pg_catalog.format_type(p.prorettype, NULL), p.proparallel::text,
       a.aggtransfn::text, pg_catalog.format_type(a.aggtranstype, NULL), a.aggtransspace,
       nullif(a.aggfinalfn::text, '-'), nullif(a.aggcombinefn::text, '-'),
       nullif(a.aggserialfn::text, '-'), nullif(a.aggdeserialfn::text, '-'),
       nullif(a.aggmtransfn::text, '-'), nullif(a.aggminvtransfn::text, '-'),
       nullif(a.aggmfinalfn::text, '-'),
       CASE WHEN a.aggmtranstype <> 0 THEN pg_catalog.format_type(a.aggmtranstype, NULL) END,
       a.agginitval, a.aggminitval,
       CASE WHEN a.aggsortop <> 0 THEN a.aggsortop::pg_catalog.regoperator::text END,
       a.aggfinalextra, a.aggfinalmodify::text
FROM pg_catalog.pg_aggregate a JOIN pg_catalog.pg_proc p ON p.oid = a.aggfnoid
WHERE {own("pg_proc", "p.oid")}
"""

AGGREGATE_FIELDS = (
    "kind",
    "returns",
    "parallel",
    "state_function",
    "state_type",
    "state_space",
    "final_function",
    "combine_function",
    "serial_function",
    "deserial_function",
    "moving_state_function",
    "moving_inverse_function",
    "moving_final_function",
    "moving_state_type",
    "initial",
    "moving_initial",
    "sort_operator",
    "final_extra",
    "final_modify",
)


def read_functions(rows: Sequence[Row], into: Collector) -> None:
    for oid, schema_oid, name, prokind, arguments, owner, definition, acl, default_acl in rows:
        schema = into.schemas.get(schema_oid)
        if schema is None:
            continue
        kind = "aggregate" if prokind == "a" else "function"
        payload: Payload = {"owner": owner}
        if kind == "function":
            payload["definition"] = definition
            payload["kind"] = {"p": "procedure", "w": "window"}.get(prokind, "function")
        id = ObjectId(kind, schema, name, arguments)
        into.add(id, payload, of=PROC, oid=oid)
        add_grants(into, id, owner, acl, default_acl)


def read_aggregates(rows: Sequence[Row], into: Collector) -> None:
    for oid, *values in rows:
        id = into.ids.get((PROC, oid))
        if id is not None:
            fields = zip(AGGREGATE_FIELDS, values, strict=True)
            into.facts[id] |= {k: v for k, v in fields if v is not None}


GROUPS = (Group(FUNCTIONS, read_functions), Group(AGGREGATES, read_aggregates))
