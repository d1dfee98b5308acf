"""operations that drop an object by its name"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field
from typing import Any, ClassVar, Self

from qb_engine.operations.operation import Operation, operation
from qb_engine.sql import qualified
from qb_engine.sql.tree import only, pb, relation

_KINDS = {"MATERIALIZED VIEW": "OBJECT_MATVIEW"}


@operation
class DropOperation(Operation):
    """DROP of one object of one kind."""

    KIND: ClassVar[str]

    name: str
    schema: str | None = field(default=None, kw_only=True)
    if_exists: bool = field(default=False, kw_only=True)
    cascade: bool = field(default=False, kw_only=True)
    concurrently: bool = field(default=False, kw_only=True)

    @classmethod
    def read(cls, node: Any) -> Iterator[Self]:
        kind = getattr(pb, _KINDS.get(cls.KIND, f"OBJECT_{cls.KIND}"))
        if not isinstance(node, pb.DropStmt) or node.remove_type != kind:
            return
        for each in node.objects:
            inner = only(each)
            if isinstance(inner, pb.String):
                schema, name = None, inner.sval
            else:
                schema, name = relation(inner.names if isinstance(inner, pb.TypeName) else inner)
            yield cls(
                name,
                schema=schema,
                if_exists=node.missing_ok,
                cascade=node.behavior == pb.DROP_CASCADE,
                concurrently=node.concurrent,
            )

    def write(self) -> str:
        parts = ["DROP", self.KIND]
        parts += ["CONCURRENTLY"] if self.concurrently else []
        parts += ["IF EXISTS"] if self.if_exists else []
        parts.append(qualified(self.schema, self.name))
        parts += ["CASCADE"] if self.cascade else []
        return " ".join(parts)
