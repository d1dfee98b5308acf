"""CREATE MATERIALIZED VIEW"""

from __future__ import annotations

from qb_engine.operations import chosen
from qb_engine.operations.create_table_as import CreateTableAs
from qb_engine.operations.drop_materialized_view import DropMaterializedView
from qb_engine.operations.operation import (
    Inverse,
    Irreversible,
    Schema,
    operation,
)


@operation
class CreateMaterializedView(CreateTableAs):
    """Make a materialized view and fill it.

    >>> CreateMaterializedView("totals", "SELECT count(*) FROM orders").write()
    'CREATE MATERIALIZED VIEW totals AS SELECT count(*) FROM orders'
    """

    KIND = "MATERIALIZED VIEW"

    def inverse(self, schema: Schema) -> Inverse | Irreversible:
        if self.if_not_exists and chosen.taken(schema, self.table, self.schema):
            return Inverse(())
        return Inverse((DropMaterializedView(self.table, schema=self.schema),))
