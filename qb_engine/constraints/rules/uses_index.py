"""a statement that PostgreSQL runs with an index"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qb_engine.constraints.rules.declared import Kind
from qb_engine.constraints.rules.form import Form
from qb_engine.constraints.rules.names import TableName, table
from qb_engine.constraints.rules.reading import Reader
from qb_engine.constraints.rules.rule import Described, Observed, Verdict
from qb_engine.sql import Statement, read_one

SMALL_BYTES = 1_000_000  # below this, reading all of a table is quicker than any index

# The index and those of its partitions, its table's size in bytes, and whether it is valid.
INDEX = """
SELECT array(SELECT c.relname::text FROM pg_catalog.pg_partition_tree(i.indexrelid) p
               JOIN pg_catalog.pg_class c ON c.oid = p.relid) || x.relname::text,
       pg_catalog.pg_table_size(i.indrelid)
         + coalesce((SELECT pg_catalog.sum(pg_catalog.pg_table_size(p.relid))
                       FROM pg_catalog.pg_partition_tree(i.indrelid) p), 0)::bigint,
       i.indisvalid
  FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
 WHERE i.indexrelid = pg_catalog.to_regclass(%s)
"""


@dataclass(frozen=True, slots=True)
class UsesIndex(Described):
    """The planner chooses an index for a statement; the statement is not run.

    For a table so small that reading all of it is cheaper, the index only has to be one that the
    planner can use.
    """

    statement: Statement
    index: TableName

    def describe(self) -> str:
        return f"index {self.index} used by {self.statement.first_line}"

    def check(self, read: Reader, memo: Any, seen: Sequence[Observed]) -> Verdict:
        expected = f"uses {self.index}"
        rows = read(INDEX, [str(self.index)])
        if not rows:
            fix = "create it, or mend its name"
            return Verdict(False, "there is no such index", expected, fix, missing=True)
        names, size, valid = rows[0]
        if not valid:
            fix = f"REINDEX INDEX CONCURRENTLY {self.index}, or drop it and build it again"
            return Verdict(False, "the index is not valid", expected, fix)
        plan = read.plan(self.statement.sql)
        if _used(plan) & set(names):
            return Verdict(True, "used", expected)
        if size < SMALL_BYTES:
            read.set("enable_seqscan", "off")
            if _used(read.plan(self.statement.sql)) & set(names):
                return Verdict(True, "usable; the table is small", expected)
        fix = "compare the index with the conditions of the query; ANALYZE after many changes"
        return Verdict(False, "not used", expected, fix, tuple(_lines(plan)))


def _nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


def _used(plan: Mapping[str, Any]) -> set[str]:
    return {str(node["Index Name"]) for node in _nodes(plan) if "Index Name" in node}


def _lines(plan: Mapping[str, Any]) -> Iterator[str]:
    for node in _nodes(plan):
        if "Relation Name" in node or "Index Name" in node:
            on = node.get("Relation Name", node.get("Index Name"))
            yield f"{node['Node Type']} on {on}"


def _read(value: Any, beside: Mapping[str, Any], form: Form, root: Path) -> UsesIndex:
    form.keys(value, ("sql", "index"), needed=("sql", "index"))
    statement = read_one(form.text(value["sql"], "sql"), form.source)
    if not statement.is_dml:
        raise form.expected("sql", "a SELECT, INSERT, UPDATE, DELETE or MERGE", statement.sql)
    return UsesIndex(statement, table(value["index"], form))


KIND = Kind(
    "uses_index", _read,
    {"uses_index": {"sql": "SELECT id FROM users WHERE email = 'a'", "index": "users_email"}},
)  # fmt: skip
