"""TypeORM's own history beside the ledger: compared, taken over, and kept true while qb runs"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import psycopg

from qb_engine import ledger
from qb_engine.errors import RefusedError
from qb_engine.ledger import typeorm
from qb_engine.ledger.adopt import Adoption, shared, take_back, take_over
from qb_engine.ledger.reading import patiently
from qb_engine.ledger.typeorm import History, Row
from qb_engine.migrations import Broken
from qb_engine.migrations.listing import is_script
from qb_engine.sql import ident

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.execution import Block, Step
    from qb_engine.execution.place import Place
    from qb_engine.ledger import Standing
    from qb_engine.migrations import Entry, LoadedMigration, Migrations, Part
    from qb_engine.runner.crew import Crew
    from qb_engine.schema import Difference, ObjectId

WHOLE = ("applied", "expanded", "contracted")
NAMED = 5  # migrations that a sentence names before it counts the rest
TOOK = "applied by TypeORM"

AS_FOUND = "SELECT pg_catalog.current_setting('session_authorization'), current_setting('role')"


class Meanwhile(RefusedError):
    """TypeORM has applied the migration that was about to run."""

    default_code = "typeorm-history"

    def __init__(self, migration: str) -> None:
        self.migration = migration
        super().__init__(
            f"TypeORM has applied {migration} meanwhile",
            why="its row stands in TypeORM's history: nothing of it was run by qb",
            todo="qb status shows how it stands; qb run goes on",
        )


@dataclass(frozen=True, slots=True)
class Beside:
    """How TypeORM's history stands against the ledger.

    `since` are migrations that only TypeORM has as applied, in its order; `gone` those that only
    the ledger has; `partly` folders of which TypeORM has applied some parts. `strange` are rows of
    no file, `twice` names with several rows. `shared` says that the ledger knows of TypeORM's
    history already: what was applied since can be taken over.
    """

    history: History
    rows: tuple[Row, ...] = ()
    since: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    partly: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()  # the names of the rows that are gone
    strange: tuple[Row, ...] = ()
    twice: Mapping[str, tuple[Row, ...]] | None = None
    shared: bool = False


def compare(
    conn: Connection,
    migrations: Migrations,
    known: Mapping[str, Standing] | None = None,
    *,
    wait: bool = True,
) -> Beside | None:
    """TypeORM's history against the ledger; None where a project or a database has none.

    Without `wait`, also while a run keeps it to itself: who only looks waits for nobody.
    """
    entries = scripts_of(migrations)
    if not entries:
        return None
    history = typeorm.history_of(conn, migrations.project.config.typeorm)
    if not typeorm.there(conn, history):
        return None
    try:
        found = typeorm.rows(conn, history, wait=wait)
    except psycopg.errors.LockNotAvailable:
        if wait:
            raise
        return None
    if known is None:
        known = ledger.standing(conn) if ledger.exists(conn) else {}
    names: dict[str, dict[str, str]] = {}
    for entry in entries:
        for file, name in migrations.names_in_history(entry).items():
            if migrations.first_named(name) in (entry, None):  # a copy stands for nothing
                names.setdefault(entry.id, {})[file] = name
    return compared(history, found, names, known, shared=bool(known) and shared(conn, names))


def compared(
    history: History,
    found: Sequence[Row],
    names: Mapping[str, Mapping[str, str]],
    known: Mapping[str, Standing],
    *,
    shared: bool,
) -> Beside:
    """The same of values: `names` are those in TypeORM's history by file, of each migration."""
    order = {row.name: row.id for row in found}
    since: list[tuple[int, str]] = []
    gone: list[str] = []
    partly: list[str] = []
    lost: list[str] = []
    for id, files in names.items():
        standing = known.get(id)
        status = "" if standing is None else standing.status
        has = [name for name in files.values() if name in order]
        first = [name for file, name in files.items() if not file.startswith("post")]
        if status in WHOLE:
            expected = first if status == "expanded" else list(files.values())
            if missing := [name for name in expected if name not in order]:
                gone.append(id)
                lost += missing
        elif status in ("", "rolled back") and has:
            if all(name in order for name in first):
                since.append((max(order[name] for name in has), id))
            else:
                partly.append(id)
    ours = {name for files in names.values() for name in files.values()}
    return Beside(
        history,
        tuple(found),
        tuple(id for _, id in sorted(since)),
        tuple(gone),
        tuple(partly),
        tuple(lost),
        tuple(row for row in found if row.name not in ours),
        typeorm.duplicates(found),
        shared,
    )


def scripts_of(migrations: Migrations) -> tuple[Entry, ...]:
    """The migrations that TypeORM could have in its history."""
    return tuple(
        entry
        for entry in migrations.entries
        if (is_script(entry.path.name) or entry.folder or migrations.known(entry))
        and migrations.names_in_history(entry)
    )


# -- before anything runs --------------------------------------------------------------------------


