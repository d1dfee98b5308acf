"""RENAME of an index, a view, a sequence, a type or a schema"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import field
from typing import Any, Self

from qb_engine.errors import InputError
from qb_engine.operations.operation import (
    Inverse,
    Irreversible,
    Operation,
    Requirement,
    Schema,
    operation,
)
from qb_engine.sql import ident, qualified
from qb_engine.sql.tree import only, pb, relation

KINDS = {
    "index": "OBJECT_INDEX",
    "view": "OBJECT_VIEW",
    "materialized view": "OBJECT_MATVIEW",
    "sequence": "OBJECT_SEQUENCE",
    "type": "OBJECT_TYPE",
    "schema": "OBJECT_SCHEMA",
}


@operation
class RenameObject(Operation):
    """Give an index, view, materialized view, sequence, type or schema another name.

    >>> RenameObject("index", "users_idx", "users_email_idx").write()
    'ALTER INDEX users_idx RENAME TO users_email_idx'
    """

    kind: str
    name: str
    to: str
    schema: str | None = field(default=None, kw_only=True)
    if_exists: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(
                f"{self.kind!r} is not a kind of object that RenameObject knows",
                why=f"it knows {', '.join(KINDS)}",
                code="broken-file",
            )

    @classmethod
    def read(cls, node: Any) -> Iterator[Self]:
        if not isinstance(node, pb.RenameStmt):
            return
        for kind, value in KINDS.items():
            if node.rename_type == getattr(pb, value):
                if kind == "schema":
                    schema, name = None, node.subname
                elif kind == "type":
                    schema, name = relation(only(node.object))
                else:
                    schema, name = relation(node.relation)
                yield cls(kind, name, node.newname, schema=schema, if_exists=node.missing_ok)

    def write(self) -> str:
        clause = "IF EXISTS " if self.if_exists else ""
        name = qualified(self.schema, self.name)
        return f"ALTER {self.kind.upper()} {clause}{name} RENAME TO {ident(self.to)}"

    def inverse(self, schema: Schema) -> Inverse | Irreversible:
        return Inverse((RenameObject(self.kind, self.to, self.name, schema=self.schema),))

    def requires(self, schema: Schema) -> Iterable[Requirement]:
        if self.kind in ("view", "materialized view") and not self.if_exists:
            yield Requirement(self.name, self.schema)
            yield Requirement(self.to, self.schema, must_exist=False)
