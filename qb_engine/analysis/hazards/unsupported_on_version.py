"""a statement needs a newer PostgreSQL than the one that it is meant for"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from qb_engine.analysis.facts import Provenance
from qb_engine.analysis.hazards.hazard import Finding, Hazard, Severity, Situation
from qb_engine.sql.tree import only, pb, strings, walk

HAZARD = Hazard(
    id="unsupported-on-version",
    severity=Severity.ERROR,
    title="{what} needs PostgreSQL {needed}, this is {version}",
    meaning="The server does not know it yet, and refuses the statement.",
    bad="ALTER TABLE users ADD CONSTRAINT given NOT NULL email NOT VALID",
    good="ALTER TABLE users ADD CONSTRAINT given CHECK (email IS NOT NULL) NOT VALID",
    fix="write it as the older server knows it, or upgrade first",
    version=150004,
)

NO_SYNTAX = "42601"
NO_PARTITIONED = "NOT VALID foreign key on partitioned table"  # as servers before 18 say

Says = Callable[[Any], bool]


def _command(*names: str) -> Says:
    kinds = {getattr(pb, f"AT_{name}") for name in names}
    return lambda n: isinstance(n, pb.AlterTableCmd) and n.subtype in kinds


def _option(statement: Any, *names: str) -> Says:
    def says(node: Any) -> bool:
        found = getattr(node, "params" if statement is pb.ReindexStmt else "options", ())
        return isinstance(node, statement) and any(only(o).defname in names for o in found)

    return says


def _unenforced(node: Any) -> bool:
    kinds = (pb.CONSTR_CHECK, pb.CONSTR_FOREIGN)
    return isinstance(node, pb.Constraint) and node.contype in kinds and not node.is_enforced


def _old_or_new(node: Any) -> bool:
    """RETURNING OLD.c or NEW.c, or with other names for the two."""
    if not isinstance(node, pb.ReturningClause):
        return False
    columns = (n for n in walk(node) if isinstance(n, pb.ColumnRef) and len(n.fields) > 1)
    first = (only(column.fields[0]) for column in columns)
    return bool(node.options) or any(
        isinstance(name, pb.String) and name.sval in ("old", "new") for name in first
    )


# by the major version that brought it: what it is, and how a node of the tree says it
FEATURES: tuple[tuple[int, str, Says], ...] = (
    (14, "DETACH PARTITION CONCURRENTLY",
     lambda n: isinstance(n, pb.PartitionCmd) and n.concurrent),
    (15, "MERGE", lambda n: isinstance(n, pb.MergeStmt)),
    (15, "NULLS NOT DISTINCT", lambda n: getattr(n, "nulls_not_distinct", False)),
    (15, "a view with security_invoker",
     lambda n: isinstance(n, pb.DefElem) and n.defname == "security_invoker"),
    (15, "SET ACCESS METHOD", _command("SetAccessMethod")),
    (16, "STORAGE in a column's definition",
     lambda n: isinstance(n, pb.ColumnDef) and bool(n.storage_name)),
    (16, "IS JSON", lambda n: isinstance(n, pb.JsonIsPredicate)),
    (16, "an SQL/JSON constructor", lambda n: isinstance(
        n, pb.JsonObjectConstructor | pb.JsonArrayConstructor | pb.JsonArrayQueryConstructor)),
    (16, "VACUUM with this option", _option(
        pb.VacuumStmt, "skip_database_stats", "only_database_stats", "process_main",
        "buffer_usage_limit")),
    (17, "MERGE ... RETURNING",
     lambda n: isinstance(n, pb.MergeStmt) and n.HasField("returning_clause")),
    (17, "WHEN NOT MATCHED BY SOURCE", lambda n: isinstance(n, pb.MergeWhenClause)
     and n.match_kind == pb.MERGE_WHEN_NOT_MATCHED_BY_SOURCE),
    (17, "SET EXPRESSION", _command("SetExpression")),
    (17, "JSON_TABLE", lambda n: isinstance(n, pb.JsonTable)),
    (17, "JSON_VALUE, JSON_QUERY and JSON_EXISTS", lambda n: isinstance(n, pb.JsonFuncExpr)),
    (17, "JSON, JSON_SCALAR and JSON_SERIALIZE", lambda n: isinstance(
        n, pb.JsonParseExpr | pb.JsonScalarExpr | pb.JsonSerializeExpr)),
    (17, "COPY with ON_ERROR", _option(pb.CopyStmt, "on_error", "log_verbosity")),
    (17, "the privilege MAINTAIN",
     lambda n: isinstance(n, pb.AccessPriv) and n.priv_name == "maintain"),
    (17, "EXPLAIN with this option", _option(pb.ExplainStmt, "serialize", "memory")),
    (18, "a virtual generated column",
     lambda n: isinstance(n, pb.Constraint) and n.generated_kind == "v"),
    (18, "a NOT NULL constraint of a table", lambda n: isinstance(n, pb.Constraint)
     and n.contype == pb.CONSTR_NOTNULL and len(n.keys) > 0),
    (18, "NOT ENFORCED", _unenforced),
    (18, "WITHOUT OVERLAPS",
     lambda n: isinstance(n, pb.Constraint) and n.without_overlaps),
    (18, "PERIOD in a foreign key",
     lambda n: isinstance(n, pb.Constraint) and (n.fk_with_period or n.pk_with_period)),
    (18, "ALTER CONSTRAINT with ENFORCED or INHERIT", lambda n: isinstance(
        n, pb.ATAlterConstraint) and (n.alter_enforceability or n.alter_inheritability)),
    (18, "RETURNING OLD and NEW", _old_or_new),
    (18, "VACUUM and ANALYZE with ONLY", lambda n: isinstance(n, pb.VacuumRelation)
     and not n.relation.inh and bool(n.relation.relname)),
)  # fmt: skip

# functions by the major version that brought them
FUNCTIONS = {
    **dict.fromkeys(("regexp_count", "regexp_instr", "regexp_like", "regexp_substr"), 15),
    **dict.fromkeys(
        ("any_value", "array_sample", "array_shuffle", "random_normal", "date_add"), 16
    ),
    **dict.fromkeys(("date_subtract", "erf", "erfc", "pg_input_is_valid"), 16),
    **dict.fromkeys(("to_bin", "to_oct", "unicode_assigned", "uuid_extract_timestamp"), 17),
    **dict.fromkeys(("uuid_extract_version", "xmltext"), 17),
    **dict.fromkeys(("uuidv4", "uuidv7", "casefold", "array_sort", "array_reverse", "crc32c"), 18),
}


def find(at: Situation) -> Iterator[Finding]:
    node, version = at.step.statement.node, at.circumstances.version
    if node is not None and version is not None:
        needed = max(_needs(at, node), default=(0, ""))
        if needed[0] > version // 10_000:
            yield _finding(at, needed[1], str(needed[0]), Provenance.STATIC)
            return
    state, error = at.facts.sqlstate, at.facts.error
    unread = state == NO_SYNTAX and "syntax error" in error
    if node is not None and (unread or NO_PARTITIONED in error):
        yield _finding(at, f"this ({at.facts.error})", "a newer version", Provenance.OBSERVED)


def _finding(at: Situation, what: str, needed: str, provenance: Provenance) -> Finding:
    version = at.circumstances.version
    here = str(version // 10_000) if version else "an older one"
    return HAZARD.at(
        at, at.named, what=what, needed=needed, version=here, provenance=provenance, lock=""
    )


def _needs(at: Situation, node: Any) -> Iterator[tuple[int, str]]:
    """What a statement needs that older servers do not have."""
    for each in walk(node):
        for version, what, says in FEATURES:
            if says(each):
                yield version, what
        if isinstance(each, pb.FuncCall):
            *schema, name = strings(each.funcname)
            if name in FUNCTIONS and schema in ([], ["pg_catalog"]):
                yield FUNCTIONS[name], f"{name}()"
    for key in at.changes.added_constraints:
        if key.kind == "f" and not key.valid and at.kind_of(key.table) == "p":
            yield 18, "a foreign key of a partitioned table that is NOT VALID"
