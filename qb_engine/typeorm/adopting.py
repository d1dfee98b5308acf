"""taking TypeORM's history over into the ledger, and giving it back; its own table stays"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from qb_engine import ledger
from qb_engine.errors import RefusedError
from qb_engine.ledger import typeorm
from qb_engine.ledger.adopt import adopt
from qb_engine.ledger.decisions import durably
from qb_engine.migrations import Broken
from qb_engine.runner import beside
from qb_engine.runner.adopt import adoption
from qb_engine.runner.crew import at_work

if TYPE_CHECKING:
    from qb_engine.execution.place import Place
    from qb_engine.ledger import Standing
    from qb_engine.ledger.adopt import Adoption
    from qb_engine.ledger.typeorm import History
    from qb_engine.migrations import Entry, Migrations
    from qb_engine.runner.adopt import Proof
    from qb_engine.runner.beside import Beside

BY = "TypeORM"
DETAIL = {"from": "typeorm"}

Kind = Literal["pending", "out of order", "no file", "reverted", "twice", "stamp", "tie", "partly"]

# what only says that another tool applied a migration, since the last time it was given back
ADOPTED = """
SELECT DISTINCT h.run, h.migration FROM qb.history h JOIN qb.event e USING (run)
 WHERE e.what IN ('imported', 'taken over') AND e.detail ->> 'from' = 'typeorm'
 ORDER BY h.run
"""
GIVE_BACK = """
WITH gone AS (DELETE FROM qb.history WHERE run = ANY (%(runs)s) RETURNING migration)
INSERT INTO qb.event (host, what, run, reason, detail)
SELECT %(host)s, 'released', (SELECT pg_catalog.max(run) FROM qb.history), %(reason)s,
       %(detail)s::jsonb || pg_catalog.jsonb_build_object('migrations',
           coalesce((SELECT pg_catalog.jsonb_agg(migration) FROM gone), '[]'))
