"""`qb typeorm release`: TypeORM runs the migrations again, and qb forgets what it took over"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import click

from qb_engine.commands import Session, qb_command
from qb_engine.report import Column, Report, Table, plain


@dataclass(frozen=True)
class ReleaseReport(Report):
    """What the ledger no longer says, or would not."""

    name: ClassVar[str] = "typeorm release"
    target: str
    table: str
    migrations: tuple[str, ...]
    own: tuple[str, ...] = ()
    guarded: bool = False
    released: bool = False

    def headline(self) -> str:
        if not self.migrations and not self.guarded:
            return f"nothing was taken over from TypeORM on {self.target}"
        count = len(self.migrations)
        word = "migration" if count == 1 else "migrations"
        if self.released:
            return f"{count} {word} given back to TypeORM on {self.target}"
        return f"{count} {word} would be given back to TypeORM; nothing was changed"

    def tables(self) -> Sequence[Table]:
        rows = tuple((name,) for name in self.migrations)
        return (Table("taken out of the ledger", (Column("migration"),), rows, empty="nothing"),)

    def notes(self) -> Sequence[str]:
        found = []
        if self.guarded:
            word = "was taken off" if self.released else "would be taken off"
            found.append(f"the guard UNIQUE (name) {word} {self.table}")
        if self.own:
            found.append(f"{len(self.own)} that qb itself ran stay recorded")
        found.append(f"{self.table} is the truth, and stays as it is; so does qb.toml")
        if self.released:
            found.append("qb typeorm adopt takes it over again")
        elif self.migrations or self.guarded:
            found.append("do it: repeat the command with --yes")
        return found

    def as_dict(self) -> dict[str, Any]:
        return {
            "target": self.target,
            "table": self.table,
            "migrations": list(self.migrations),
            "own": list(self.own),
            "guarded": self.guarded,
            "released": self.released,
        }


@qb_command("release", short_help="Give the history back: TypeORM runs the migrations again.")
@click.option("--yes", is_flag=True, help="Do it without asking.")
@click.option("--reason", default="", metavar="TEXT", help="Why, for the ledger.")
@click.option("--confirm", metavar="ALIAS", help="The alias, typed back, for production.")
def part(session: Session, yes: bool, reason: str, confirm: str | None) -> Report:
    """Undo `qb typeorm adopt`: what was taken over leaves qb's ledger, the guard TypeORM's table.

    TypeORM's own history stays as it is, and what qb itself ran stays recorded. Until the next
    `qb typeorm adopt` qb runs none of these migrations.
    """
    from qb_engine.commands._place import place_of
    from qb_engine.database.connect import server_errors
    from qb_engine.typeorm import adopting

    place = place_of(session, session.migrations())
    with session.connect() as conn, server_errors("reading the ledger", session.target):
        held = adopting.held(place, conn)
    report = ReleaseReport(
        session.target.name,
        str(held.history),
        tuple(name for _, name in held.adopted),
        held.own,
        held.guarded,
    )
    if not (report.migrations or report.guarded):
        return report
    if not yes:
        if not session.face.interactive:
            return report
        session.face.say(plain(report))
        if session.face.ask("give it back? type yes: ") != "yes":
            return report
    session.guard_production("giving a history back", confirm)
    adopting.give_back(place, held, reason=reason)
    return replace(report, released=True)
