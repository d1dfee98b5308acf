"""`qb rollback`: undo the last applied migration"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import click

from qb_engine.commands import Session, qb_command
from qb_engine.commands._steps import steps_table
from qb_engine.report import Report, Table, format_seconds

if TYPE_CHECKING:
    from qb_engine.runner import Ran


@dataclass(frozen=True)
class RollbackReport(Report):
    """The migration that was undone and what each statement did."""

    name: ClassVar[str] = "rollback"
    target: str
    ran: Ran

    def headline(self) -> str:
        took = format_seconds(self.ran.seconds)
        return f"{self.ran.migration} is rolled back on {self.target} in {took}"

    def tables(self) -> Sequence[Table]:
        return (steps_table(self.ran.migration, self.ran.seen, timed=True),)

    def as_dict(self) -> dict[str, Any]:
        return {
            "target": self.target,
            "migration": self.ran.migration,
            "seconds": self.ran.seconds,
            "steps": [o.as_dict() for o in self.ran.seen],
        }


@qb_command("rollback", short_help="Undo the last applied migration by its down.")
@click.argument("migration", required=False)
@click.option("--edited", is_flag=True, help="Run the way back as it stands now.")
@click.option("--out-of-order", is_flag=True, help="Though later ones are applied.")
@click.option("--confirm", metavar="ALIAS", help="The alias, typed back, for production.")
def command(
    session: Session, migration: str | None, edited: bool, out_of_order: bool, confirm: str | None
) -> Report:
    """Run the down of MIGRATION (default: the last one that was applied)."""
    from qb_engine.commands._place import place_of
    from qb_engine.runner import roll_back

    session.guard_production("rolling back", confirm)
    migrations = session.migrations()
    only = migrations.find(migration) if migration else None
    place = place_of(session, migrations)
    return RollbackReport(
        session.target.name, roll_back(place, only, edited=edited, out_of_order=out_of_order)
    )
