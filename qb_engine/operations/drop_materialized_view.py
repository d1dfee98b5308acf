"""DROP MATERIALIZED VIEW"""

from __future__ import annotations

from qb_engine.operations.drop_view import DropView
from qb_engine.operations.operation import (
    operation,
)


@operation
class DropMaterializedView(DropView):
    """Drop a materialized view.

    >>> DropMaterializedView("totals").write()
    'DROP MATERIALIZED VIEW totals'
    """

    KIND = "MATERIALIZED VIEW"
