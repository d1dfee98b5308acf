"""ALTER DOMAIN ADD CONSTRAINT"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

from qb_engine.operations.generic import Generic
from qb_engine.operations.operation import Inverse, Irreversible, Schema, normalise, operation
from qb_engine.operations.safely import Safely, Seen, Step, Uncovered
from qb_engine.sql import deparse, ident, qualified
from qb_engine.sql.tree import parse, pb, printed, relation

WAITS = (
    "PostgreSQL proves a domain's rule only while writers wait; apart, it can wait for a quiet hour"
)


@operation
class ConstrainDomain(Generic):
    """Add a constraint to a domain, which all columns of that type must satisfy.

    >>> ConstrainDomain("ALTER DOMAIN mail ADD CONSTRAINT at CHECK (VALUE LIKE '%@%')").write()
    "ALTER DOMAIN mail ADD CONSTRAINT at CHECK (value LIKE '%@%')"
    """

    def __post_init__(self) -> None:
        normalise(self, "sql", printed)

    @classmethod
    def read(cls, node: Any) -> Iterator[Self]:
        if isinstance(node, pb.AlterDomainStmt) and node.subtype == "C":
            yield cls(deparse(node))

    def inverse(self, schema: Schema) -> Inverse | Irreversible:
        node = parse(self.sql)
        name = getattr(node, "def").constraint.conname
        if not name:
            return Irreversible("the name that PostgreSQL gives the constraint is not known")
        domain = qualified(*relation(node.type_name))
        return Inverse((f"ALTER DOMAIN {domain} DROP CONSTRAINT {ident(name)}",))

    def safely(self, schema: Schema, seen: Seen) -> Safely | Uncovered | None:
        node = parse(self.sql)
        constraint = getattr(node, "def").constraint
        if constraint.skip_validation or not seen.scans:
            return None
        domain = qualified(*relation(node.type_name))
        if constraint.contype != pb.CONSTR_CHECK:
            return Uncovered(
                f"PostgreSQL reads every table with a column of {domain} while nobody can write",
                "add it as a CHECK (VALUE IS NOT NULL), NOT VALID",
            )
        name = constraint.conname
        if not name:
            name = f"{relation(node.type_name)[1]}_check"
            constraint.conname = name
        constraint.skip_validation, constraint.initially_valid = True, False
        return Safely(
            expand=(Step(deparse(node), "new values must satisfy it; none is read yet"),),
            contract=(
                Step(
                    f"ALTER DOMAIN {domain} VALIDATE CONSTRAINT {ident(name)}",
                    "read the rows; writers of these tables wait, readers do not",
                    apart=True,
                    down=(),
                    accepts={"domain-constraint-scan": WAITS},
                ),
            ),
            notes=(WAITS,),
        )
