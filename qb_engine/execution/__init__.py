"""steps on a connection: transactions, savepoints, timeouts, retries, and what was observed

There is one executor. A plan's facts, a dry run and a run differ in policy and place only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qb_engine.doors import opened

if TYPE_CHECKING:
    from qb_engine.execution.blocks import Block, Step, blocks, steps_where
    from qb_engine.execution.executor import Executor
    from qb_engine.execution.failure import StepFailed
    from qb_engine.execution.observation import Lock, Observation, Scan
    from qb_engine.execution.place import Place
    from qb_engine.execution.stage import Policy
else:
    opened(
        __name__,
        {
            "blocks": "Block Step blocks steps_where",
            "executor": "Executor",
            "failure": "StepFailed",
            "observation": "Lock Observation Scan",
            "place": "Place",
            "stage": "Policy",
        },
    )

__all__ = [
    "Block",
    "Executor",
    "Lock",
    "Observation",
    "Place",
    "Policy",
    "Scan",
    "Step",
    "StepFailed",
    "blocks",
    "steps_where",
]
