"""what travels through Temporal: names and small numbers, never an address, a secret or a row"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

ENDED = frozenset({"completed", "failed", "cancelled"})
GOING = frozenset({"pending", "running", "verifying"})  # a worker fills rows, or will at once


@dataclass(frozen=True)
class Job:
    """Which backfill, on which target (by name), and how its workflow goes about it.

    `run` counts how often it continued as new. A field that is added needs a default: workflows
    that run already were given fewer.
    """

    target: str
    backfill: str
    heartbeat_s: float = 15.0  # a killed worker's segment is taken over after this
    slice_s: float = 600.0  # a lane ends after this, so that new code and new runs get their turn
    events: int = 1_500  # of a run's history: then it continues as new; the server ends at 51,200
    attributes: bool = False  # the server knows our search attributes
    run: int = 0


@dataclass(frozen=True)
class Look:
    """A look at the ledger, while these lanes run."""

    job: Job
    busy: list[int]


@dataclass(frozen=True)
class Lane:
    """One of the `parallel` activities that take a job's segments, one after the other."""

    job: Job
    number: int


@dataclass(frozen=True)
class Next:
    """What the ledger says comes next: so many lanes to run, or a state in which nothing does."""

    state: str
    lanes: int = 0


@dataclass(frozen=True)
class Order:
    """What somebody wants of a backfill: pause, resume, cancel, or tune with these changes."""

    job: Job
    wanted: str
    changes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Standing:
    """What a workflow knows from its own memory: the answer to the query `state`.

    `lanes` are the numbers of those that run, `slices` how many ended in this run, `runs` how
    often it continued as new.
    """

    state: str
    lanes: list[int]
    slices: int
    runs: int
