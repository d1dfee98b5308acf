"""`qb redo`: the last migration undone and applied again"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import click

from qb_engine.commands import Session, qb_command
from qb_engine.commands._options import Duration
from qb_engine.commands._steps import steps_table
from qb_engine.report import Report, Table, format_seconds

if TYPE_CHECKING:
    from qb_engine.runner import Ran


@dataclass(frozen=True)
class RedoReport(Report):
    """What the way back and the way forth did."""

    name: ClassVar[str] = "redo"
    target: str
    down: Ran
    up: Ran

    @property
    def ok(self) -> bool:
        return self.up.status != "not met"

    def headline(self) -> str:
        if not self.ok:
            return f"{self.up.migration} is rolled back; its constraints are not met any more"
        took = format_seconds(self.down.seconds + self.up.seconds)
        return f"{self.up.migration} is {self.up.status} again on {self.target} in {took}"

    def tables(self) -> Sequence[Table]:
        return (
            steps_table(f"{self.down.migration}, down", self.down.seen, timed=True),
            steps_table(f"{self.up.migration}, up", self.up.seen, timed=True),
        )

    def notes(self) -> Sequence[str]:
        checks = self.up.verified.checks if self.up.verified else ()
        found = [f"{c.what}: expected {c.expected}, found {c.found}" for c in checks if not c.ok]
        return [*found, *([self.up.note] if self.up.note else [])]

    def as_dict(self) -> dict[str, Any]:
        return {
            "target": self.target,
            "migration": self.up.migration,
            "status": self.up.status,
            "down": [o.as_dict() for o in self.down.seen],
            "up": [o.as_dict() for o in self.up.seen],
        }


@qb_command("redo", short_help="Undo the last migration and apply it again.")
@click.argument("migration", required=False)
@click.option("--edited", is_flag=True, help="Run the way back as it stands now.")
@click.option("--wait-lock", type=Duration(), help="How long to wait for another runner.")
@click.option("--confirm", metavar="ALIAS", help="The alias, typed back, for production.")
def command(
    session: Session,
    migration: str | None,
    edited: bool,
    wait_lock: float | None,
    confirm: str | None,
) -> Report:
    """Run the down of MIGRATION (default: the last applied one), then its up, as its file is now.

    No other runner can come in between.
    """
    from qb_engine.commands._place import place_of
    from qb_engine.runner import redo

    session.guard_production("rolling back and applying again", confirm)
    migrations = session.migrations()
    down, up = redo(
        place_of(session, migrations),
        migrations.find(migration).id if migration else None,
        edited=edited,
        patience=wait_lock,
    )
    return RedoReport(session.target.name, down, up)
