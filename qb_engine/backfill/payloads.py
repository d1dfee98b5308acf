"""what travels through Temporal: names and small numbers, never an address, a secret or a row"""

from __future__ import annotations

from dataclasses import dataclass

ENDED = frozenset({"completed", "failed", "cancelled"})


@dataclass(frozen=True)
class Job:
    """Which backfill, on which target (by name), and how soon a silent worker is given up."""

    target: str
    backfill: str
    heartbeat_s: float = 15.0  # a killed worker's segment is taken over after this


@dataclass(frozen=True)
class Lane:
    """One of the `parallel` activities that take a job's segments, one after the other."""

    job: Job
    number: int


@dataclass(frozen=True)
class Next:
    """What the ledger says comes next: lanes to run, or a state in which nothing does."""

    state: str
    lanes: int = 0
