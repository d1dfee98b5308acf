"""a session as the place where plans, dry runs and runs happen"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from qb_engine.commands._session import Session
from qb_engine.report import Report

if TYPE_CHECKING:
    from qb_engine.execution import Place, Step
    from qb_engine.execution.sample import Sample
    from qb_engine.migrations import LoadedMigration, Migrations, Part


def place_of(
    session: Session,
    migrations: Migrations,
    *,
    scratch: str | None = None,
    on_step: Callable[[LoadedMigration, Step, str], None] | None = None,
    emit: Callable[..., None] | None = None,
    on_sample: Callable[[Sample], None] | None = None,
) -> Place:
    """What the engine needs to know about where it works."""
    from qb_engine.execution import Place

    def silent(migration: LoadedMigration, step: Step, state: str) -> None:
        return None

    def nobody(kind: str, /, **fields: object) -> None:
        return None

    return Place(
        project=session.project,
        target=session.target,
        opener=lambda name: session.connect(application_name=name),
        migrations=migrations,
        tell=session.face.say,
        on_step=on_step or silent,
        reload=session.reload,
        scratch_url=scratch,
        opened=session.watch,
        stop=session.stopping,
        emit=emit or nobody,
        on_sample=on_sample,
    )


def alone(migration: LoadedMigration) -> Migrations:
    """A set of migrations that holds just this one (a `.sql` file named by its path)."""
    from qb_engine.migrations import Migrations

    return Migrations(migration.path.parent, (migration,))


def pending(
    session: Session,
) -> tuple[Migrations, tuple[LoadedMigration, ...], tuple[str, ...]]:
    """All migrations, those that would run next in order, and those that wait for a backfill.

    Raise the error of a broken file: what would run cannot be told then.
    """
    from qb_engine.database.connect import server_errors
    from qb_engine.runner import refuse, status

    migrations = session.migrations()
    with session.connect() as conn, server_errors("reading the ledger", session.target):
        found = status(conn, migrations)
    files = {entry.id: str(entry.path) for entry in migrations.entries}
    for each in found:
        if each.state == "broken":
            raise next(b.error for b in migrations.known_broken if b.id == each.migration)
        refuse(each, files.get(each.migration, each.migration))
    todo = tuple(
        migrations.get(each.migration) for each in found if each.state in ("pending", "partial")
    )
    waits = ("expanded", "backfilling")
    return migrations, todo, tuple(each.migration for each in found if each.state in waits)


def going_on(
    session: Session, migrations: Sequence[LoadedMigration]
) -> dict[str, tuple[tuple[Part, ...], frozenset[int]]]:
    """The parts that are left of migrations some of which has run, with what is done of them."""
    from qb_engine.database.connect import server_errors
    from qb_engine.runner import next_parts

    with session.connect() as conn, server_errors("reading the ledger", session.target):
        found = {m.id: next_parts(conn, m) for m in migrations}
    return {m.id: found[m.id] for m in migrations if begun(m, *found[m.id])}


def begun(migration: LoadedMigration, parts: tuple[Part, ...], done: frozenset[int]) -> bool:
    """True when some of a migration has run, and `parts` without `done` is what is left of it."""
    return bool(done) or (bool(parts) and parts == migration.after_backfill())


def next_pending(session: Session, name: str | None) -> LoadedMigration | None:
    """The migration that is named, else the next pending one; None when nothing is pending.

    Raise InputError when there is no migration at all.
    """
    if name:
        return session.migration(name, allow_path=True)
    migrations, todo, _ = pending(session)
    if not migrations.entries:
        session.migration(None)
    return todo[0] if todo else None


@dataclass(frozen=True)
class NothingPending(Report):
    """What a command says that found nothing to look at."""

    name: ClassVar[str] = "nothing"
    target: str

    def headline(self) -> str:
        return f"nothing is pending on {self.target}"
