"""What a PostgreSQL schema looks like: a snapshot of it as values, its fingerprint, a diff.

`snapshot` reads a whole database in a few queries, `probe` says in one whether anything has
changed, `diff` says what.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qb_engine.doors import opened

if TYPE_CHECKING:
    from qb_engine.schema.capture import snapshot
    from qb_engine.schema.compare import Difference, diff
    from qb_engine.schema.ids import KINDS, ObjectId
    from qb_engine.schema.state import FORMAT_VERSION, Snapshot
    from qb_engine.schema.tables import ColumnInfo, ConstraintInfo, IndexInfo, Table, TriggerInfo
    from qb_engine.schema.xmin import probe
else:
    opened(
        __name__,
        {
            "capture": "snapshot",
            "compare": "Difference diff",
            "ids": "KINDS ObjectId",
            "state": "FORMAT_VERSION Snapshot",
            "tables": "ColumnInfo ConstraintInfo IndexInfo Table TriggerInfo",
            "xmin": "probe",
        },
    )

__all__ = [
    "FORMAT_VERSION",
    "KINDS",
    "ColumnInfo",
    "ConstraintInfo",
    "Difference",
    "IndexInfo",
    "ObjectId",
    "Snapshot",
    "Table",
    "TriggerInfo",
    "diff",
    "probe",
    "snapshot",
]
