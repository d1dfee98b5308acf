"""from the SQL of a migration to what it relies on"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from qb_engine import operations
from qb_engine.constraints.course import Course
from qb_engine.constraints.shape import table_key
from qb_engine.constraints.uses import Use
from qb_engine.operations import Operation, Requirement, Schema
from qb_engine.operations.mentions import as_is
from qb_engine.sql import Statement

Uses = Mapping[Statement, Iterable[Use] | None]


def infer(
    statements: Iterable[Statement], schema: Schema, uses: Uses | None = None
) -> dict[str, Any]:
    """Every table and column that statements rely on, with type and nullability as they stand.

    What the statements make themselves is not required. `uses` holds what PostgreSQL said about
    a statement; for the others the parse tree and the schema decide.
    """
    course = Course(schema)
    found: dict[str, dict[str, Any]] = {}
    for statement in statements:
        told = (uses or {}).get(statement)
        for operation in operations.read(statement):
            for requirement in _requirements(operation, schema, told):
                if (wanted := course.before(requirement)) is not None:
                    _add(found, wanted)
            course.after(operation)
    return found


def _requirements(
    operation: Operation, schema: Schema, told: Iterable[Use] | None
) -> Iterator[Requirement]:
    if told is None:
        yield from operation.requires(schema)
        return
    for use in told:
        yield Requirement(use.table, use.schema)
        if use.column is not None:
            yield as_is(schema, use.table, use.schema, use.column)


def _add(found: dict[str, dict[str, Any]], wanted: Requirement) -> None:
    """Merge a requirement into the constraints."""
    table = found.setdefault(table_key(wanted.schema, wanted.table), {"must_exist": True})
    if wanted.column is not None:
        column = table.setdefault("columns", {}).setdefault(wanted.column, {})
        if wanted.type is None:
            column.setdefault("must_exist", wanted.must_exist)
        if wanted.type is not None:
            column["type"] = wanted.type
        if wanted.nullable is not None:
            column["nullable"] = wanted.nullable
    elif wanted.index is not None:
        index = table.setdefault("indexes", {}).setdefault(wanted.index, {})
        index["must_exist"] = wanted.must_exist
    elif not wanted.must_exist and table == {"must_exist": True}:
        table["must_exist"] = False
