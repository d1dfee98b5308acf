"""the data change over a whole table: in batches, each row written once, driven by Temporal

The ledger in the target says what is done and what is wanted; a batch moves its cursor in the same
transaction as its rows. Temporal has the segments run, and run again when a worker dies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qb_engine.backfill.control import Done, cancel, pause, resume, start, status, tune
    from qb_engine.backfill.driving.worker_process import stop_worker
    from qb_engine.backfill.reporting.measure import Progress, progress
    from qb_engine.backfill.retrying import retry

__all__ = [
    "Done",
    "Progress",
    "cancel",
    "pause",
    "progress",
    "resume",
    "retry",
    "start",
    "status",
    "stop_worker",
    "tune",
]

_HOMES = {
    "Progress": "reporting.measure",
    "progress": "reporting.measure",
    "retry": "retrying",
    "stop_worker": "driving.worker_process",
}


def __getattr__(name: str) -> Any:
    """Import on first use: the workflow's sandbox and `qb --help` import this package, too."""
    from importlib import import_module

    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'control')}"), name)
