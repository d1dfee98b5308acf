"""making it so: the lock, run, roll back, validate, and how everything stands"""

from __future__ import annotations

from qb_engine.runner.ran import Ran
from qb_engine.runner.redo import redo
from qb_engine.runner.request import Request, refuse
from qb_engine.runner.rollback import roll_back
from qb_engine.runner.run import next_parts, run, to_run
from qb_engine.runner.status import State, Status, status
from qb_engine.runner.validate import Validation, validate

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
