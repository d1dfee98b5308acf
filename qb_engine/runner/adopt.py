"""migrations that count as applied without being run, and the proof that they may"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qb_engine import ledger
from qb_engine.errors import QbError, RefusedError
from qb_engine.execution import StepFailed, blocks
from qb_engine.ledger.adopt import Adoption, What, adopt, own_runs
from qb_engine.ledger.foreign import TOOLS
from qb_engine.migrations import Broken
from qb_engine.runner import beside
from qb_engine.runner.crew import at_work
from qb_engine.runner.validate import IGNORED, replay
from qb_engine.schema import diff, snapshot
from qb_engine.shadow import like, scratch
from qb_engine.shadow.shadow import loaded

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.execution.place import Place
    from qb_engine.migrations import Entry
    from qb_engine.runner.crew import Crew
    from qb_engine.schema import Difference, ObjectId

SHOWN = 20  # differences that an error lists


@dataclass(frozen=True, slots=True)
class Proof:
    """What replaying migrations on an empty database makes, against the schema that is there.

    `failure` says why it could not be replayed to the end; `missing` what the scratch database
    could not load. `fingerprint` is that of the target when it was compared.
    """

    replayed: int
    differences: tuple[Difference, ...] = ()
    missing: tuple[str, ...] = ()
    failure: str = ""
    fingerprint: str = ""

    @property
    def ok(self) -> bool:
        return not self.differences and not self.failure


def adoption(place: Place, entry: Entry, **more: Any) -> Adoption:
    """What is recorded of a migration; of a file that cannot be read, the checksum of its bytes."""
    look = place.migrations.look(entry)
    migration = place.migrations.loaded(entry)
    if isinstance(migration, Broken):
        note = f"qb cannot read it: {migration.error.what}"
        said = "; ".join(filter(None, [more.pop("note", ""), note]))
        return Adoption(
            entry.id, entry.name, f"unread:{look.raw}", look.raw, "", note=said, **more
        )  # fmt: skip
    return Adoption.of(migration, look.raw, **more)


def prove(
    place: Place, entries: Sequence[Entry], tables: Sequence[str] = (), *, before: str = ""
) -> Proof:
    """Replay migrations on an empty scratch database, and compare it with the target's schema.

    Other tools' own tables, and `tables`, are not expected of the migrations; `before` is what
    they find there. The target is only read.
    """
    found = [place.migrations.loaded(entry) for entry in entries]
    with place.connected("qb baseline") as conn:
        now = snapshot(conn)
    server = scratch(place.project, place.scratch_url, place.opened)
    with (
        loaded(server, before) as empty,
        like(server, place.target, schema=now, owners=False) as there,
    ):
        for at, migration in enumerate(found):
            try:
                if isinstance(migration, Broken):
                    raise migration.error
                replay(place, empty, blocks(migration.parts))
            except StepFailed as failed:
                why = f"{migration.id}: {failed.why}"
                return Proof(at, (), there.missing, why, now.fingerprint)
            except QbError as error:
                why = f"{migration.id}: {error.what}"
                return Proof(at, (), there.missing, why, now.fingerprint)
        left, right = empty.connect(), there.connect()
        try:
            differences = diff(snapshot(left), snapshot(right), ignore=IGNORED)
        finally:
            left.close()
            right.close()
    kept = tuple(d for d in differences if d.change != "unexpected" or not _tools(d.id, tables))
    kept = beside.without_history(place, kept)
    return Proof(len(found), kept, there.missing, "", now.fingerprint)


def record(
    place: Place,
    rows: Sequence[Adoption],
    what: What,
    *,
    proof: Proof | None = None,
    reason: str = "",
    detail: dict[str, Any] | None = None,
) -> int:
    """Record migrations as applied, and the schema as the baseline; the number of them.

    Raise RefusedError when qb has applied something here, and when the schema is not the one that
    `proof` compared.
    """
    with at_work(place) as crew:
        refuse_applied(crew.control)
        if proof is not None and crew.schema().fingerprint != proof.fingerprint:
            raise RefusedError(
                "the schema changed while it was compared",
                where=place.target.display,
                why="what is there now is not what the migrations were compared with",
                todo="repeat the command when nobody changes the schema",
                code="cannot-adopt",
            )
        ledger.ensure(crew.control, place.target)
        also = _telling_typeorm(crew, rows if what == "adopted" else ())
        adopt(crew.control, place.target, rows, what, reason=reason, detail=detail, also=also)
    return len(rows)


def _telling_typeorm(crew: Crew, rows: Sequence[Adoption]) -> Callable[[], None]:
    """What has TypeORM's own history say that these are applied, too; what it says already stays.

    Its table is made before, where it is not there: it belongs to the baseline.
    """
    migrations = crew.place.migrations
    entries = {entry.id: entry for entry in migrations.entries}
    found = [migrations.names_in_history(entries[row.migration]) for row in rows]
    names = [name for files in found for name in files.values()]
    history = crew.history(names)

    def tell() -> None:
        if history is not None:
            beside.rewrite(crew.control, history, names, applied=True)

    return tell


def refuse_problems(entries: Sequence[Entry]) -> None:
    """Raise the error of a file that no name and no bytes could ever make a migration."""
    for entry in entries:
        if entry.problem is not None and not entry.stamp:
            raise entry.problem


def refuse_applied(conn: Connection) -> None:
    """Raise RefusedError when qb itself has applied something here that still stands."""
    if not ledger.exists(conn):
        return
    known = ledger.standing(conn).values()
    if own := own_runs(conn, [s.last for s in known if s.status != "rolled back"]):
        others = f" and {len(own) - 1} more are" if len(own) > 1 else " is"
        raise RefusedError(
            f"{sorted(own)[0]}{others} applied here by qb",
            why="adopting moves the baseline that validate replays from, which holds nothing of "
            "what qb ran",
            todo="see it with: qb history; roll these back first, or run the others with qb run",
            code="cannot-adopt",
        )


def refuse_unproven(place: Place, proof: Proof) -> None:
    """Raise RefusedError when the migrations do not make the schema that is there."""
    if proof.failure:
        raise RefusedError(
            "the migrations cannot be replayed on an empty database",
            where=place.target.display,
            why=proof.failure,
            todo="see to the file that is named; or adopt them unproven with --accept-differences",
            code="cannot-adopt",
        )
    if proof.differences:
        count = len(proof.differences)
        shown = [d.sentence() for d in proof.differences[:SHOWN]]
        if count > SHOWN:
            shown.append(f"and {count - SHOWN} more")
        raise RefusedError(
            "the schema is not what the migrations make",
            where=f"{place.target.display}: {count} difference{'s' if count > 1 else ''}",
            why="\n".join(shown),
            todo="name the migration whose work is the last one here; or adopt it as it is with "
            "--accept-differences",
            code="cannot-adopt",
        )


def _tools(id: ObjectId, tables: Sequence[str]) -> bool:
    """True for a part of another tool's own table, or of its schema."""
    for name in (*(tool.table for tool in TOOLS.values() if tool.name != "typeorm"), *tables):
        schema, _, table = name.rpartition(".")
        if schema == "sqitch" and "sqitch" in (id.schema, id.name):
            return True
        if id.name == table or (id.kind == "sequence" and id.name.startswith(f"{table}_")):
            return not schema or id.schema == schema
    return False
