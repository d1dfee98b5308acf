"""DELETE"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

from qb_engine.operations.generic import REASONS, Generic
from qb_engine.operations.operation import Schema, normalise, operation
from qb_engine.operations.safely import Safely, Seen, Step, Uncovered
from qb_engine.operations.update_rows import entangled, of_many
from qb_engine.sql import deparse, literal, qualified
from qb_engine.sql.tree import expression_of, parse, pb, printed, relation

BATCH = 5_000  # rows of one transaction

# The rows are chosen once; one that has changed since is looked at again before it goes.
LOOP = """
DECLARE
    chosen tid[] := '{{}}';
    here tid;
BEGIN
    FOR here IN SELECT ctid FROM {table} WHERE {where} LOOP
        chosen := chosen || here;
        IF cardinality(chosen) >= {batch} THEN
            DELETE FROM {table} WHERE ctid = ANY (chosen) AND ({where});
            COMMIT;
            chosen := '{{}}';
        END IF;
    END LOOP;
    DELETE FROM {table} WHERE ctid = ANY (chosen) AND ({where});
END
"""


@operation
class DeleteRows(Generic):
    """Remove rows; many of them are removed in batches, each in a transaction of its own.

    >>> DeleteRows("DELETE FROM users WHERE NOT active").write()
    'DELETE FROM users WHERE NOT active'
    """

    def __post_init__(self) -> None:
        normalise(self, "sql", printed)

    @classmethod
    def read(cls, node: Any) -> Iterator[Self]:
        if isinstance(node, pb.DeleteStmt):
            yield cls(deparse(node))

    def safely(self, schema: Schema, seen: Seen) -> Safely | Uncovered | None:
        node = parse(self.sql)
        space, name = relation(node.relation)
        if of_many(node, schema, seen) is None:
            return None
        if reason := entangled(node):
            return Uncovered(
                f"the DELETE from {name} cannot be done in batches: {reason}",
                "say which rows by a condition on the table itself, with a subquery where needed",
            )
        where = expression_of(node.where_clause) if node.HasField("where_clause") else "true"
        body = LOOP.format(table=qualified(space, name), where=where, batch=BATCH)
        why = f"remove the rows, {BATCH} in each transaction; it may be stopped and run again"
        step = Step(
            f"DO {literal(body)}", why, apart=True, irreversible=REASONS["delete"],
            accepts={"bulk-dml": "each batch commits, so no lock and no row is held for long"},
        )  # fmt: skip
        return Safely(expand=(step,))
