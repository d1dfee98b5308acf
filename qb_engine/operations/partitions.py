"""tables below others, partitions or heirs, and what belongs to them"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.operations.operation import Operation, Schema
from qb_engine.schema import IndexInfo, Table


def parts(schema: Schema, table: Table) -> Iterator[Table]:
    """The partitions of a table, or those that inherit from it."""
    place = [table.schema, table.name]
    for id, payload in schema.facts.items():
        if id.kind == "table" and place in (
            payload.get("partition_of"),
            *payload.get("inherits", ()),
        ):
            part = schema.table(id.name, id.schema)
            if part is not None:
                yield part


def below(schema: Schema, table: Table) -> Iterator[Table]:
    """The tables below a table, and theirs."""
    for part in parts(schema, table):
        yield part
        yield from below(schema, part)


def attached(schema: Schema, table: Table, index: IndexInfo) -> Iterator[tuple[Table, IndexInfo]]:
    """The indexes of the partitions that are parts of an index of the whole."""
    for part in parts(schema, table):
        for each in part.indexes.values():
            fact = schema.find("index", part.schema, part.name, each.name) or {}
            if fact.get("attached_to") == index.name:
                yield part, each


def own_indexes(schema: Schema, part: Table) -> Iterator[IndexInfo]:
    """The indexes of a partition that are not parts of one of the whole."""
    for each in part.indexes.values():
        fact = schema.find("index", part.schema, part.name, each.name)
        if fact is not None and "attached_to" not in fact:
            yield each


def comments(schema: Schema, table: Table) -> Iterator[Operation]:
    """What is said of the partitions' indexes and constraints, which PostgreSQL forgets when it
    makes them anew for the whole."""
    from qb_engine.operations.comment import Comment

    for part in below(schema, table):
        at = None if part.schema == "public" else part.schema
        for index in part.indexes.values():
            if index.comment is not None:
                yield Comment("index", index.name, index.comment, schema=at)
        for each in part.constraints.values():
            if each.comment is not None:
                yield Comment("constraint", each.name, each.comment, part.name, schema=at)


def reached(schema: Schema, table: tuple[str, str]) -> bool:
    """True when a foreign key points at a table, or at one that it is a partition of."""
    place: list[str] | None = list(table)
    while place is not None:
        for id, payload in schema.facts.items():
            if id.kind == "constraint" and payload.get("references") == place:
                return True
        place = (schema.find("table", place[0], place[1]) or {}).get("partition_of")
    return False
