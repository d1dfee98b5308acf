"""`qb panel`: every migration, and what may be done with it now"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import click

from qb_engine.commands import Session, qb_command
from qb_engine.commands._panel_actions import APPLIED, MOVING, WAITING, Action, Situation, actions
from qb_engine.report import Column, Report, Table, format_value

if TYPE_CHECKING:
    from qb_engine.database import Target
    from qb_engine.migrations import LoadedMigration, Migrations
    from qb_engine.runner import Status


@dataclass(frozen=True, slots=True)
class PanelMigration:
    """One migration as a panel shows it: how it stands, what it says, what may be done."""

    id: str
    name: str
    state: str
    backfill: str
    note: str
    up: str
    down: str
    fills: str
    constraints: tuple[tuple[str, str], ...]
    actions: Mapping[str, Action] = field(default_factory=dict)

    @property
    def moving(self) -> bool:
        """True while a worker fills rows, or will at once."""
        return self.backfill in MOVING


@dataclass(frozen=True)
class PanelReport(Report):
    """The migrations of a project on one target, one of them chosen.

    `on` is the target itself, for what goes on working on it; it may hold a password.
    """

    name: ClassVar[str] = "panel"
    target: str
    production: bool
    chosen: str
    migrations: tuple[PanelMigration, ...]
    runner: str = ""
    on: Target | None = field(default=None, repr=False, compare=False)

    @property
    def focus(self) -> PanelMigration | None:
        """The chosen migration; None when there is none at all."""
        return next((m for m in self.migrations if m.id == self.chosen), None)

    def headline(self) -> str:
        count = len(self.migrations)
        word = "migration" if count == 1 else "migrations"
        return f"panel on {self.target}: {count} {word}"

    def tables(self) -> Sequence[Table]:
        rows = tuple((m.id, m.state, m.backfill or None, m.note or None) for m in self.migrations)
        columns = (Column("migration"), Column("state"), Column("backfill"), Column("note"))
        found = [Table("migrations", columns, rows, empty="draft one with %%qb draft")]
        if self.focus is not None:
            may = tuple((a.label, a.enabled, a.why or None) for a in self.focus.actions.values())
            verbs = (Column("action"), Column("may be done"), Column("why not"))
            found.append(Table(f"what may be done with {self.focus.id}", verbs, may))
        return found

    def notes(self) -> Sequence[str]:
        return (f"running now: {self.runner}",) if self.runner else ()

    def as_dict(self) -> dict[str, Any]:
        return {
            "target": self.target,
            "production": self.production,
            "chosen": self.chosen,
            "migrations": [
                {
                    "migration": m.id,
                    "state": m.state,
                    "backfill": m.backfill,
                    "note": m.note,
                    "actions": {
                        verb: {"enabled": a.enabled, "why": a.why} for verb, a in m.actions.items()
                    },
                }
                for m in self.migrations
            ],
        }


@qb_command("panel", short_help="Every migration, and what may be done with it now.")
@click.argument("migration", required=False)
def command(session: Session, migration: str | None) -> Report:
    """Show every migration with its state, and for MIGRATION what may be done with it now.

    In a notebook this is a panel of buttons. MIGRATION is an id, a name or a unique part of one;
    left out: the first one that is not applied yet.
    """
    from qb_engine.database.connect import server_errors
    from qb_engine.runner import status
    from qb_engine.runner.status import runner

    migrations = session.migrations()
    with session.connect() as conn, server_errors("reading the ledger", session.target):
        states = status(conn, migrations)
        running = runner(conn)
    chosen = migrations.find(migration).id if migration else _first_open(states)
    target = session.target
    return PanelReport(
        target.name,
        target.production,
        chosen,
        tuple(_described(migrations, states, running, target.production)),
        running,
        target,
    )


def _first_open(states: Sequence[Status]) -> str:
    """The first migration that something is left to do for, else the last."""
    open_ones = [s.migration for s in states if s.state not in ("applied", "contracted", "missing")]
    return (open_ones or [s.migration for s in states[-1:]] or [""])[0]


def _described(
    migrations: Migrations, states: Sequence[Status], running: str, production: bool
) -> Iterator[PanelMigration]:
    found = {m.id: m for m in migrations.all}
    applied = [s for s in states if s.state in APPLIED]
    for i, s in enumerate(states):
        migration = found.get(s.migration)
        situation = Situation(
            s.migration,
            s.state,
            s.note,
            s.backfill,
            earlier=next((e.migration for e in states[:i] if e.state in WAITING), ""),
            later=_later(s, applied),
            irreversible=migration.irreversible if migration else "",
            runner=running,
            production=production,
            anything_applied=bool(applied),
        )
        yield _one(migration, s, actions(situation))


def _later(status: Status, applied: Sequence[Status]) -> str:
    """A migration that was applied after this one; empty when there is none."""
    if status.applied_at is None:
        return ""
    after = [(s.applied_at, s.migration) for s in applied if s.applied_at]
    newest = max(after, default=(status.applied_at, ""))
    return newest[1] if newest[0] > status.applied_at else ""


def _one(
    migration: LoadedMigration | None, status: Status, may: dict[str, Action]
) -> PanelMigration:
    if migration is None:
        return PanelMigration(
            status.migration, status.migration, status.state, status.backfill, status.note,
            "", "", "", (), may,
        )  # fmt: skip
    return PanelMigration(
        migration.id,
        migration.name or migration.id,
        status.state,
        status.backfill,
        status.note,
        up="\n".join(f"{s.sql};" for s in migration.up),
        down="\n".join(f"{s.sql};" for s in migration.down),
        fills=_fills(migration),
        constraints=tuple(_flat("", migration.constraints)),
        actions=may,
    )


def _fills(migration: LoadedMigration) -> str:
    """A backfill in words."""
    fill = migration.backfill
    if fill is None:
        return ""
    where = f" where {fill.where}" if fill.where else ""
    if not fill.set:
        from qb_engine.migrations.filling import words

        return words(fill) + where
    sets = ", ".join(f"{column} = {value}" for column, value in fill.set.items())
    return f"{fill.table}: {sets}{where}"


def _flat(place: str, value: Any) -> Iterator[tuple[str, str]]:
    """Nested constraints as (what, expected) pairs: `users.id type`, `varchar`."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            name = "" if key == "columns" else str(key)
            yield from _flat(f"{place}.{name}".strip(".") if name else place, inner)
    else:
        yield place, format_value(value)
