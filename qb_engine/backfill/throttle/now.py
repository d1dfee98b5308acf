"""what every signal says of a target at this moment: for who wonders why a backfill waits"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg

from qb_engine.backfill.throttle import settings
from qb_engine.backfill.throttle.look import Look
from qb_engine.backfill.throttle.signal import Signal

if TYPE_CHECKING:
    from qb_engine.backfill.spec import Spec

OWN = {"window": "hours", "rate": "max_rate"}  # what says that it is looked at


@dataclass(frozen=True, slots=True)
class SignalNow:
    """A signal, its options, and what it says: `off` when it is not looked at.

    `unseen` is why it cannot be read, or not as a whole.
    """

    signal: str
    says: str
    reason: str
    release: str
    value: float | None
    unseen: str
    options: Mapping[str, Any]
    about: str


def read(conn: psycopg.Connection[Any], spec: Spec) -> tuple[SignalNow, ...]:
    """Look at every signal of a backfill, as a lane would between two batches."""
    options = spec.options
    built = {each.name: each for each in settings.build(options.throttle, options.window)}
    look = Look(built.values())
    look.read(conn, spec)
    unread = {each.signal: each.why for each in look.unread}
    found = []
    for name, kind in settings.known().items():
        signal = built.get(name)
        reading = look.reading(name)
        given = settings.values(signal) if signal else {}
        if name == "rate":
            given = {"max_rate": options.max_rate}
        says = reading.says if _on(name, signal, given) else "off"
        found.append(
            SignalNow(
                *(name, says, reading.reason, reading.release, reading.value),
                *(unread.get(name, ""), given, _about(kind)),
            )
        )
    return tuple(found)


def _on(name: str, signal: Signal | None, given: Mapping[str, Any]) -> bool:
    return signal is not None and (name not in OWN or bool(given.get(OWN[name])))


def _about(kind: type[Signal]) -> str:
    """The first sentence of its documentation."""
    text = " ".join((kind.__doc__ or "").split())
    return text.partition(". ")[0].rstrip(".")
