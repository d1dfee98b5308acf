"""are the constraints met by a schema? what was expected, and what is there"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from qb_engine.constraints.shape import check_shape
from qb_engine.constraints.types import accepts
from qb_engine.errors import InputError
from qb_engine.schema import ColumnInfo, Table
from qb_engine.sql.tree import expression

EXISTS, MISSING = "exists", "does not exist"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at: what is expected, what was found."""

    what: str
    expected: str
    found: str
    ok: bool
    where: str = ""


class Described(Protocol):
    """What is asked of a schema: a snapshot, or a look at a few tables."""

    def table(self, name: str, schema: str = "public") -> Table | None: ...

    def has_index(self, schema: str, name: str) -> bool: ...


def verify(
    constraints: Mapping[str, Any], schema: Described, types: Callable[[str], str], where: str = ""
) -> tuple[Check, ...]:
    """Compare constraints with a schema.

    `types` writes a type name as snapshots do and raises KeyError for what is no type. Raise
    InputError when the constraints do not have the form of constraints.
    """
    found: list[Check] = []
    for name, wanted in check_shape(constraints, where).items():
        found += _table(name, wanted, schema, types)
    return tuple(found)


def _table(
    name: str, wanted: Mapping[str, Any], schema: Described, types: Callable[[str], str]
) -> Iterator[Check]:
    table = schema.table(name)
    must_exist = wanted.get("must_exist", True)
    yield _existence(f"table {name}", must_exist, table is not None)
    if not must_exist:
        return
    for column, about in wanted.get("columns", {}).items():
        yield from _column(f"{name}.{column}", column, about, table, types)
    for index, about in wanted.get("indexes", {}).items():
        yield from _index(index, about, table, schema)
    if "primary_key" in wanted:
        expected, there = tuple(wanted["primary_key"]), table.primary_key if table else ()
        yield Check(f"primary key of {name}", _listed(expected), _listed(there), expected == there)


def _column(
    path: str,
    name: str,
    about: Mapping[str, Any],
    table: Table | None,
    types: Callable[[str], str],
) -> Iterator[Check]:
    column = table.columns.get(name) if table else None
    must_exist = about.get("must_exist", True)
    if not must_exist or column is None or set(about) <= {"must_exist"}:
        yield _existence(f"column {path}", must_exist, column is not None)
    if not must_exist or column is None:
        return
    if "type" in about:
        yield _type(path, about["type"], column, types)
    if "nullable" in about:
        expected, there = _null(about["nullable"]), _null(column.nullable)
        yield Check(f"nullability of {path}", expected, there, expected == there)
    if "default" in about:
        yield _default(path, about["default"], column)


def _type(path: str, wanted: str, column: ColumnInfo, types: Callable[[str], str]) -> Check:
    what = f"type of {path}"
    try:
        canonical = types(wanted)
    except KeyError:
        return Check(what, wanted, f"{column.type} (the server knows no type {wanted})", False)
    return Check(what, wanted, column.type, accepts(canonical, column.type))


def _default(path: str, wanted: str | bool | None, column: ColumnInfo) -> Check:
    there = None if column.generated else column.default
    if isinstance(wanted, bool):
        expected, ok = ("a default" if wanted else "no default"), (there is not None) == wanted
    elif wanted is None:
        expected, ok = "no default", there is None
    else:
        expected, ok = wanted, there is not None and _same(wanted, there)
    return Check(f"default of {path}", expected, there or "no default", ok)


def _same(wanted: str, found: str) -> bool:
    """True when two defaults are one expression; a cast that the server added does not count."""
    try:
        one, other = expression(wanted), expression(found)
    except InputError:
        return False
    return one == other or other.startswith(f"{one}::")


def _index(
    name: str, about: Mapping[str, Any], table: Table | None, schema: Described
) -> Iterator[Check]:
    index = table.indexes.get(name) if table else None
    must_exist = about.get("must_exist", True)
    taken = index is not None
    if not must_exist and table is not None:
        # names of indexes are unique in a schema, whatever table they are on
        taken = taken or schema.has_index(table.schema, name)
    yield _existence(f"index {name}", must_exist, taken)
    if must_exist and "valid" in about:
        valid = index is not None and index.valid
        words = {True: "valid", False: "not valid"}
        there = words[valid] if index is not None else MISSING
        ok = index is not None and valid == about["valid"]
        yield Check(f"validity of index {name}", words[about["valid"]], there, ok)


def _existence(what: str, expected: bool, found: bool) -> Check:
    words = {True: EXISTS, False: MISSING}
    return Check(what, words[expected], words[found], expected == found)


def _null(nullable: bool) -> str:
    return "NULL allowed" if nullable else "NOT NULL"


def _listed(columns: tuple[str, ...]) -> str:
    return ", ".join(columns) or "none"
