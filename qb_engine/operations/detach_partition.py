"""DETACH PARTITION"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

from qb_engine.operations import chosen
from qb_engine.operations.attach_partition import default_of
from qb_engine.operations.generic import Generic
from qb_engine.operations.on_table import commands
from qb_engine.operations.operation import Inverse, Irreversible, Schema, normalise, operation
from qb_engine.operations.safely import Safely, Seen, Step, Uncovered, place
from qb_engine.sql import deparse, ident, qualified
from qb_engine.sql.tree import element_nodes, parse, printed, relation


@operation
class DetachPartition(Generic):
    """Make a partition a table of its own.

    >>> DetachPartition("ALTER TABLE a DETACH PARTITION b CONCURRENTLY").write()
    'ALTER TABLE a DETACH PARTITION b CONCURRENTLY'
    """

    def __post_init__(self) -> None:
        normalise(self, "sql", printed)

    @classmethod
    def read(cls, node: Any) -> Iterator[Self]:
        for _ in commands(node, "DetachPartition"):
            yield cls(deparse(node))

    def inverse(self, schema: Schema) -> Inverse | Irreversible:
        whole, part = self._places()
        fact = schema.find("table", part[0] or "public", part[1]) or {}
        if "bound" not in fact:
            return Irreversible(f"the bounds of the partition {part[1]} are not known")
        return Inverse(
            (f"ALTER TABLE {qualified(*whole)} ATTACH PARTITION {qualified(*part)} "
             f"{fact['bound']}",)
        )  # fmt: skip

    def safely(self, schema: Schema, seen: Seen) -> Safely | Uncovered | None:
        node = parse(self.sql)
        command = getattr(node.cmds[0].alter_table_cmd, "def").partition_cmd
        whole, part = self._places()
        above = schema.table(whole[1], whole[0] or "public")
        if above is None or not (command.concurrent or seen.big(place(*whole))):
            return None
        default = default_of(schema, above)
        if command.concurrent and not default:
            return None
        if default:
            return Uncovered(
                f"{part[1]} cannot be detached concurrently: PostgreSQL does not allow it where "
                f"there is a default partition, {default}",
                "detach the default partition first, or let it wait for a short lock",
            )
        command.concurrent = True
        why = "detach it while others read and write; PostgreSQL leaves a CHECK of its bounds"
        check = _left_check(schema, seen, part)
        steps = [Step(deparse(node), why, apart=True)]
        if check:
            sql = f"ALTER TABLE {qualified(*part)} DROP CONSTRAINT IF EXISTS {ident(check)}"
            steps.append(Step(sql, "which a table of its own does not need", apart=True, down=()))
        return Safely(expand=tuple(steps))

    def _places(self) -> tuple[tuple[str | None, str], tuple[str | None, str]]:
        node = parse(self.sql)
        command = node.cmds[0].alter_table_cmd
        return relation(node.relation), relation(getattr(command, "def").partition_cmd.name)


def _left_check(schema: Schema, seen: Seen, part: tuple[str | None, str]) -> str:
    """The name of the CHECK that DETACH CONCURRENTLY leaves on a partition."""
    bound = seen.bounds.get(place(*part), "")
    if not bound:
        return ""
    node = element_nodes(f"CHECK ({bound})")[0]
    return chosen.constraint(schema, part[1], part[0], node)
