"""what a signal is: a look at the server (or the clock) that says go, slow or stop, and why"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import psycopg

if TYPE_CHECKING:
    from qb_engine.backfill.spec import Spec

Says = Literal["go", "slow", "stop"]


@dataclass(frozen=True, slots=True)
class Reading:
    """What a signal says now. `release` tells what would let the backfill go on."""

    says: Says = "go"
    reason: str = ""
    release: str = ""
    value: float | None = None


GO = Reading()


class Signal(Protocol):
    """One signal. It is made anew for each lane, with the options that the user gave it."""

    name: str
    every_s: float
    """Seconds for which a reading holds."""

    def read(self, conn: psycopg.Connection[Any], spec: Spec) -> Reading:
        """Look. Called between batches, on the lane's connection, in no transaction."""


class Kind(Protocol):
    """What the file of a signal defines as SIGNAL: its class."""

    name: str
    default: bool
    """True when it is looked at unless the user leaves it out."""

    def __call__(self, options: Mapping[str, Any]) -> Signal: ...