def settle(crew: Crew) -> tuple[str, ...]:
    """Take over what TypeORM has applied since; the ids of these, in its order.

    Raise RefusedError where the ledger knows nothing of TypeORM's history yet, and when TypeORM
    does not have any more what the ledger has.
    """
    place, control = crew.place, crew.control
    with patiently(control):
        found = compare(control, place.migrations)
    if found is None:
        return ()
    if found.gone:
        raise _gone(found)
    if found.partly:
        raise _half(found, found.partly[0])
    if found.since and not found.shared:
        raise RefusedError(
            f"TypeORM has applied {listed(found.since)} here, and the ledger knows of none",
            where=f"{found.history}: {len(found.rows)} rows",
            why="qb would run again what is applied already",
            todo="take it over first: qb typeorm adopt",
            code="typeorm-history",
        )
    if found.since:
        crew.ensure_ledger()
        last = adopt_since(place, control, found)
        crew.moved()
        crew.keep_schema(last)
        for id in found.since:
            place.tell(f"{id} was applied by TypeORM, and is taken over")
    return found.since


def take_rest(crew: Crew, migration: LoadedMigration) -> None:
    """Take over what comes after a backfill that is complete, and was applied by TypeORM."""
    place, control = crew.place, crew.control
    history = typeorm.history_of(control, place.migrations.project.config.typeorm)
    detail = {"from": "typeorm", "table": str(history)}
    last = take_over(control, [Adoption.of(migration, who=TOOK)], detail)
    crew.moved()
    crew.keep_schema(last)


def adopt_since(place: Place, conn: Connection, found: Beside) -> int:
    """Record as applied what TypeORM has applied since; the last run. With the lock held."""
    entries = {entry.id: entry for entry in place.migrations.entries}
    taken = [_taken(place, entries[id], found) for id in found.since]
    return take_over(conn, taken, {"from": "typeorm", "table": str(found.history)})


def adopt_reverted(place: Place, conn: Connection, found: Beside) -> tuple[str, ...]:
    """Record as rolled back what TypeORM has reverted since. With the runner's lock held."""
    take_back(conn, found.gone, {"from": "typeorm", "table": str(found.history)})
    return found.gone


def _taken(place: Place, entry: Entry, found: Beside) -> Adoption:
    """A migration as TypeORM leaves it: its backfill, of which TypeORM knows nothing, is to come.

    Raise RefusedError for a folder with parts that TypeORM cannot have run.
    """
    migration = place.migrations.loaded(entry)
    if isinstance(migration, Broken):
        look = place.migrations.look(entry)
        note = f"qb cannot read it: {migration.error.what}"
        return Adoption(
            entry.id, entry.name, f"unread:{look.raw}", look.raw, "", who=TOOK, note=note
        )
    refuse_half(found, migration)
    taken = Adoption.of(migration, who=TOOK)
    later = migration.after_backfill()
    ran = {row.name for row in found.rows}
    if migration.backfill is not None and not (later and set(names_of(later)) <= ran):
        taken = replace(taken, status="expanded")
    return taken


def refuse_half(found: Beside, migration: LoadedMigration) -> None:
    """Raise RefusedError for a folder with parts that TypeORM cannot have run."""
    if any(part.up and not part.history_name for part in migration.before_backfill()):
        raise _half(found, migration.id)


def _half(found: Beside, id: str) -> RefusedError:
    return RefusedError(
        f"TypeORM has applied a part of {id}",
        where=str(found.history),
        why="of a folder it knows only the classes that its glob matches, and what comes before "
        "these did not run",
        todo="revert it with TypeORM, then: qb run; or bring about the rest by hand, and: "
        f"qb baseline {id}",
        code="typeorm-history",
    )


def _gone(found: Beside) -> RefusedError:
    return RefusedError(
        f"TypeORM's history has {listed(found.gone)} no more",
        where=str(found.history),
        why="the ledger has it as applied; either TypeORM has reverted it, or its row was deleted",
        todo="when TypeORM has reverted it, take that over: qb typeorm adopt; else bring the row "
        f"back: {typeorm.appending(found.history, found.lost[0])}",
        code="typeorm-history",
    )


def listed(ids: Sequence[str]) -> str:
    """Some ids, and how many more there are."""
    more = len(ids) - NAMED
    return ", ".join(ids[:NAMED]) + (f" and {more} more" if more > 0 else "")


# -- while a migration runs ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Keeping:
    """What one run of a migration writes into TypeORM's history, and in which of its blocks."""

    history: History
    down: bool
    by_block: Mapping[int, tuple[str, ...]]
    at_end: tuple[str, ...]

    def statements(self, block: int) -> tuple[str, ...]:
        """SQL for what is whole, or undone, with a block; 0 is the end of a run without any."""
        names = self.by_block.get(block, ()) if block else self.at_end
        write = typeorm.removing if self.down else typeorm.appending
        return tuple(write(self.history, name) for name in names)


