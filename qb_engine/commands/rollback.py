"""`qb rollback`: undo the last applied migration"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import click

from qb_engine.commands import Session, qb_command
from qb_engine.commands._options import Duration
from qb_engine.commands._steps import steps_table
from qb_engine.errors import InputError
from qb_engine.report import Report, Table, format_seconds

if TYPE_CHECKING:
    from qb_engine.runner import Ran


@dataclass(frozen=True)
class RollbackReport(Report):
    """The migrations that were undone, in order, and what each statement did."""

    name: ClassVar[str] = "rollback"
    target: str
    rans: tuple[Ran, ...]

    @property
    def ran(self) -> Ran:
        """The last one that was undone."""
        return self.rans[-1]

    def headline(self) -> str:
        if not self.rans:
            return f"nothing was to be rolled back on {self.target}"
        took = format_seconds(sum(ran.seconds for ran in self.rans))
        if len(self.rans) > 1:
            return f"{len(self.rans)} migrations are rolled back on {self.target} in {took}"
        return f"{self.ran.migration} is rolled back on {self.target} in {took}"

    def tables(self) -> Sequence[Table]:
        return tuple(steps_table(ran.migration, ran.seen, timed=True) for ran in self.rans)

    def as_dict(self) -> dict[str, Any]:
        return {
            "target": self.target,
            "migrations": [
                {
                    "migration": ran.migration,
                    "seconds": ran.seconds,
                    "steps": [o.as_dict() for o in ran.seen],
                }
                for ran in self.rans
            ],
        }


@qb_command("rollback", short_help="Undo the last applied migration by its down.")
@click.argument("migration", required=False)
@click.option("--to", metavar="ID", help="Undo everything that was applied after this migration.")
@click.option("--steps", type=click.IntRange(min=1), metavar="N", help="Undo the last N.")
@click.option("--edited", is_flag=True, help="Run the way back as it stands now.")
@click.option("--out-of-order", is_flag=True, help="Though later ones are applied.")
@click.option("--wait-lock", type=Duration(), help="How long to wait for another runner.")
@click.option("--log-file", type=click.Path(), help="Append one JSON line per event.")
@click.option("--confirm", metavar="ALIAS", help="The alias, typed back, for production.")
def command(session: Session, migration: str | None, **given: Any) -> Report:
    """Run the down of MIGRATION (default: the last one that was applied)."""
    from qb_engine.commands._place import place_of
    from qb_engine.commands.run import events_of
    from qb_engine.runner import roll_back

    chosen = [name for name in ("to", "steps") if given[name]] + ["MIGRATION"] * bool(migration)
    if len(chosen) > 1:
        raise InputError(
            f"{' and '.join(chosen)} are given together",
            why="each of them says by itself what is undone",
            todo="leave all but one of them out",
            code="bad-option",
        )
    session.guard_production("rolling back", given["confirm"])
    migrations = session.migrations()
    with events_of(session, given["log_file"], "rollback") as events:
        rans = roll_back(
            place_of(session, migrations, emit=events.emit),
            migrations.find(migration).id if migration else None,
            to=migrations.find(given["to"]).id if given["to"] else None,
            steps=given["steps"] or 1,
            edited=given["edited"],
            out_of_order=given["out_of_order"],
            patience=given["wait_lock"],
        )
    return RollbackReport(session.target.name, rans)