"""


@dataclass(frozen=True, slots=True)
class Remark:
    """Something of history or files that is not as it should be, or that stays to be done."""

    kind: Kind
    migration: str
    said: str


@dataclass(frozen=True, slots=True)
class Found:
    """What there is to take over, and what there is to say.

    `new` are entries in the order in which TypeORM applied them; `already` stand in the ledger.
    """

    besides: Beside
    new: tuple[Entry, ...]
    already: tuple[str, ...]
    remarks: tuple[Remark, ...]

    def of(self, *kinds: Kind) -> tuple[Remark, ...]:
        return tuple(each for each in self.remarks if each.kind in kinds)


def compared(migrations: Migrations, besides: Beside, known: Mapping[str, Standing]) -> Found:
    """The history against files and ledger; pure."""
    entries = {entry.id: entry for entry in migrations.entries}
    stands = [id for id, each in known.items() if each.status != "rolled back" and id in entries]
    remarks = [*_of_rows(besides), *_of_order(migrations, besides, stands)]
    for id in besides.gone:
        remarks.append(Remark("reverted", id, "TypeORM has reverted it; the ledger follows"))
    for id in besides.partly:
        remarks.append(Remark("partly", id, "TypeORM has applied a part of it; it stays pending"))
    new = tuple(entries[id] for id in besides.since)
    already = tuple(id for id in stands if id not in besides.gone)
    return Found(besides, new, already, tuple(remarks))


def _of_rows(besides: Beside) -> list[Remark]:
    """What is odd about the rows of the history."""
    found = [
        Remark("no file", row.name, f"row {row.id}: applied, and no file has it")
        for row in besides.strange
    ]
    for name, rows in (besides.twice or {}).items():
        ids = ", ".join(str(row.id) for row in rows)
        found.append(Remark("twice", name, f"rows {ids}: it was applied {len(rows)} times"))
    for row in besides.rows:
        last = row.name[-13:]
        if last.isascii() and last.isdigit() and int(last) != row.stamp:
            found.append(
                Remark(
                    "stamp",
                    row.name,
                    f"row {row.id} has the stamp {row.stamp}: TypeORM would run down and leave "
                    "the row, again and again",
                )
            )
    return found


def _of_order(migrations: Migrations, besides: Beside, stands: Sequence[str]) -> list[Remark]:
    """What is pending, and what shares its stamp with another one."""
    found = []
    applied = {*besides.since, *stands} - set(besides.gone)
    newest = max((_ms(e, migrations) for e in migrations.entries if e.id in applied), default=0)
    by_stamp: dict[int, list[str]] = {}
    for entry in migrations.entries:
        ms = _ms(entry, migrations)
        if ms:
            by_stamp.setdefault(ms, []).append(entry.id)
        if entry.id in applied or entry.id in besides.partly:
            continue
        if ms and ms < newest:
            said = "pending, and older than the newest that is applied: qb run asks for "
            found.append(Remark("out of order", entry.id, f"{said}--allow-out-of-order"))
        else:
            found.append(Remark("pending", entry.id, "pending"))
    for ids in by_stamp.values():
        if len(ids) > 1:
            said = f"it has the stamp of {', '.join(ids[:-1])}: TypeORM's order is not sure"
            found.append(Remark("tie", ids[-1], said))
    return found


def _ms(entry: Entry, migrations: Migrations) -> int:
    names = migrations.names_in_history(entry).values()
    return max((int(n[-13:]) for n in names if n[-13:].isdigit()), default=0)


def rows_of(place: Place, found: Found) -> tuple[Adoption, ...]:
    """What the ledger is to say of each, with the checksum of what was read of it.

    Raise RefusedError for a folder with parts that TypeORM cannot have run.
    """
    return tuple(_row(place, entry, found.besides) for entry in found.new)


def _row(place: Place, entry: Entry, besides: Beside) -> Adoption:
    there = {row.name for row in besides.rows}
    row = adoption(place, entry, who=BY)
    migration = place.migrations.loaded(entry)
    if isinstance(migration, Broken):
        return row
    beside.refuse_half(besides, migration)
    if migration.backfill is None:
        return row
    posts = [part.history_name for part in migration.parts if part.kind == "post"]
    whole = bool(posts) and all(name in there for name in posts)
    return row if whole else replace(row, status="expanded")  # TypeORM knows of no backfill


def take(
    place: Place,
    found: Found,
    rows: Sequence[Adoption],
    *,
    proof: Proof | None = None,
    guard: bool = False,
    reason: str = "",
) -> None:
    """Write into the ledger what TypeORM has applied and reverted; the schema is the baseline.

    All of it, or nothing. Raise RefusedError when the history, or a schema that was proven, is not
    what it was.
    """
    history = found.besides.history
    with at_work(place) as crew:
        conn = crew.control
        if typeorm.rows(conn, history) != found.besides.rows:
            raise _changed(place, f"{history} has other rows now")
        if proof is not None and crew.schema().fingerprint != proof.fingerprint:
            raise _changed(place, "the schema is not what the migrations were compared with")

        def also() -> None:
            if guard:
                typeorm.guard(conn, history)
            if found.besides.gone:
                beside.adopt_reverted(place, conn, found.besides)

        if not rows and not found.besides.gone:
            also()
            return
        ledger.ensure(conn, place.target)
        unknown = [row.name for row in found.besides.strange]
        detail = {**DETAIL, "table": str(history), "unknown": unknown}
        adopt(conn, place.target, rows, "imported", reason=reason, detail=detail, also=also)


@dataclass(frozen=True, slots=True)
class Held:
    """What the ledger took over from TypeORM, by run; and what qb itself has applied."""

    adopted: tuple[tuple[int, str], ...] = ()
    own: tuple[str, ...] = ()
    guarded: bool = False
    history: History | None = None


def held(place: Place, conn: Any) -> Held:
    """What there is to give back."""
    history = typeorm.history_of(conn, place.project.config.typeorm)
    guarded = typeorm.there(conn, history) and typeorm.guarded(conn, history)
    if not ledger.exists(conn):
        return Held((), (), guarded, history)
    adopted = tuple((run, name) for run, name in conn.execute(ADOPTED).fetchall())
    runs = {run for run, _ in adopted}
    ids = {entry.id for entry in place.migrations.entries}
    own = tuple(
        name
        for name, each in ledger.standing(conn).items()
        if name in ids and each.status != "rolled back" and each.last.run not in runs
    )
    return Held(adopted, own, guarded, history)


def give_back(place: Place, shown: Held, *, reason: str = "") -> None:
    """Take out of the ledger what was taken over, and the guard off TypeORM's table.

    What qb itself ran stays recorded. Raise RefusedError when it is not what was `shown`.
    """
    with at_work(place) as crew:
        conn = crew.control
        if held(place, conn) != shown:
            raise _changed(place, "the ledger has changed since")
        with durably(conn):
            if shown.guarded and shown.history is not None:
                typeorm.unguard(conn, shown.history)
            if ledger.exists(conn):
                given = {
                    "runs": [run for run, _ in shown.adopted],
                    "host": platform.node(),
                    "reason": reason,
                    "detail": json.dumps({**DETAIL, "table": str(shown.history)}),
                }
                conn.execute(GIVE_BACK, given)


def _changed(place: Place, why: str) -> RefusedError:
    return RefusedError(
        "something changed while it was compared",
        where=place.target.display,
        why=why,
        todo="repeat the command when nobody migrates",
        code="cannot-adopt",
    )