def keeping(
    history: History, arranged: Sequence[Block], parts: Sequence[Part], *, down: bool
) -> Keeping:
    """Each part's row comes and goes with its last statement.

    The last block makes all of them true once more: an earlier try may have been cut off between a
    statement outside a transaction and its row.
    """
    order = [part for part in (reversed(parts) if down else parts) if part.history_name]
    whole = tuple(part.history_name for part in order)
    by_block: dict[int, tuple[str, ...]] = {}
    for part in order:
        mine = [b for b in arranged if any(step.part == part.file for step in b.steps)]
        if mine:
            number = mine[-1].number
            by_block[number] = (*by_block.get(number, ()), part.history_name)
    if arranged:
        by_block[arranged[-1].number] = whole
    return Keeping(history, down, by_block, () if arranged else whole)


def shut_out(
    conn: Connection,
    other: Connection,
    history: History,
    block: Block,
    names: Sequence[str],
    migration: LoadedMigration,
    *,
    begun: bool,
) -> None:
    """Keep TypeORM's runner out to the end of this transaction, and see that it was not faster.

    Where a migration chooses how its transaction sees others nothing may be read in front of that:
    the `other` connection reads before. `begun` says that a part of it ran already. Raise Meanwhile
    when one of `names` stands in TypeORM's history by now.
    """
    if any(map(_chooses, block.steps)):
        refuse_applied(other, history, names, migration, begun=begun)
        if not begun:
            _lock(conn, history)
        return
    with _as_connected(conn, moved=begun):
        _lock(conn, history)
        refuse_applied(conn, history, names, migration, begun=begun)


def _chooses(step: Step) -> bool:
    """True for SET TRANSACTION, which nothing may precede that has a snapshot."""
    return step.statement.kind == "variable_set" and step.statement.refuses_savepoint


def _lock(conn: Connection, history: History) -> None:
    """Lock the table to the end of the transaction. Raise RefusedError when that is not allowed."""
    try:
        conn.execute(typeorm.locking(history).encode())
    except psycopg.errors.InsufficientPrivilege as error:
        raise RefusedError(
            f"TypeORM's history {history} cannot be locked",
            where=f"database {conn.info.dbname}",
            why=f"{error.diag.message_primary}; qb keeps TypeORM out of it while a migration runs",
            todo=f"GRANT SELECT, INSERT, UPDATE, DELETE ON {history.sql} TO "
            f"{ident(conn.info.user)}, and USAGE ON the SEQUENCE of its id",
            code="missing-privilege",
        ) from None


def refuse_applied(
    conn: Connection,
    history: History,
    names: Sequence[str],
    migration: LoadedMigration,
    *,
    begun: bool,
) -> None:
    """Raise Meanwhile when one of `names` stands in TypeORM's history, RefusedError when begun."""
    if names and conn.execute(typeorm.applied(history, names).encode()).fetchall():
        raise _overtaken(migration.id) if begun else Meanwhile(migration.id)


def _overtaken(id: str) -> RefusedError:
    return RefusedError(
        f"TypeORM has applied {id}, of which qb had run a part",
        why="its row stands in TypeORM's history: what is left would run a second time",
        todo="see that it is whole; then take it as it is: "
        f"qb repair {id} --accept --as applied --reason TEXT",
        code="typeorm-history",
    )


@contextmanager
def _as_connected(conn: Connection, *, moved: bool) -> Iterator[None]:
    """Inside, be who connected: a migration may have become another role before."""
    if not moved:
        yield
        return
    from psycopg import sql

    row = conn.execute(AS_FOUND.encode()).fetchone()
    assert row is not None
    conn.execute("SET LOCAL SESSION AUTHORIZATION DEFAULT")
    conn.execute("SET LOCAL ROLE NONE")
    yield
    for name, value in zip(("session_authorization", "role"), row):
        text = sql.SQL("SELECT pg_catalog.set_config({}, {}, true)")
        conn.execute(text.format(name, value))


def names_of(parts: Iterable[Part]) -> tuple[str, ...]:
    """What TypeORM calls the parts of a migration that it knows."""
    return tuple(part.history_name for part in parts if part.history_name)


def rewrite(conn: Connection, history: History, names: Iterable[str], *, applied: bool) -> None:
    """Make TypeORM's history say that these are applied, or that they are not, whatever ran."""
    write = typeorm.appending if applied else typeorm.removing
    for name in names:
        conn.execute(write(history, name).encode())


def without_history(place: Place, differences: Iterable[Difference]) -> tuple[Difference, ...]:
    """Differences but for those of TypeORM's own table, which no migration makes."""
    found = tuple(differences)
    if not found or not scripts_of(place.migrations):
        return found
    with place.connected("qb validate") as conn:
        history = typeorm.history_of(conn, place.migrations.project.config.typeorm)
    return tuple(each for each in found if not _of_history(each.id, history))


def _of_history(id: ObjectId, history: History) -> bool:
    """True for the table, what belongs to it, and the sequence of its ids."""
    if id.schema != history.schema or id.kind in ("function", "aggregate", "type", "domain"):
        return False
    return id.name == history.table or (
        id.kind == "sequence" and id.name == f"{history.table}_id_seq"
    )
