"""how each migration stands: what the folder holds joined with what the ledger says"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, NamedTuple

from qb_engine import ledger
from qb_engine.migrations import Broken, stamps
from qb_engine.runner import lock

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.ledger import Standing
    from qb_engine.migrations import Entry, LoadedMigration, Migrations
    from qb_engine.runner.beside import Beside

State = Literal[
    "pending", "applied", "expanded", "backfilling", "contracted", "partial", "edited", "broken",
    "missing",
]  # fmt: skip

MOVING = ("pending", "running", "paused", "verifying")  # states of a backfill on its way
WHOLE = ("applied", "expanded", "contracted")  # how a run ends that did all it should


@dataclass(frozen=True, slots=True)
class Status:
    """One migration: its state, when it was applied and by whom, and what stands out.

    `pending`: not applied here. `expanded`: applied up to its backfill. `backfilling`: its rows are
    being filled. `contracted`: its post part ran, too. `partial`: stopped after statements that
    were committed. `edited`: applied, and the file says something else now. `broken`: the file
    cannot be read. `missing`: applied, and its file is gone.
    """

    migration: str
    state: State
    applied_at: datetime | None = None
    who: str = ""
    seconds: float | None = None
    backfill: str = ""
    note: str = ""
    down: bool = False  # a partial one that stopped on its way back
    down_edited: bool = False  # its way back is not the one that was there when it was applied
    repeatable: bool = False  # runs again whenever it changes, in no order
    beside: str = ""  # TypeORM's history says otherwise: since, gone, partly


class Shape(NamedTuple):
    """What the state of a migration depends on, besides its checksums."""

    id: str
    backfill: bool
    post: bool  # there is something to run after the backfill
    repeatable: bool = False


def status(conn: Connection, migrations: Migrations) -> tuple[Status, ...]:
    """How every migration stands, in order.

    Only what is not applied, or is not what was applied, is read; see `states`.
    """
    from qb_engine.runner.beside import compare  # where a project has migrations of TypeORM

    known = ledger.standing(conn) if ledger.exists(conn) else {}
    found = states(migrations, known, backfill_states(conn), backfill_checksums(conn))
    besides = compare(conn, migrations, known, wait=False)
    return found if besides is None else tuple(_beside(each, besides) for each in found)


def _beside(status: Status, found: Beside) -> Status:
    """How a migration stands that TypeORM's history and the ledger do not agree on."""
    if status.migration in found.since:
        todo = "qb run takes it over" if found.shared else "take it over: qb typeorm adopt"
        state: State = "broken" if status.state == "broken" else "applied"
        note = f"applied by TypeORM; {todo}"
        if state == "broken":
            note = f"{status.note}; {note}"
        return replace(status, state=state, who="TypeORM", note=note, beside="since")
    if status.migration in found.gone:
        note = "TypeORM's history has it no more"
        return replace(status, note="; ".join(filter(None, [status.note, note])), beside="gone")
    if status.migration in found.partly:
        note = "TypeORM has applied a part of it"
        return replace(status, note="; ".join(filter(None, [status.note, note])), beside="partly")
    return status


def states(
    migrations: Migrations,
    known: Mapping[str, Standing],
    fills: Mapping[str, str],
    sums: Mapping[str, str] = MappingProxyType({}),
) -> tuple[Status, ...]:
    """How every migration stands by what the ledger says of each, in the order of the folder.

    A migration whose bytes are those that were applied is not read: it is what it was. `fills` and
    `sums` are the states and checksums of the backfills that were started.
    """
    entries = migrations.entries
    shapes = [_untouched(migrations, entry, known, sums) for entry in entries]
    migrations.read(entry for entry, shape in zip(entries, shapes) if shape is None)
    found = []
    for entry, shape in zip(entries, shapes):
        standing, fill = known.get(entry.id), fills.get(entry.id, "")
        if shape is not None and standing is not None:
            found.append(_whole(shape, standing, fill))
            continue
        migration = migrations.loaded(entry)
        if isinstance(migration, Broken):
            found.append(_broken(migration, standing))
        else:
            found.append(one(migration, standing, fill, sums.get(entry.id, "")))
    for at, gone in reversed(list(_missing(migrations, known))):
        found.insert(at, gone)
    return tuple(found)


def _untouched(
    migrations: Migrations,
    entry: Entry,
    known: Mapping[str, Standing],
    sums: Mapping[str, str],
) -> Shape | None:
    """The shape of a migration whose files are, byte by byte, those that were applied.

    A backfill may be another one than its file was then, so it is compared with what was started.
    """
    standing = known.get(entry.id)
    if standing is None or standing.status not in WHOLE or not standing.last.raw_checksum:
        return None
    if migrations.doubled(entry):
        return None
    if migrations.known(entry) and not isinstance(migrations.loaded(entry), Broken):
        return None
    look = migrations.look(entry)
    if not look.plain or look.raw != standing.last.raw_checksum:
        return None
    if look.backfill and entry.id in sums:
        return None
    return Shape(entry.id, look.backfill, look.post, entry.repeatable)


