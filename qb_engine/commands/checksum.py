"""`qb checksum`: a file against what ran of it, and taking the one for the other"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import click

from qb_engine.commands import Session, qb_command
from qb_engine.commands._steps import short
from qb_engine.report import Column, Report, Table

if TYPE_CHECKING:
    from qb_engine.runner.checksums import Comparison


WIDTH = 400  # of a statement that is not the same: what differs may stand at its end


@dataclass(frozen=True)
class ChecksumReport(Report):
    """What ran beside what the file says now, and whether the file was accepted."""

    name: ClassVar[str] = "checksum"
    target: str
    compared: Comparison
    accepted: bool = False

    @property
    def ok(self) -> bool:
        return self.compared.same or self.accepted

    def headline(self) -> str:
        c = self.compared
        if c.same:
            return f"the file of {c.migration} says what was applied on {self.target}"
        if self.accepted:
            return f"the file of {c.migration} counts as what was applied on {self.target}"
        same = {
            "its way up": c.recorded == c.file,
            "its way down": c.down_same,
            "its backfill": c.fill_same,
        }
        edited = " and ".join(what for what, is_same in same.items() if not is_same)
        return f"{c.migration} was edited after it was applied: {edited}"

    def tables(self) -> Sequence[Table]:
        c = self.compared
        columns = (
            Column("applied", "code"), Column("file", "code"), Column("result", "check"),
        )  # fmt: skip
        rows = tuple(
            (
                short(x.recorded, 60 if x.same else WIDTH),
                short(x.file, 60 if x.same else WIDTH),
                x.same or ("accepted" if self.accepted else False),
            )
            for x in c.lines
        )
        ways = [("up", c.recorded, c.file), ("down", c.down_recorded, c.down_file)]
        if c.fill_recorded:
            ways.append(("backfill", c.fill_recorded, c.fill_file))
        sums = tuple(
            (
                way,
                old[:16] or None,
                new[:16] or None,
                "accepted" if self.accepted and old != new else old == new,
            )
            for way, old, new in ways
        )
        found = [
            Table(
                "checksums",
                (Column("way"), Column("applied"), Column("file"), Column("result", "check")),
                sums,
            )
        ]
        if not c.adopted:
            found.insert(0, Table("statements", columns, rows, empty="it holds none"))
        return found

    def notes(self) -> Sequence[str]:
        c = self.compared
        found = []
        if c.adopted:
            found.append("it was adopted: its statements did not run here and were not recorded")
        if not c.same and not self.accepted:
            found.append(
                "restore the file; or take it for what was applied: "
                f'qb checksum {c.migration} --accept --reason "..."'
            )
        if self.accepted:
            found.append("nothing was run; who accepted it, when and why is in the ledger")
        return found

    def as_dict(self) -> dict[str, Any]:
        c = self.compared
        return {
            "target": self.target,
            "migration": c.migration,
            "same": c.same,
            "accepted": self.accepted,
            "adopted": c.adopted,
            "checksum": {"applied": c.recorded, "file": c.file},
            "down_checksum": {"applied": c.down_recorded, "file": c.down_file},
            "fill_checksum": {"applied": c.fill_recorded, "file": c.fill_file},
            "statements": [
                {"applied": x.recorded, "file": x.file, "same": x.same} for x in c.lines
            ],
        }


@qb_command("checksum", short_help="A file against what ran of it; accept an edited one.")
@click.argument("migration")
@click.option("--accept", is_flag=True, help="Take the file for what was applied; needs --reason.")
@click.option("--reason", default="", metavar="TEXT", help="Why, for the ledger.")
@click.option("--confirm", metavar="ALIAS", help="The alias, typed back, for production.")
def command(
    session: Session, migration: str, accept: bool, reason: str, confirm: str | None
) -> Report:
    """Show what ran of MIGRATION beside what its file says now, statement by statement.

    With --accept the file counts as what was applied. Nothing is run.
    """
    from qb_engine.commands._place import place_of
    from qb_engine.runner.checksums import accepted, compared

    migrations = session.migrations()
    chosen = migrations.find(migration)
    place = place_of(session, migrations)
    if not accept:
        return ChecksumReport(session.target.name, compared(place, chosen))
    session.guard_production("accepting an edited migration", confirm)
    found = accepted(place, chosen, reason)
    return ChecksumReport(session.target.name, found, not found.same)
