"""how strong the locks of a migration may be"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from qb_engine.constraints.rules.declared import Kind
from qb_engine.constraints.rules.form import Form
from qb_engine.constraints.rules.names import TableName, table
from qb_engine.constraints.rules.reading import Reader
from qb_engine.constraints.rules.rule import Described, Observed, Verdict

# PostgreSQL's table lock modes, weakest first.
MODES = (
    "ACCESS SHARE",
    "ROW SHARE",
    "ROW EXCLUSIVE",
    "SHARE UPDATE EXCLUSIVE",
    "SHARE",
    "SHARE ROW EXCLUSIVE",
    "EXCLUSIVE",
    "ACCESS EXCLUSIVE",
)


@dataclass(frozen=True, slots=True)
class MaxLock(Described):
    """No lock on a table that was there before (or on one of them) is stronger than this."""

    momentary: ClassVar[str] = "it speaks of one run"
    mode: str
    table: TableName | None = None

    def describe(self) -> str:
        return f"no lock above {self.mode}" + (f" on {self.table}" if self.table else "")

    def check(self, read: Reader, memo: Any, seen: Sequence[Observed]) -> Verdict:
        found = [
            (MODES.index(mode), lock.relation, each)
            for each in seen
            for lock in each.locks
            if not lock.index and self._means(lock.relation) and (mode := spelled(lock.mode))
        ]
        limit = f"at most {self.mode}"
        if not found:
            return Verdict(True, "no lock", limit)
        at, relation, step = max(found, key=lambda each: each[0])
        ok = at <= MODES.index(self.mode)
        statement = f"statement {step.number}: {' '.join(step.sql.split())[:100]}"
        fix = "see in qb plan which statement takes it, and write it another way"
        rows = () if ok else (statement,)
        return Verdict(ok, f"{MODES[at]} on {relation}", limit, fix, rows)

    def _means(self, relation: str) -> bool:
        if self.table is None:
            return True
        if self.table.schema:
            return relation == f"{self.table.schema}.{self.table.name}"
        return relation.endswith(f".{self.table.name}")


def spelled(mode: str) -> str:
    """A mode as the documentation writes it (`AccessShareLock` is ACCESS SHARE), "" for no mode."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", mode.strip()).upper().split()
    text = " ".join(words[:-1] if words[-1:] == ["LOCK"] else words)
    return text if text in MODES else ""


def _read(value: Any, beside: Mapping[str, Any], form: Form, root: Path) -> MaxLock:
    mode = spelled(value) if isinstance(value, str) else ""
    if not mode:
        raise form.expected("its value", f"one of {', '.join(MODES)}", value)
    return MaxLock(mode, table(beside["table"], form) if "table" in beside else None)


KIND = Kind("max_lock", _read, {"max_lock": "SHARE UPDATE EXCLUSIVE", "table": "users"}, ("table",))
