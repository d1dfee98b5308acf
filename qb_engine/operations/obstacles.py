"""what a snapshot knows of an object that making it again would lose; empty when nothing"""

from __future__ import annotations

from qb_engine.operations.operation import Schema
from qb_engine.schema import Table

# what a fact may say and still be made again exactly; anything else is named as the reason
KNOWN = {
    "table": {"columns", "owner", "kind", "persistence", "options", "partition_key"},
    "view": {"columns", "owner", "definition", "options"},
    "matview": {"columns", "owner", "definition", "options"},
    "column": {"type", "nullable", "default", "identity", "generated", "collation", "sequence"},
    "constraint": {
        "kind", "definition", "columns", "valid", "references", "deferrable", "deferred",
    },
    "index": {"definition", "valid"},
}  # fmt: skip


def of_part(schema: Schema, kind: str, table: Table, name: str) -> str:
    """What a fact says about a part that making it again would lose; empty when nothing."""
    payload = schema.find(kind, table.schema, table.name, name) or {}
    if rest := sorted(set(payload) - KNOWN[kind]):
        return f"the {kind} {name} of {table.name} has {', '.join(rest)}, which would be lost"
    if payload.get("valid") is False and kind == "index":
        return f"the index {name} is not valid"
    if schema.find("grant", table.schema, table.name, f"{kind} {name}"):
        return f"privileges were granted on the {kind} {name} of {table.name}"
    return ""


def of_column(schema: Schema, table: Table, name: str) -> str:
    """The same about a column, its identity's sequence included."""
    payload = schema.find("column", table.schema, table.name, name) or {}
    special = payload.get("sequence", {})
    if "name" in special or "type" in special:
        return f"the identity sequence of {table.name}.{name} has a name or type of its own"
    return of_part(schema, "column", table, name)


def of_whole(schema: Schema, kind: str, table: Table) -> str:
    """The same about a table or view itself, without its parts."""
    payload = schema.find(kind, table.schema, table.name) or {}
    if rest := sorted(set(payload) - KNOWN[kind]):
        return f"{table.name} has {', '.join(rest)}, which would be lost"
    if schema.find("grant", table.schema, table.name, kind):
        return f"privileges were granted on {table.name}"
    return ""


def of_kinds(schema: Schema, table: Table, kinds: tuple[str, ...]) -> str:
    """A part of one of these kinds, which is not made again at all."""
    for id in schema.facts:
        if id.kind in kinds and (id.schema, id.name) == (table.schema, table.name):
            return f"{table.name} has the {id.kind} {id.sub}, which would be lost"
    return ""


def of_table(schema: Schema, table: Table) -> str:
    """The same about a table with everything that belongs to it."""
    if odd := of_whole(schema, "table", table) or of_kinds(schema, table, ("policy", "rule")):
        return odd
    for id, payload in schema.facts.items():
        above = [payload.get("partition_of"), *payload.get("inherits", ())]
        if id.kind == "table" and [table.schema, table.name] in above:
            return f"{id.name} is below {table.name} and goes with it"
        if id.kind == "sequence" and payload.get("owned_by", ())[:2] == [table.schema, table.name]:
            grants = schema.find("grant", id.schema, id.name, "sequence")
            if grants or payload.get("persistence"):
                return f"the sequence {id.name} has privileges or storage that would be lost"
    for name in table.columns:
        if odd := of_column(schema, table, name):
            return odd
    for name, each in table.constraints.items():
        if odd := of_part(schema, "constraint", table, name):
            return odd
        if each.inherited:
            return f"the constraint {name} of {table.name} is inherited"
    for name, index in table.indexes.items():
        if index.constraint is None and (odd := of_part(schema, "index", table, name)):
            return odd
    for name, trigger in table.triggers.items():
        if trigger.enabled != "origin" or trigger.comment:
            return f"the trigger {name} of {table.name} has a state of its own"
    return ""
