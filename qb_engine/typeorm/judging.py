"""what a run on a scratch database proves: a recording, or why it can be none

A recording shows one path. It counts only where nothing that may be otherwise on the target decided
which path that was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qb_engine.migrations.typescript.values import Query
from qb_engine.sql import SqlError, Statement, read
from qb_engine.sql.tree import only, pb, strings, walk

ROWS = "what it does depends on rows that are in the target"
SHOWN = 70  # characters of a statement in a reason

# functions whose answer tells of the schema or the server, and not of rows
_LOOKING = (
    *("version", "current_schema", "current_schemas", "current_database", "current_user"),
    *("session_user", "current_setting", "to_regclass", "to_regtype", "to_regproc", "quote_ident"),
    *("has_table_privilege", "has_schema_privilege", "format_type", "obj_description"),
    *("exists", "count", "coalesce", "col_description", "format", "max", "min", "string_agg"),
    *("array_agg", "lower", "upper", "array_to_string", "unnest", "length", "concat", "json_agg"),
)
# ... and those that answer otherwise each time
_MOMENT = (
    *("now", "clock_timestamp", "statement_timestamp", "transaction_timestamp", "random"),
    *("gen_random_uuid", "uuid_generate_v4", "uuid_generate_v1", "nextval", "timeofday"),
)


@dataclass(frozen=True, slots=True)
class Heard:
    """What one method sent: its queries, and what it saw before; or `refused`, why it is none."""

    queries: tuple[Query, ...] = ()
    looks: tuple[str, ...] = ()
    refused: str = ""


def heard(told: Mapping[str, Any], env: Sequence[str] = ()) -> Heard:
    """What the recorder tells of a method, judged."""
    looks = list(dict.fromkeys(told["looks"]))
    if told["direct"]:
        return Heard(refused=told["direct"])
    if told["control"]:
        return Heard(refused=f"it ends or begins transactions itself: {_short(told['control'])}")
    if env:
        names = ", ".join(sorted(env))
        return Heard(refused=f"what it does depends on the environment: process.env.{names}")
    queries = []
    for sent in told["sent"]:
        if sent["failed"]:
            return Heard(
                refused=f"a statement failed and it went on: {_short(sent['sql'])} "
                f"({sent['failed']})"
            )
        if (sent["used"] or sent["structured"]) and not sent["api"]:
            refused, look = _of_result(sent)
            if refused:
                return Heard(refused=refused)
            if look:
                looks.append(f"read: {_short(sent['sql'])}")
                continue
        given = sent["parameters"]
        queries.append(Query(sent["sql"], None if given is None else tuple(given)))
    if told["late"]:
        looks.append("it does not await all of its queries")
    return Heard(tuple(queries), tuple(dict.fromkeys(looks)))


def judged(told: Mapping[str, Any], way: str = "up") -> Heard:
    """What the recorder tells of a migration's `up` or `down`, with everything that speaks of it.

    What was run twice has to have sent the same twice.
    """
    first = heard(told[way], told.get("env", ()))
    if first.refused or way != "up" or not told.get("again"):
        return first
    second = heard(told["again"], told.get("env", ()))
    if second.refused or second.queries != first.queries:
        return Heard(refused=second.refused or "it sent something else when it was run again")
    return first


def _of_result(sent: Mapping[str, Any]) -> tuple[str, bool]:
    """Why a result that was used makes it none; else whether the statement only looked."""
    sql = sent["sql"]
    try:
        statements = read(sql)
    except SqlError:
        return f"{ROWS}: it uses the result of {_short(sql)}", False
    only_reads = bool(statements) and all(_is_select(each) for each in statements)
    if not only_reads:
        returns = any(_returns(each) for each in statements)
        if sent["used"] or returns:  # rows, or the number of them
            return f"{ROWS}: it uses the result of {_short(sql)}", False
        return "", False
    if any(not _of_catalog(*place) for each in statements for place in each.relations):
        return f"{ROWS}: it uses the result of {_short(sql)}", False
    called = {name for each in statements for name in _functions(each)}
    if moments := sorted(called & set(_MOMENT)):
        return f"it uses what {moments[0]}() answered at the moment it ran", False
    others = sorted(n for n in called if n not in _LOOKING and not n.startswith("pg_"))
    if others:
        return f"{ROWS}: it uses what {others[0]}() answered", False
    return "", True


def _is_select(statement: Statement) -> bool:
    if not isinstance(statement.node, pb.SelectStmt):
        return False
    writes = pb.InsertStmt | pb.UpdateStmt | pb.DeleteStmt | pb.MergeStmt
    return not any(isinstance(each, writes) for each in walk(statement.node))


def _returns(statement: Statement) -> bool:
    if statement.node is None:
        return True
    writes = pb.InsertStmt | pb.UpdateStmt | pb.DeleteStmt
    return any(
        isinstance(each, writes) and each.HasField("returning_clause")
        for each in walk(statement.node)
    ) or isinstance(statement.node, pb.SelectStmt)


def _of_catalog(schema: str, name: str) -> bool:
    if schema:
        return schema in ("pg_catalog", "information_schema")
    return name.startswith("pg_")


def _functions(statement: Statement) -> list[str]:
    found = [each for each in walk(statement.node) if isinstance(each, pb.FuncCall)]
    return [strings([n for n in each.funcname if only(n) is not None])[-1] for each in found]


def _short(sql: str) -> str:
    text = " ".join(sql.split())
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."
