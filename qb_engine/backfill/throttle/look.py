"""a look at all signals that are due, in one round trip where nothing fails"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from qb_engine.backfill.throttle.signal import GO, READ_MS, Found, Reading, Signal
from qb_engine.database.connect import lost

if TYPE_CHECKING:
    from qb_engine.backfill.spec import Spec

Connection = psycopg.Connection[Any]

ALL = sql.SQL("SELECT set_config('statement_timeout', {ms}, true); SELECT {rows}")
EACH = sql.SQL("(SELECT to_jsonb(q) FROM ({query}) AS q)")
AGAIN_S = 30.0  # a signal that could not be read is tried again after this

ORDER = {"go": 0, "slow": 1, "stop": 2}


@dataclass(frozen=True, slots=True)
class Unread:
    """A signal that could not be read, or not as a whole, and why."""

    signal: str
    why: str


@dataclass(slots=True)
class _Kept:
    reading: Reading = GO
    found: Found | None = None
    due: float = 0.0


class Look:
    """The signals of one lane, what they said last, and when they are read again."""

    def __init__(self, signals: Iterable[Signal]) -> None:
        self.signals = {each.name: each for each in signals if each.between}
        self.unread: list[Unread] = []
        """What could not be read in the last look."""

        self._kept = {name: _Kept() for name in self.signals}

    @property
    def due(self) -> bool:
        now = time.monotonic()
        return any(kept.due <= now for kept in self._kept.values())

    def worst(self) -> tuple[str, Reading]:
        """The signal that holds most, and what it says; an empty name when all say go."""
        held = [(name, kept.reading) for name, kept in self._kept.items()]
        name, reading = max(held, key=lambda each: ORDER[each[1].says], default=("", GO))
        return ("", GO) if reading.says == "go" else (name, reading)

    def readings(self) -> dict[str, Reading]:
        """What each signal said last."""
        return {name: kept.reading for name, kept in self._kept.items()}

    def reading(self, name: str) -> Reading:
        """What a signal said last; go where it was not read."""
        return self._kept[name].reading if name in self._kept else GO

    def value(self, name: str) -> float | None:
        """What a signal measured last."""
        return self.reading(name).value

    def read(self, conn: Connection, spec: Spec) -> None:
        """Read what is due. Raise psycopg's error only when the connection is gone."""
        self.unread = []
        now = time.monotonic()
        due = [each for name, each in self.signals.items() if self._kept[name].due <= now]
        asked = [(each, query) for each in due if (query := each.asking(spec)) is not None]
        together = self._together(conn, asked) if len(asked) > 1 else {}
        for signal in due:
            try:
                alone = signal.name not in together
                self._judge(signal, signal.ask(conn, spec) if alone else together[signal.name])
            except psycopg.Error as error:
                if lost(error) or conn.closed:
                    raise
                self._unread(signal, error.diag.message_primary or " ".join(str(error).split()))
            except (ValueError, TypeError, KeyError) as error:
                self._unread(signal, str(error) or type(error).__name__)

    def _together(
        self, conn: Connection, asked: list[tuple[Signal, sql.Composable]]
    ) -> dict[str, Found | None]:
        """All rows in one round trip; nothing when one of them fails: who, tells each alone."""
        rows = sql.SQL(", ").join(EACH.format(query=query) for _, query in asked)
        try:
            cursor = conn.execute(ALL.format(ms=sql.Literal(str(READ_MS)), rows=rows))
            cursor.nextset()
            (row,) = cursor.fetchall()
        except psycopg.Error as error:
            if lost(error) or conn.closed:
                raise
            return {}
        return {signal.name: found for (signal, _), found in zip(asked, row, strict=True)}

    def _judge(self, signal: Signal, found: Found | None) -> None:
        kept = self._kept[signal.name]
        if found is None:
            reading = GO
        else:
            reading = signal.judge(found, kept.found, held=kept.reading.says == "stop")
        if reading.unseen:
            self.unread.append(Unread(signal.name, reading.unseen))
        self._kept[signal.name] = _Kept(reading, found, time.monotonic() + signal.every_s)

    def _unread(self, signal: Signal, why: str) -> None:
        self.unread.append(Unread(signal.name, why))
        reading = GO
        if signal.unread != "go":
            reading = Reading(signal.unread, f"it cannot be read: {why}", "it can be read again")
        again = AGAIN_S if signal.unread == "go" else signal.every_s
        self._kept[signal.name] = _Kept(reading, None, time.monotonic() + again)
