"""the form that constraints have, and clear words when they have another"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from qb_engine.errors import InputError

TABLE = ("must_exist", "columns", "indexes", "primary_key")
COLUMN = ("must_exist", "type", "nullable", "default")
INDEX = ("must_exist", "valid")


def table_key(schema: str | None, table: str) -> str:
    """A table as a key of constraints: bare in public, else `schema.table`."""
    return table if schema in (None, "public") else f"{schema}.{table}"


def check_shape(constraints: Any, where: str = "") -> Mapping[str, Mapping[str, Any]]:
    """The constraints as they are when their form is right.

    Raise InputError that names the place and the nearest known key.
    """
    for table, wanted in _mapping(constraints, "constraints", where).items():
        path = f"constraints[{table!r}]"
        _keys(wanted, TABLE, path, where)
        _flags(wanted, ("must_exist",), path, where)
        for column, about in _mapping(wanted.get("columns", {}), f"{path}.columns", where).items():
            at = f"{path}.columns[{column!r}]"
            _keys(about, COLUMN, at, where)
            _flags(about, ("must_exist", "nullable"), at, where)
            if not isinstance(about.get("type", ""), str):
                raise _wrong(f"{at}.type", "the name of a type", about["type"], where)
            if not isinstance(about.get("default", ""), str | bool | None):
                raise _wrong(f"{at}.default", "SQL, None or True", about["default"], where)
        for index, about in _mapping(wanted.get("indexes", {}), f"{path}.indexes", where).items():
            at = f"{path}.indexes[{index!r}]"
            _keys(about, INDEX, at, where)
            _flags(about, INDEX, at, where)
        key = wanted.get("primary_key", [])
        if isinstance(key, str) or not isinstance(key, Iterable):
            raise _wrong(f"{path}.primary_key", "a list of column names", key, where)
        if wanted.get("must_exist") is False and len(wanted) > 1:
            raise InputError(
                f"{path} must not exist, and yet something is said about it",
                where=where,
                todo="remove must_exist: False, or the rest",
                code="bad-constraints",
            )
    return dict(constraints)


def _mapping(value: Any, path: str, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _wrong(path, "a dictionary", value, where)
    for key in value:
        if not isinstance(key, str) or not key:
            raise _wrong(f"a key of {path}", "a name", key, where)
    return value


def _keys(value: Any, known: tuple[str, ...], path: str, where: str) -> None:
    for key in _mapping(value, path, where):
        if key not in known:
            near = difflib.get_close_matches(key.lower(), known, n=1, cutoff=0.4)
            raise InputError(
                f"{path} has the unknown key {key!r}",
                where=where,
                why=f"known keys here: {', '.join(known)}",
                todo=f"did you mean {near[0]!r}?" if near else "remove it",
                code="bad-constraints",
            )


def _flags(value: Mapping[str, Any], names: tuple[str, ...], path: str, where: str) -> None:
    for name in names:
        if not isinstance(value.get(name, True), bool):
            raise _wrong(f"{path}.{name}", "True or False", value[name], where)


def _wrong(path: str, expected: str, found: Any, where: str) -> InputError:
    return InputError(
        f"{path} is {found!r}",
        where=where,
        why=f"{expected} is expected",
        todo='write it as {"users": {"must_exist": True, "columns": {"id": {"type": "bigint"}}}}',
        code="bad-constraints",
    )
