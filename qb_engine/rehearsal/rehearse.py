"""the rehearsal itself: up, the backfill, down, up again, and what each of them left"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from qb_engine.analysis.outside import made_roles, reaches_outside
from qb_engine.analysis.plan import observe
from qb_engine.backfill.reporting.measure import Progress
from qb_engine.errors import QbError
from qb_engine.migrations import Migrations
from qb_engine.rehearsal.contents import Content, Loss, contents, losses
from qb_engine.rehearsal.fill import fill
from qb_engine.runner import Ran, Request, roll_back, run
from qb_engine.runner.beside import without_history
from qb_engine.schema import Difference, Snapshot, diff, snapshot
from qb_engine.shadow import like, scratch
from qb_engine.shadow.roles import lent
from qb_engine.shadow.sample import Sampled, sample

if TYPE_CHECKING:
    from qb_engine.database.target import Target
    from qb_engine.execution import Place
    from qb_engine.migrations import LoadedMigration
    from qb_engine.shadow import Shadow

ROWS = 1_000  # of each table, where nobody says how many


@dataclass(frozen=True)
class Stage:
    """One stage of a rehearsal: `up`, `backfill`, `down` or `up again`, and what ran in it."""

    name: str
    ran: tuple[Ran, ...] = ()
    progress: Progress | None = None
    error: QbError | None = None

    @property
    def ok(self) -> bool:
        unmet = any(r.status == "not met" for r in self.ran)
        filled = self.progress is None or self.progress.state == "completed"
        return self.error is None and filled and not unmet

    @property
    def seconds(self) -> float:
        return sum(r.seconds for r in self.ran)


@dataclass(frozen=True)
class Rehearsal:
    """What was seen while a migration went up, down and up again.

    `left` are differences between the schema before and after up and down, `again` between both
    times up. `losses` are rows and values that up and down together did not keep. `missing` says
    what the shadow lacks. `irreversible` is the reason that the migration itself gives.
    """

    migration: LoadedMigration
    sampled: Sampled
    stages: tuple[Stage, ...]
    left: tuple[Difference, ...] = ()
    again: tuple[Difference, ...] = ()
    losses: tuple[Loss, ...] = ()
    irreversible: str = ""
    missing: tuple[str, ...] = ()

    @property
    def failed(self) -> Stage | None:
        """The stage that did not go through; None when all did."""
        return next((stage for stage in self.stages if not stage.ok), None)

    @property
    def reversible(self) -> bool:
        """True when going down was seen to bring the same schema back, and up again to work."""
        names = [stage.name for stage in self.stages]
        whole = "up again" in names and self.failed is None
        return whole and not self.left and not self.again

    @property
    def ok(self) -> bool:
        """True when it went up, and also down and up again, unless it says that it cannot."""
        return self.failed is None and (self.reversible or bool(self.irreversible))


def rehearse(
    place: Place,
    migration: LoadedMigration,
    *,
    rows: int = ROWS,
    percent: float | None = None,
    copy: Target | None = None,
) -> Rehearsal:
    """Run a migration on a shadow of the target with some of its rows.

    With `copy`, a restored copy of the target, it runs there instead, on all its rows, and stays
    there as it is in the end: applied. The target itself is only read.
    """
    if copy is not None:
        elsewhere = _elsewhere(place, copy, migration)
        return _rehearsed(elsewhere, migration, Sampled({}), ())
    server = scratch(place.project, place.scratch_url, place.opened)
    roles = made_roles(migration.up)
    migration, left_out = _here(migration)
    with lent(server, roles), like(server, place.target) as looked:
        touched = _touched(place, looked, migration)
    with lent(server, roles), like(server, place.target) as shadow:
        with place.connected("qb rehearse") as conn:
            sampled = sample(
                conn, shadow, rows=rows, percent=percent, only=touched, tell=place.tell
            )
        target = replace(shadow.target, name="shadow", production=False)
        elsewhere = _elsewhere(place, target, migration)
        return _rehearsed(elsewhere, migration, sampled, (*shadow.missing, *left_out))


def _here(migration: LoadedMigration) -> tuple[LoadedMigration, tuple[str, ...]]:
    """The migration without what a shadow must not run, and what that is, as sentences."""
    left_out = tuple(
        f"{statement.first_line}, which was not run: {why}"
        for statement in (*migration.up, *migration.down)
        if (why := reaches_outside(statement))
    )
    parts = tuple(
        replace(
            part,
            up=tuple(s for s in part.up if not reaches_outside(s)),
            down=tuple(s for s in part.down if not reaches_outside(s)),
        )
        for part in migration.parts
    )
    return (replace(migration, parts=parts) if left_out else migration), left_out


def _touched(place: Place, shadow: Shadow, migration: LoadedMigration) -> list[str]:
    """The tables that the migration locks in any way, or fills."""
    planned = observe(place, shadow, migration, migration.parts)
    found = [
        lock.relation for each in planned.examined for lock in each.facts.locks if not lock.index
    ]
    return list(dict.fromkeys([*found, *migration.filled]))


def _elsewhere(place: Place, target: Target, migration: LoadedMigration) -> Place:
    """The same place with another database, on which the runner runs as it would on the target."""
    from qb_engine.database.connect import Connection, connect

    def opener(name: str) -> Connection:
        conn = connect(target, application_name=name)
        place.opened(conn)
        return conn

    return replace(
        place,
        target=target,
        opener=opener,
        migrations=Migrations(migration.path.parent, (migration,)),
        reload=lambda each: each,
    )


def _rehearsed(
    place: Place, migration: LoadedMigration, sampled: Sampled, missing: tuple[str, ...]
) -> Rehearsal:
    """Up, fill, down, up again; the stages as far as they came."""
    stages: list[Stage] = []
    found = Rehearsal(migration, sampled, (), irreversible=migration.irreversible, missing=missing)
    before, rows = _look(place)
    stages += _up(place, migration, "up")
    found = replace(found, stages=tuple(stages))
    if found.failed is not None or migration.irreversible:
        return found
    first, _ = _look(place)
    place.tell("down")
    stages.append(_stage("down", lambda: roll_back(place, migration.id, edited=True)))
    found = replace(found, stages=tuple(stages))
    if found.failed is not None:
        return found
    after, kept = _look(place)
    stages += _up(place, migration, "up again")
    again = _differences(first, _look(place)[0]) if stages[-1].ok else ()
    return replace(
        found,
        stages=tuple(stages),
        left=without_history(place, _differences(before, after)),
        again=again,
        losses=tuple(losses(rows, kept)),
    )


def _differences(expected: Snapshot, found: Snapshot) -> tuple[Difference, ...]:
    """What is not the same; the order of columns, which no statement can mend, is left out."""
    return tuple(each for each in diff(expected, found) if not each.of_order)


def _up(place: Place, migration: LoadedMigration, name: str) -> Iterator[Stage]:
    """Run it, its backfill, and what comes after that, up to the first that does not go through."""
    place.tell(name)
    stage = _stage(name, lambda: run(place, Request(only=migration.id)))
    yield stage
    if migration.backfill is None or not stage.ok:
        return
    place.tell("backfill")
    filled = _fill(place, migration)
    yield filled
    if filled.ok and migration.after_backfill():
        yield _stage(f"{name}: post", lambda: run(place, Request(only=migration.id)))


def _fill(place: Place, migration: LoadedMigration) -> Stage:
    try:
        with place.connected("qb backfill") as conn:
            return Stage("backfill", progress=fill(conn, migration, place.stop))
    except QbError as error:
        return Stage("backfill", error=error)


def _stage(name: str, does: Callable[[], Sequence[Ran]]) -> Stage:
    try:
        return Stage(name, tuple(does()))
    except QbError as error:
        return Stage(name, error=error)


def _look(place: Place) -> tuple[Snapshot, dict[str, Content]]:
    with place.connected("qb rehearse") as conn:
        return snapshot(conn), contents(conn)
