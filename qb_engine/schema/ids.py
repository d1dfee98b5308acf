"""the identity of an object, and which object it belongs to"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from qb_engine.schema.definitions import split_index

# Kinds that are part of a relation: their `name` is the relation, their `sub` is their own name.
PARTS = frozenset({"column", "constraint", "index", "trigger", "policy", "rule"})
RELATIONS = ("table", "view", "matview")
# Kinds that say something about another object: their `sub` is that object's kind and own name.
REMARKS = frozenset({"comment", "grant"})

KINDS = (
    "access method",
    "aggregate",
    "cast",
    "collation",
    "column",
    "comment",
    "composite",
    "constraint",
    "conversion",
    "default privilege",
    "domain",
    "enum",
    "event trigger",
    "extension",
    "foreign data wrapper",
    "foreign server",
    "function",
    "grant",
    "index",
    "language",
    "matview",
    "operator",
    "operator class",
    "operator family",
    "policy",
    "publication",
    "range",
    "rule",
    "schema",
    "sequence",
    "statistics",
    "table",
    "text search configuration",
    "text search dictionary",
    "text search parser",
    "text search template",
    "trigger",
    "type",
    "user mapping",
    "view",
)
_BY_LENGTH = sorted(KINDS, key=len, reverse=True)


class ObjectId(NamedTuple):
    """Names one object: `kind`, `schema`, `name`, and `sub` for a part of a relation.

    Names are plain text, unquoted. The `sub` of a function is its argument types; the `sub` of a
    comment or a grant is the kind and sub of what it is about ("column email").
    """

    kind: str
    schema: str
    name: str
    sub: str = ""

    def __str__(self) -> str:
        if self.kind in REMARKS:
            return f"{self.kind} on {self.subject}"
        return f"{self.kind} {self.path}"

    @property
    def path(self) -> str:
        """The name without the kind: `public.users.email`, `public.f(integer)`."""
        path = f"{self.schema}.{self.name}" if self.schema else self.name
        if self.kind in ("function", "aggregate", "operator"):
            return f"{path}({self.sub})"
        return f"{path}.{self.sub}" if self.sub else path

    @property
    def subject(self) -> ObjectId:
        """What a comment or a grant is about."""
        for kind in _BY_LENGTH:
            if self.sub == kind or self.sub.startswith(f"{kind} "):
                return ObjectId(kind, self.schema, self.name, self.sub[len(kind) + 1 :])
        return ObjectId(self.sub, self.schema, self.name)

    def remark(self, kind: str) -> ObjectId:
        """The id of a comment or a grant on this object."""
        return ObjectId(kind, self.schema, self.name, f"{self.kind} {self.sub}".rstrip())


# An ObjectId without a call into Python: a snapshot makes hundreds of thousands.
new_id = tuple.__new__


def parents(id: ObjectId, payload: Mapping[str, Any]) -> Iterator[ObjectId]:
    """The objects that take this one with them when they come and go, nearest first."""
    if id.kind in REMARKS:
        subject = id.subject
        yield subject
        if subject.kind in PARTS:
            yield from (ObjectId(kind, id.schema, id.name) for kind in RELATIONS)
    elif id.kind in PARTS:
        for column in _columns(id, payload):
            yield ObjectId("column", id.schema, id.name, column)
        yield from (ObjectId(kind, id.schema, id.name) for kind in RELATIONS)
    for key in ("owned_by", "partition_of"):
        if key in payload:
            schema, name, *column = payload[key]
            if column:
                yield ObjectId("column", schema, name, column[0])
            yield ObjectId("table", schema, name)
    if id.schema:
        yield ObjectId("schema", "", id.schema)


def _columns(id: ObjectId, payload: Mapping[str, Any]) -> Sequence[str]:
    """The columns without which a constraint or an index cannot be."""
    if id.kind == "constraint":
        return list(payload.get("columns", ()))
    if id.kind == "index":
        return split_index(payload["definition"])[0]
    return ()
