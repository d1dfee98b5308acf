"""CREATE SCHEMA"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import field
from typing import Any, Self

from qb_engine.operations import rebuild
from qb_engine.operations.drop_schema import DropSchema
from qb_engine.operations.operation import (
    Inverse,
    Irreversible,
    Operation,
    Requirement,
    Schema,
    operation,
)
from qb_engine.sql import ident
from qb_engine.sql.tree import pb


@operation
class CreateSchema(Operation):
    """Make a schema.

    >>> CreateSchema("reporting").write()
    'CREATE SCHEMA reporting'
    """

    name: str
    if_not_exists: bool = field(default=False, kw_only=True)

    @classmethod
    def read(cls, node: Any) -> Iterator[Self]:
        if isinstance(node, pb.CreateSchemaStmt) and node.schemaname:
            yield cls(node.schemaname, if_not_exists=node.if_not_exists)

    def write(self) -> str:
        clause = "IF NOT EXISTS " if self.if_not_exists else ""
        return f"CREATE SCHEMA {clause}{ident(self.name)}"

    def inverse(self, schema: Schema) -> Inverse | Irreversible:
        if self.if_not_exists and rebuild.has_schema(schema, self.name):
            return Inverse(())
        return Inverse((DropSchema(self.name),))

    def requires(self, schema: Schema) -> Iterable[Requirement]:
        return ()
