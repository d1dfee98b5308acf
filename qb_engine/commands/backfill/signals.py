"""`qb backfill signals`: what a backfill gives way to, and what that says now"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from qb_engine.commands import Session, qb_command
from qb_engine.commands.backfill.found import NAME, find
from qb_engine.report import Column, Report, Table

if TYPE_CHECKING:
    from qb_engine.backfill.throttle.now import SignalNow


@dataclass(frozen=True)
class SignalsReport(Report):
    """Every signal with its options and what it says at this moment."""

    name: ClassVar[str] = "backfill-signals"
    migration: str
    signals: tuple[SignalNow, ...]

    def headline(self) -> str:
        holding = [f"{each.signal} says {each.says}" for each in self._holding()]
        return f"backfill {self.migration}: {', '.join(holding) or 'nothing holds it up now'}"

    def tables(self) -> Sequence[Table]:
        columns = (Column("signal"), Column("says"), Column("options"), Column("what it is"))
        rows = tuple((each.signal, each.says, _options(each), each.about) for each in self.signals)
        return [Table("signals", columns, rows)]

    def notes(self) -> Sequence[str]:
        said = []
        for each in self._holding():
            release = f"; goes on when {each.release}" if each.release else ""
            said.append(f"{each.signal}: {each.reason}{release}")
        said += [f"{each.signal}: {each.unseen}" for each in self.signals if each.unseen]
        return [*said, "change one: qb backfill tune --set SIGNAL.OPTION=VALUE, or --off SIGNAL"]

    def _holding(self) -> list[SignalNow]:
        return [each for each in self.signals if each.says in ("slow", "stop")]


@qb_command("signals", short_help="What it gives way to, and what that says now.")
@NAME
def part(session: Session, name: str | None) -> Report:
    """Read every signal that the backfill of NAME gives way to, with its options.

    The options are those of the ledger where it was started, else those of backfill.py and qb.toml.
    """
    from qb_engine.backfill import records
    from qb_engine.backfill.spec import describe
    from qb_engine.backfill.throttle import now, tuning

    migration = find(session, name)
    with closing(session.connect(application_name="qb backfill")) as conn:
        row = records.read(conn, migration.id) if records.there(conn) else None
        if row is not None:
            spec = row.spec
        else:
            file = str(Path(migration.path) / "backfill.py")
            spec = tuning.settled(session.project, file, describe(conn, migration))
        return SignalsReport(migration.id, now.read(conn, spec))


def _options(each: SignalNow) -> str:
    given = {key: value for key, value in each.options.items() if value not in (None, "", ())}
    return ", ".join(f"{key} {_shown(value)}" for key, value in given.items())


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
