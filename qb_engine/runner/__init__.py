"""making it so: the lock, run, roll back, validate, and how everything stands"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qb_engine.doors import opened

if TYPE_CHECKING:
    from qb_engine.runner.ran import Ran
    from qb_engine.runner.redo import redo
    from qb_engine.runner.request import Request, refuse
    from qb_engine.runner.rollback import roll_back
    from qb_engine.runner.run import next_parts, run, to_run
    from qb_engine.runner.status import State, Status, status
    from qb_engine.runner.validate import Validation, validate
else:
    opened(
        __name__,
        {
            "ran": "Ran",
            "redo": "redo",
            "request": "Request refuse",
            "rollback": "roll_back",
            "run": "next_parts run to_run",
            "status": "State Status status",
            "validate": "Validation validate",
        },
    )

__all__ = [
    "Ran",
    "Request",
    "State",
    "Status",
    "Validation",
    "next_parts",
    "redo",
    "refuse",
    "roll_back",
    "run",
    "status",
    "to_run",
    "validate",
]
