"""What must be true before a migration runs: inferred from its SQL, verified on a target.

Constraints are plain dictionaries, so that they stand in a migration file and can be read,
trimmed and kept: `{"users": {"must_exist": True, "columns": {"id": {"type": "bigint"}}}}`.
"""

from __future__ import annotations

from qb_engine.constraints.course import Course
from qb_engine.constraints.infer import infer
from qb_engine.constraints.shape import check_shape, table_key
from qb_engine.constraints.types import type_names
from qb_engine.constraints.uses import Use, uses
from qb_engine.constraints.verify import Check, verify

__all__ = [
    "Check",
    "Course",
    "Use",
    "check_shape",
    "infer",
    "table_key",
    "type_names",
    "uses",
    "verify",
]
