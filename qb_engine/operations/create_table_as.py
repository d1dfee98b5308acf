"""CREATE TABLE AS"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import field
from typing import Any, ClassVar, Self

from qb_engine.operations import chosen
from qb_engine.operations.drop_table import DropTable
from qb_engine.operations.mentions import relied_on
from qb_engine.operations.operation import (
    Inverse,
    Irreversible,
    Operation,
    Requirement,
    Schema,
    normalise,
    operation,
)
from qb_engine.sql import deparse, qualified
from qb_engine.sql.tree import only, parse, pb, printed, relation


@operation
class CreateTableAs(Operation):
    """Make a table from what a query returns.

    >>> CreateTableAs("old_users", "SELECT * FROM users WHERE age > 90").write()
    'CREATE TABLE old_users AS SELECT * FROM users WHERE age > 90'
    """

    table: str
    query: str
    schema: str | None = field(default=None, kw_only=True)
    if_not_exists: bool = field(default=False, kw_only=True)
    KIND: ClassVar[str] = "TABLE"

    def __post_init__(self) -> None:
        normalise(self, "query", printed)

    @classmethod
    def read(cls, node: Any) -> Iterator[Self]:
        if isinstance(node, pb.CreateTableAsStmt) and node.objtype == getattr(
            pb, {"TABLE": "OBJECT_TABLE"}.get(cls.KIND, "OBJECT_MATVIEW")
        ):
            schema, table = relation(node.into.rel)
            query = deparse(only(node.query))
            yield cls(table, query, schema=schema, if_not_exists=node.if_not_exists)

    def write(self) -> str:
        clause = "IF NOT EXISTS " if self.if_not_exists else ""
        return f"CREATE {self.KIND} {clause}{qualified(self.schema, self.table)} AS {self.query}"

    def inverse(self, schema: Schema) -> Inverse | Irreversible:
        if self.if_not_exists and chosen.taken(schema, self.table, self.schema):
            return Inverse(())
        return Inverse((self._drop(),), loses=f"the rows of {self.table}")

    def requires(self, schema: Schema) -> Iterable[Requirement]:
        if not self.if_not_exists:
            yield Requirement(self.table, self.schema, must_exist=False)
        yield from relied_on(schema, parse(self.query))

    def _drop(self) -> Operation:
        return DropTable(self.table, schema=self.schema)
