"""the tables that hold the rows of a table: itself, its partitions, or those that inherit from it

A partitioned table is walked leaf by leaf, each with ranges and a highest key of its own. A table
that others inherit from is walked table by table, all of them, as a plain UPDATE would: it and each
heir with ONLY, as nothing keeps their keys apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, LiteralString

import psycopg

from qb_engine.errors import RefusedError

if TYPE_CHECKING:
    from qb_engine.backfill.spec import Spec

Part = tuple[str | None, str | None]
"""Schema and name of a table below; two None for the table as a whole."""

WHOLE: Part = (None, None)

_WORD = re.compile(r"\w+")
_ONLY = re.compile(r"\bonly\b", re.IGNORECASE)

# A table and all below it, for `FROM`; a partition that is being detached is no longer one.
BELOW: LiteralString = """
(WITH RECURSIVE below AS (
    SELECT to_regclass(format('%%I.%%I', %(schema)s::text, %(table)s::text))::oid AS oid
    UNION
    SELECT inhrelid FROM pg_inherits JOIN below ON inhparent = below.oid WHERE NOT inhdetachpending)
SELECT oid FROM below WHERE oid IS NOT NULL)
"""

# Those of them that hold rows; and whether the role may do there what it may do to the table
# itself, under the same policies: a plain UPDATE of the table asks for no right on its partitions.
MEMBERS = (
    """
SELECT c.oid, n.nspname, c.relname, c.relkind, c.relispartition,
    (SELECT bool_and(has_table_privilege(c.oid, right_) OR NOT has_table_privilege(root, right_))
        FROM unnest(ARRAY['SELECT', 'UPDATE', 'DELETE']) AS right_)
    AND (has_any_column_privilege(c.oid, 'UPDATE') OR NOT has_any_column_privilege(root, 'UPDATE'))
    AND has_schema_privilege(n.oid, 'USAGE')
    AND row_security_active(c.oid) = row_security_active(root),
    pg_relation_filenode(c.oid)::bigint
FROM """
    + BELOW
    + """ AS below
JOIN pg_class AS c ON c.oid = below.oid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
CROSS JOIN LATERAL
    (SELECT to_regclass(format('%%I.%%I', %(schema)s::text, %(table)s::text))::oid AS root) AS r
WHERE c.relkind <> 'p'
ORDER BY c.oid <> root, c.oid
"""
)

ATTACHED = """
WITH RECURSIVE above AS (
    SELECT to_regclass(format('%%I.%%I', %(part_schema)s::text, %(part_table)s::text))::oid AS oid
    UNION
    SELECT inhparent FROM pg_inherits JOIN above ON inhrelid = above.oid WHERE NOT inhdetachpending)
SELECT r.root IS NULL OR EXISTS (SELECT FROM above WHERE above.oid = r.root)
FROM (SELECT to_regclass(format('%%I.%%I', %(schema)s::text, %(table)s::text))::oid AS root) AS r
"""

PARTITIONED_BY = (
    "SELECT DISTINCT a.attname::text FROM "
    + BELOW
    + """ AS below
JOIN pg_partitioned_table AS p ON p.partrelid = below.oid
JOIN pg_attribute AS a ON a.attrelid = p.partrelid AND a.attnum = ANY (p.partattrs::int2[])
ORDER BY 1
"""
)

Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class Member:
    """A table that holds rows: itself, a leaf, or an heir. `node` is its file."""

    oid: int
    schema: str
    name: str
    kind: str
    partition: bool
    open: bool
    node: int | None

    @property
    def part(self) -> Part:
        return (self.schema, self.name)


def members(conn: Connection, schema: str, table: str) -> tuple[Member, ...]:
    """The tables that hold a table's rows, itself first."""
    found = conn.execute(MEMBERS, {"schema": schema, "table": table})
    return tuple(Member(*row) for row in found)


def is_tree(found: tuple[Member, ...], schema: str, table: str) -> bool:
    """True when rows are anywhere else than in the table alone."""
    return [each.part for each in found] != [(schema, table)]


def no_foreign(found: tuple[Member, ...], shown: str) -> None:
    """Refuse a table with rows on another server."""
    if foreign := [f"{each.schema}.{each.name}" for each in found if each.kind != "r"]:
        raise RefusedError(
            f"{shown} has parts on another server",
            where=", ".join(foreign),
            why="a batch and its cursor are committed together, which holds within one server, so "
            "the rows of a foreign table cannot be written exactly once",
            todo="fill them on their own server; here, detach them, or give each partition of this "
            "server a backfill of its own",
            code="not-supported",
        )


def walked(conn: Connection, spec: Spec) -> tuple[Member, ...]:
    """The parts that are walked one by one; none when the table is walked as a whole.

    As a whole, though it has parts, where a batch must go through it: a row that changes partition,
    a statement that says ONLY, and parts on which the role has not the same rights.
    """
    found = members(conn, spec.schema, spec.table)
    if not is_tree(found, spec.schema, spec.table):
        return ()
    if spec.by_place:
        return found
    written = [column.name for column in spec.set]
    if not all(each.open for each in found) or _ONLY.search(spec.statement):
        return ()
    if moving(written, spec.statement, partitioned_by(conn, spec.schema, spec.table)):
        return ()
    return found


def moving(written: Iterable[str], statement: str, by: Sequence[str]) -> list[str]:
    """The columns by which a written row may change partition: a statement names them at all."""
    words = set(_WORD.findall(statement.lower()))
    return [name for name in by if name in written or set(_WORD.findall(name.lower())) <= words]


def said(conn: Connection, spec: Spec) -> str:
    """How the parts of a table are walked, to be added to the sentence of its key; or empty."""
    found = members(conn, spec.schema, spec.table)
    if not is_tree(found, spec.schema, spec.table):
        return ""
    heirs = sum(not each.partition for each in found)
    what = "of the tables that inherit from it" if heirs else "of its partitions"
    if not walked(conn, spec):
        return f"; all {what} together"
    many = len(found) - 1 if heirs else len(found)
    return f"; each {what} by itself ({many})"


def attached(conn: Connection, schema: str, table: str, part: Part) -> bool:
    """Whether a part still belongs to a table; True as well when the table itself is gone."""
    given = {"schema": schema, "table": table, "part_schema": part[0], "part_table": part[1]}
    return bool(conn.execute(ATTACHED, given).fetchall()[0][0])


def partitioned_by(conn: Connection, schema: str, table: str) -> list[str]:
    """The columns that say in which partition a row is, of all levels."""
    return [name for (name,) in conn.execute(PARTITIONED_BY, {"schema": schema, "table": table})]
