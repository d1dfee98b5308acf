"""how a backfill goes on: what may be changed while it runs, and what becomes of errors"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from qb_engine.migrations.declaration import Backfill

OnError = Literal["stop", "quarantine", "call"]


@dataclass(frozen=True, slots=True)
class Options:
    """What the ledger keeps of it, as JSON.

    `max_rate` is in rows per second of all lanes together, `target_ms` how long a batch may hold
    its locks. `throttle` has the options of signals by their names, False where one is left out.
    `on_error` and `retry_calls` say that a method of the declaration decides.
    """

    target_ms: float = 250.0
    max_rate: float | None = None
    window: str = ""
    throttle: Mapping[str, Any] = field(default_factory=dict)
    tuning: Mapping[str, Any] = field(default_factory=dict)  # what was tuned: it wins
    on_error: OnError = "stop"
    max_errors: int = 100
    retry: Mapping[str, Any] = field(default_factory=dict)
    retry_calls: bool = False
    validate_calls: bool = False
    keep_in_sync: bool = False

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Options:
        """What the ledger has; a key that another qb wrote and this one does not know is left."""
        known = {each.name for each in fields(cls)}
        return cls(**{name: value for name, value in kept.items() if name in known})


def declared_options(declared: Backfill) -> Options:
    """The options as a declaration gives them."""
    calls = callable(declared.retry)
    return Options(
        target_ms=float(declared.target_ms),
        max_rate=declared.max_rate,
        window=declared.window,
        throttle=dict(declared.throttle),
        on_error="call" if callable(declared.on_error) else declared.on_error,
        max_errors=declared.max_errors,
        retry={} if calls else dict(declared.retry),
        retry_calls=calls,
        validate_calls=callable(declared.validate),
        keep_in_sync=declared.keep_in_sync,
    )
