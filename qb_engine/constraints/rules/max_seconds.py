"""how long a migration may take"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from qb_engine.constraints.rules.declared import Kind
from qb_engine.constraints.rules.form import Form
from qb_engine.constraints.rules.reading import Reader
from qb_engine.constraints.rules.rule import Described, Observed, Verdict
from qb_engine.errors import InputError
from qb_engine.project import seconds
from qb_engine.report import format_seconds


@dataclass(frozen=True, slots=True)
class MaxSeconds(Described):
    """The statements of one run take no longer than this together, waits for locks included."""

    momentary: ClassVar[str] = "it speaks of one run"
    limit: float

    def describe(self) -> str:
        return f"takes at most {self.limit:g} s"

    def check(self, read: Reader, memo: Any, seen: Sequence[Observed]) -> Verdict:
        ran = [each for each in seen if not each.skipped]
        took = sum(each.seconds for each in ran)
        slowest = max(ran, key=lambda each: each.seconds, default=None)
        shown = (f"longest: statement {slowest.number}",) if slowest else ()
        ok = took <= self.limit
        fix = "see what takes the time in qb plan; a backfill changes many rows in batches"
        limit = f"at most {self.limit:g} s"
        return Verdict(ok, format_seconds(took), limit, fix, () if ok else shown)


def _read(value: Any, beside: Mapping[str, Any], form: Form, root: Path) -> MaxSeconds:
    try:
        limit = seconds(value) if isinstance(value, str | int | float) else -1.0
    except InputError:
        limit = -1.0
    if isinstance(value, bool) or not limit > 0:
        raise form.expected("its value", "a number of seconds, or 500ms, 2s, 5min", value)
    return MaxSeconds(limit)


KIND = Kind("max_seconds", _read, {"max_seconds": 2})
