"""a column's new type: values that do not fit into it, or cannot be read as it"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from qb_engine.analysis.named import WANTED, parts
from qb_engine.analysis.witnesses.claim import Claim
from qb_engine.operations import read as operations_of
from qb_engine.operations.alter_column_type import AlterColumnType
from qb_engine.sql import literal
from qb_engine.sql.tree import expression_of, only, parse

if TYPE_CHECKING:
    from qb_engine.analysis.changes import Changes
    from qb_engine.database.connect import Connection
    from qb_engine.sql import Statement

# columns as they are now, of tables that do not have them from a parent
COLUMNS = f"""
SELECT wanted.name, pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname),
       a.attname::text, pg_catalog.quote_ident(a.attname),
       pg_catalog.format_type(a.atttypid, a.atttypmod), t.typname::text, t.typtype::text,
       a.atttypmod,
       ARRAY(SELECT e.enumlabel::text FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid
              ORDER BY e.enumsortorder)
  FROM {WANTED}
  JOIN pg_catalog.pg_namespace n ON n.nspname = wanted.nsp
  JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = wanted.rel
  JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = wanted.part
  JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
 WHERE a.attinhcount = 0
"""
HEADER = 4  # what typmods of strings and numbers count on top
RANGES = {
    "int2": (-(2**15), 2**15 - 1),
    "int4": (-(2**31), 2**31 - 1),
    "int8": (-(2**63), 2**63 - 1),
}
INTEGERS = ("smallint", "integer", "bigint")
STRINGS = ("varchar", "bpchar")


def read(conn: Connection, changes: Changes, statement: Statement) -> Iterator[Claim]:
    changed = {(c.after.table, c.after.name): c.before for c in changes.retyped_columns}
    if not changed:
        return
    rows = conn.execute(COLUMNS.encode(), parts(changed)).fetchall()
    for row in rows:
        before = changed[row[0], row[2]].type
        if claim := _claim(row, before, _using(statement, row[2])):
            yield claim


def _using(statement: Statement, column: str) -> str:
    """The expression that the statement gives for a column's new values; empty without one."""
    for each in operations_of(statement):
        if isinstance(each, AlterColumnType) and each.column == column:
            return each.using or ""
    return ""


def _claim(row: tuple[Any, ...], before: str, using: str) -> Claim | None:
    relation, table, name, column, new, base, kind, typmod, labels = row
    value, inner = f"({using})" if using else column, f"({_uncast(using)})" if using else column
    says = f"{{do}} not fit: {name} becomes {_short(new)}"
    where = ""
    attempt = conversion = ""
    if kind == "e":
        allowed = ", ".join(literal(label) for label in labels) or "NULL"
        where = f"{inner} IS NOT NULL AND ({inner})::text NOT IN ({allowed})"
        says = f"{{have}} a {name} that {_short(new)} does not know"
    elif base in STRINGS:
        if typmod < HEADER:
            return None
        length = typmod - HEADER
        if (using and _outer(using)) or (not using and _length(before) <= length):
            return None  # a cast cuts off what is too long
        rest = f"pg_catalog.substr(({value})::text, {length + 1})"
        where = f"pg_catalog.rtrim({rest}, ' ') <> ''"
        says = f"{{have}} more than {length} characters in {name}"
    elif base == "text" or (not using and _wider(before, new)):
        return None
    elif base in RANGES and before in INTEGERS and not using:
        low, high = RANGES[base]
        where = f"{column} NOT BETWEEN {low} AND {high}"
    elif base == "numeric" and typmod >= HEADER and not using and _number(before):
        precision, scale = (typmod - HEADER) >> 16, _scale(typmod)
        number = f"({column})::pg_catalog.numeric"
        rounded = f"pg_catalog.abs(pg_catalog.round({number}, {scale}))"
        where = f"{rounded} >= 1e{precision - scale} AND {number} <> 'NaN'"
    else:
        attempt, conversion = f"({value})::{new}", inner
    source = f"FROM {table} WHERE {where}" if where else ""
    return Claim(
        "conversion", relation, table, says, "", (name,), source, attempt, conversion, new
    )  # fmt: skip


def _outer(using: str) -> Any:
    """The cast that an expression ends with, if it does."""
    node = only(parse(f"SELECT {using}").target_list[0].res_target.val)
    return node if type(node).__name__ == "TypeCast" else None


def _uncast(using: str) -> str:
    """An expression without the cast that it ends with."""
    cast = _outer(using)
    return expression_of(cast.arg) if cast is not None else using


def _length(type: str) -> float:
    """The characters that a string of this type may have."""
    found = re.fullmatch(r"character(?: varying)?\((\d+)\)", type)
    return int(found[1]) if found else math.inf


def _number(type: str) -> bool:
    return type in INTEGERS or type.startswith("numeric")


def _wider(before: str, after: str) -> bool:
    """True when every value of one type is one of the other."""
    if before in INTEGERS and after in INTEGERS:
        return INTEGERS.index(before) <= INTEGERS.index(after)
    return _number(before) and after == "numeric"


def _scale(typmod: int) -> int:
    """The scale of a numeric's typmod: 11 bits, with a sign."""
    scale = (typmod - HEADER) & 0x7FF
    return scale - 0x800 if scale & 0x400 else scale


def _short(type: str) -> str:
    return type.removeprefix("public.")
