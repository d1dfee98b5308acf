"""what is still known of a schema after an operation, when no server can be asked"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

from qb_engine.operations import Generic, Operation
from qb_engine.operations.on_table import TableOperation
from qb_engine.schema import ObjectId, Snapshot
from qb_engine.sql import read_one
from qb_engine.sql.relations import used


def after(schema: Snapshot, operation: Operation) -> Snapshot:
    """The schema without the facts that an operation may have changed.

    Nothing is made up: what is not known any more is not there, and an inverse that needs it is
    none. What the operation made is not there either; its own inverse takes it away.
    """
    touched = _touched(operation)
    facts = {id: payload for id, payload in schema.facts.items() if not touched(id)}
    return Snapshot(
        MappingProxyType(facts), schema.unmodelled, schema.server_version, schema.format_version
    )


def _touched(operation: Operation) -> Callable[[ObjectId], bool]:
    if isinstance(operation, Generic):
        statement = read_one(operation.sql)
        if statement.is_dml:
            return lambda id: False
        places = {(schema or "public", name) for schema, name in used(statement.node).tables}
        return lambda id: (id.schema, id.name) in places if places else True
    where = getattr(operation, "schema", None) or "public"
    if isinstance(operation, TableOperation):
        parts = {getattr(operation, key, None) for key in ("column", "name", "to")} - {None}
        table = operation.table
        if not hasattr(operation, "column") and not hasattr(operation, "name"):
            return lambda id: id.schema == where and id.name in {table, *parts}
        return lambda id: (id.schema, id.name) == (where, table) and _about(id, parts)
    names = {getattr(operation, key, None) for key in ("table", "name", "to", "of")} - {None}
    return lambda id: id.schema == where and bool({id.name, id.sub} & names)


def _about(id: ObjectId, parts: set[Any]) -> bool:
    return id.sub in parts or id.sub.partition(" ")[2] in parts