def _broken(broken: Broken, standing: Standing | None) -> Status:
    note = f"{broken.error.what} [{broken.error.where}]"
    if standing is None or standing.status == "rolled back":
        return Status(broken.id, "broken", note=note)
    last = standing.last
    return Status(
        broken.id, "broken", last.started_at, last.who, last.seconds, note=f"{note}; applied here"
    )


def _missing(migrations: Migrations, known: Mapping[str, Standing]) -> Iterator[tuple[int, Status]]:
    """Those that are applied and have no file, and before which of the others they belong."""
    if all(name in migrations for name in known):
        return
    stamped = [e for e in migrations.entries if e.stamp and not e.files]
    times = [(stamps.moment(e.stamp), e.id) for e in stamped]
    for name, standing in sorted(known.items(), key=lambda item: (when(item[0]), item[0])):
        if name in migrations or standing.status == "rolled back":
            continue
        here = when(name) and (times or not migrations.entries)
        at = bisect(times, (when(name), name)) if here else len(migrations.entries)
        last = standing.last
        note = "applied here, and its file is gone"
        yield at, Status(name, "missing", last.started_at, last.who, last.seconds, note=note)


def when(id: str) -> str:
    """The moment in an id, as 14 digits; empty when there is none."""
    named = stamps.split(id)
    return stamps.moment(named[0]) if named else ""


def one(
    migration: LoadedMigration, standing: Standing | None, fill: str, fill_checksum: str = ""
) -> Status:
    """How one migration stands. A backfill may be edited until it is started."""
    shape = Shape(
        migration.id,
        migration.backfill is not None,
        bool(migration.after_backfill()),
        migration.repeatable,
    )
    if standing is None or standing.status == "rolled back":
        return Status(
            migration.id,
            "pending",
            backfill="needed" if shape.backfill else "",
            note=next((part.recorded for part in migration.parts if part.recorded), ""),
            repeatable=migration.repeatable,
        )
    if standing.status not in WHOLE:
        return _partial(shape, migration, standing, fill)
    down = standing.last.down_checksum
    found = _whole(shape, standing, fill)
    refilled = bool(fill_checksum) and fill_checksum != migration.fill_checksum
    edited = standing.checksum != migration.checksum or refilled
    if edited and migration.repeatable:
        note = "it changed since it ran, and runs again"
        return Status(migration.id, "pending", note=note, repeatable=True)
    found = replace(
        found,
        down_edited=bool(down) and down != ledger.way_back(migration),
        repeatable=migration.repeatable,
    )
    if edited:
        return replace(found, state="edited", note="the file was edited after it was applied")
    return found


def _whole(shape: Shape, standing: Standing, fill: str) -> Status:
    """How a migration stands whose last run did all it should, and whose file is the same."""
    last = standing.last
    state: State = "applied"
    note = ""
    if standing.status == "contracted":
        state = "contracted"
    elif shape.backfill and fill in MOVING:
        state, note = "backfilling", f"its backfill is {fill}"
    elif standing.status == "expanded" and not (fill == "completed" and not shape.post):
        state = "expanded"
        note = "waits for its backfill" if fill != "completed" else "qb run finishes it"
        if fill in ("failed", "cancelled"):
            note = f"its backfill {'has failed' if fill == 'failed' else 'was cancelled'}"
    return Status(
        shape.id, state, last.started_at, last.who, last.seconds, _fill(shape, fill), note,
        repeatable=shape.repeatable,
    )  # fmt: skip


def _partial(shape: Shape, migration: LoadedMigration, standing: Standing, fill: str) -> Status:
    """How a migration stands that stopped half way, up or down."""
    last = standing.last
    down = standing.status == "partial down"
    again = "qb rollback" if down else "qb run"
    total = len(migration.down if down else migration.up)
    kept = last.kept
    if last.first_part in {part.file for part in migration.after_backfill()} and not down:
        kept += sum(len(part.up) for part in migration.before_backfill())
    word = "undone" if down else "applied"
    note = f"{kept} of {total} statements are {word}; {again} continues"
    if last.cut_off:
        note = f"one statement was cut off, {note}"
    return Status(
        shape.id, "partial", last.started_at, last.who, last.seconds, _fill(shape, fill), note, down
    )


def _fill(shape: Shape, fill: str) -> str:
    return fill or ("not started" if shape.backfill else "")


def backfill_states(conn: Connection) -> dict[str, str]:
    """The state of each backfill by the migration it belongs to."""
    row = conn.execute("SELECT pg_catalog.to_regclass('qb.backfill') IS NOT NULL").fetchone()
    if not row or not row[0]:
        return {}
    return dict(conn.execute("SELECT id, state FROM qb.backfill").fetchall())


def backfill_checksums(conn: Connection) -> dict[str, str]:
    """What each backfill writes, as it was when it was started."""
    row = conn.execute("SELECT pg_catalog.to_regclass('qb.backfill') IS NOT NULL").fetchone()
    if not row or not row[0]:
        return {}
    return dict(conn.execute("SELECT id, checksum FROM qb.backfill").fetchall())


def runner(conn: Connection) -> str:
    """Who is running migrations right now; empty when nobody is."""
    return str(lock.holder(conn) or "")
