"""REINDEX"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

from qb_engine.operations.generic import Generic
from qb_engine.operations.operation import Schema, normalise, operation
from qb_engine.operations.safely import Safely, Seen, Step, Uncovered
from qb_engine.sql import deparse
from qb_engine.sql.tree import parse, pb, printed


@operation
class Reindex(Generic):
    """Build indexes anew.

    >>> Reindex("REINDEX INDEX CONCURRENTLY users_email").write()
    'REINDEX (CONCURRENTLY) INDEX users_email'
    """

    def __post_init__(self) -> None:
        normalise(self, "sql", printed)

    @classmethod
    def read(cls, node: Any) -> Iterator[Self]:
        if isinstance(node, pb.ReindexStmt):
            yield cls(deparse(node))

    def safely(self, schema: Schema, seen: Seen) -> Safely | Uncovered | None:
        node = parse(self.sql)
        names = {each.def_elem.defname for each in node.params}
        whole = node.kind not in (pb.REINDEX_OBJECT_INDEX, pb.REINDEX_OBJECT_TABLE)
        if "concurrently" in names or not (seen.builds or whole):
            return None
        if node.kind == pb.REINDEX_OBJECT_SYSTEM:
            return Uncovered("the indexes of the system catalogs cannot be built concurrently")
        node.params.add().def_elem.defname = "concurrently"
        why = "build it anew beside the old one, while others read and write"
        return Safely(expand=(Step(deparse(node), why, apart=True, down=()),))
