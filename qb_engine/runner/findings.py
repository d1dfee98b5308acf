"""what is wrong with the state of things, each finding with the command that resolves it"""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from qb_engine.errors import RefusedError, nearby
from qb_engine.migrations import Entry, stamps
from qb_engine.migrations.listing import is_script
from qb_engine.report import format_seconds
from qb_engine.runner.status import when

if TYPE_CHECKING:
    from qb_engine.runner.beside import Beside
    from qb_engine.runner.leftovers import InvalidIndex, Orphan
    from qb_engine.runner.status import Status

SETTLED = ("applied", "contracted")
NAMED = 5  # migrations that a sentence names before it counts the rest


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: `what`, `why` it matters, and the command `todo` that resolves it.

    `migration` is empty for what is about more than one.
    """

    id: str
    migration: str
    what: str
    why: str
    todo: str


def findings(
    found: Sequence[Status],
    entries: Sequence[Entry] = (),
    *,
    orphans: Sequence[Orphan] = (),
    invalid: Sequence[InvalidIndex] = (),
    beside: Beside | None = None,
    stranded: Mapping[str, float] = {},
) -> tuple[Finding, ...]:
    """Everything that is wrong, by how migrations stand, what the folder holds, what was left.

    A pure function: statuses in the order of the folder, the folder's entries, runs whose runner
    is gone, indexes that no build has finished, TypeORM's own history, the seconds for which nobody
    drives a backfill. What one cause has left is one finding.
    """
    paths = {entry.id: entry for entry in entries}
    unsettled = [s for s in found if s.state not in SETTLED or s.down_edited]
    half = {s.migration for s in found if s.state == "partial"}
    gone = {each.migration: each for each in orphans if each.migration in half}
    return (
        *(
            each
            for status in unsettled
            for each in _one(status, paths.get(status.migration), gone.get(status.migration))
        ),
        *_late(found, paths),
        *_duplicates(found, entries),
        *_branches(found),
        *(_orphan(each) for each in orphans if each.migration not in gone),
        *(_invalid(each) for each in invalid),
        *(_typeorm(beside) if beside is not None else ()),
        *(_stranded(id, seconds) for id, seconds in stranded.items()),
    )


def refuse_out_of_order(found: Sequence[Status], only: str = "") -> None:
    """Raise RefusedError when a pending migration is older than the newest applied one.

    `found` is how everything stands, in order; `only` is the one that is to run, when it is one.
    """
    older = [name for name in late(found) if not only or name == only]
    if not older:
        return
    newest = _newest(found)
    word = "is older than what is applied" if len(older) == 1 else "are older than what is applied"
    raise RefusedError(
        f"{_named(older)} {word}",
        why=f"{newest} is applied here, and was never tried on top of "
        + ("it" if len(older) == 1 else "them"),
        todo=f"qb status --check tells how to give {'it' if len(older) == 1 else 'them'} a new "
        "timestamp; or run out of order, knowingly: qb run --allow-out-of-order",
        code="out-of-order",
    )


def late(found: Sequence[Status]) -> tuple[str, ...]:
    """The pending migrations that are older than the newest applied one, in order."""
    if not any(status.state == "pending" for status in found):
        return ()
    ordered = [status for status in found if not status.repeatable]
    last = max((i for i, s in enumerate(ordered) if s.applied_at is not None), default=-1)
    return tuple(s.migration for s in ordered[: last + 1] if s.state == "pending")


def _newest(found: Sequence[Status]) -> str:
    applied = [s.migration for s in found if s.applied_at is not None and not s.repeatable]
    return applied[-1] if applied else ""


def _one(status: Status, entry: Entry | None, gone: Orphan | None = None) -> Iterator[Finding]:
    """What is wrong with one migration by itself; `gone` is its run when nobody ended that."""
    id = status.migration
    file = _path(entry) if entry else f"migrations/{id}"
    if status.state == "edited":
        yield Finding(
            "edited",
            id,
            f"{id} was edited after it was applied",
            "what ran on this database and what the file says now are not the same",
            f"restore the file (git log -p -- {file} shows what changed), and put the change into "
            f"a new migration; or take it for what ran: qb checksum {id} --accept --reason TEXT",
        )
    if status.down_edited:
        yield Finding(
            "edited-down",
            id,
            f"the way back of {id} was edited after it was applied",
            "a rollback would undo something else than what was tried when it was applied",
            f"restore the file (git log -p -- {file}); or take it as it is: "
            f"qb checksum {id} --accept --reason TEXT",
        )
    if status.state == "missing":
        yield Finding(
            "missing",
            id,
            f"{id} is applied here, and its file is gone",
            "nobody can roll it back, and a new database would not get it",
            f"find it with git log --all --oneline -- '*{id}*', and bring it back with "
            f"git restore --source COMMIT -- FILE",
        )
    if status.state == "broken":
        yield Finding(
            "broken",
            id,
            f"{id} cannot be read: {status.note}",
            "qb run applies nothing before every file can be read",
            f"mend the line that is named, then see it with: qb status {id}",
        )
    if status.state == "partial":
        way = "back" if status.down else "up"
        yield Finding(
            "partial-down" if status.down else "partial",
            id,
            f"{id} stopped half way {way}: {status.note}",
            f"its runner {_ended(gone)}; what was committed is there, and the rest is not"
            if gone
            else "what was committed is there, and the rest is not",
            f"{'qb rollback' if status.down else 'qb run'} continues; qb repair shows what is left,"
            " and continues or undoes it",
        )
    yield from _backfill(status)


def _backfill(status: Status) -> Iterator[Finding]:
    """What a migration waits for."""
    id, fill = status.migration, status.backfill
    if status.state not in ("expanded", "backfilling"):
        return
    if fill in ("failed", "cancelled"):
        said = "has failed" if fill == "failed" else "was cancelled"
        yield Finding(
            f"backfill-{fill}",
            id,
            f"the backfill of {id} {said}",
            "its rows are not all filled, and what comes after it waits",
            f"qb backfill status {id} says how far it is and why; qb backfill start {id} goes on",
        )
    elif fill == "paused":
        yield Finding(
            "backfill-paused",
            id,
            f"the backfill of {id} is paused",
            "what comes after it waits",
            f"qb backfill resume {id}",
        )
    elif status.state == "expanded":
        done = fill == "completed"
        yield Finding(
            "waits-for-post" if done else "waits-for-backfill",
            id,
            f"{id} is expanded: its backfill is {'complete' if done else 'not started'}",
            "its last part has not run" if done else "its rows are not filled",
            "qb run finishes it" if done else f"qb backfill start {id}",
        )


def _stranded(id: str, seconds: float) -> Finding:
    return Finding(
        "backfill-stranded",
        id,
        f"nobody drives the backfill of {id}: no batch and no worker for {format_seconds(seconds)}",
        "its rows are not all filled, and what comes after it waits",
        f"qb backfill status {id} says what is away; qb backfill start {id} starts a worker",
    )


def _late(found: Sequence[Status], paths: dict[str, Entry]) -> Iterator[Finding]:
    """Pending migrations that are older than the newest applied one."""
    newest = _newest(found)
    after = when(newest)
    for id in late(found):
        after = stamps.new(after=after or None)
        yield Finding(
            "out-of-order",
            id,
            f"{id} is pending, and older than {newest}, which is applied",
            "on other databases it runs before it, here it would run after it",
            f"{_renamed(paths[id], after, newest)}; or, knowingly: qb run --allow-out-of-order",
        )


def _duplicates(found: Sequence[Status], entries: Sequence[Entry]) -> Iterator[Finding]:
    """Files with the same timestamp, as long as one of them is not applied here.

    When all are, they have their order here, and names order them everywhere else.
    """
    pending = {s.migration for s in found if s.applied_at is None}
    if not pending:
        return
    same: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.stamp and not entry.problem and (ms := _of_typeorm(entry)):
            same[ms].append(entry)
        elif entry.stamp and not entry.files and not entry.problem:
            same[stamps.moment(entry.stamp)].append(entry)
    newest = max((each for each in same if each.isdigit()), default="")
    for twins in same.values():
        open_ones = [entry for entry in twins if entry.id in pending]
        if len({entry.id for entry in twins}) < 2 or not open_ones:
            continue
        newest = stamps.new(after=newest)
        yield Finding(
            "duplicate-stamp",
            open_ones[-1].id,
            f"{_named([entry.id for entry in twins])} have the same timestamp",
            "only their names say which runs first, and nobody meant them to",
            _renamed(open_ones[-1], newest),
        )


def _of_typeorm(entry: Entry) -> str:
    """The milliseconds by which TypeORM orders a migration; empty for one of another form."""
    return f"{entry.stamp} ms" if entry.files and is_script(entry.path.name) else ""


def _branches(found: Sequence[Status]) -> Iterator[Finding]:
    """Pending files between applied ones, or applied ones without a file: two branches met."""
    pending = [s.migration for s in found if s.state == "pending" and not s.repeatable]
    gone = [s.migration for s in found if s.state == "missing"]
    older = late(found)
    if not pending:
        return
    ordered = [s for s in found if not s.repeatable]
    groups = [key for key, _ in groupby(ordered, lambda s: s.migration in older) if key]
    if len(groups) > 1:
        yield Finding(
            "two-branches",
            "",
            f"{_named(older)} are pending between migrations that are applied",
            "it looks as if they came from another branch, whose order nobody has tried here",
            "give them new timestamps, in their order, with the git mv of each finding above, and "
            "qb rehearse them there; or, knowingly: qb run --allow-out-of-order",
        )
    if gone:
        yield Finding(
            "two-branches",
            "",
            f"{_named(gone)} ran here from files that are not in this folder, and "
            f"{_named(pending)} did not run",
            "it looks as if this database was migrated from another branch than the one checked "
            "out",
            "merge the other branch (git log --all -- the missing names finds it), then see "
            "qb status --check again before qb run",
        )


def _typeorm(found: Beside) -> Iterator[Finding]:
    """Where TypeORM's own history and the ledger do not say the same."""
    where = str(found.history)
    if len(found.since) > 1 and not found.shared:
        yield Finding(
            "typeorm-applied",
            "",
            f"{len(found.since)} migrations were applied by TypeORM: {found.since[0]} to "
            f"{found.since[-1]}",
            "qb has taken over nothing of TypeORM's history on this database",
            "qb typeorm adopt",
        )
    else:
        yield from (_applied(id, found.shared) for id in found.since)
    for id in found.gone:
        yield Finding(
            "typeorm-reverted",
            id,
            f"{id} is applied, and does not stand in {where} any more",
            "TypeORM has reverted it, or somebody deleted its row: TypeORM would run it again",
            "qb typeorm adopt, when TypeORM has reverted it; else bring the row back",
        )
    for id in found.partly:
        yield Finding(
            "typeorm-partly",
            id,
            f"TypeORM has applied a part of {id}",
            "the files of that folder that its glob does not match did not run",
            f"bring about the rest, then: qb baseline {id}; or revert it with TypeORM, and: qb run",
        )
    for name, rows in (found.twice or {}).items():
        ids = ", ".join(str(row.id) for row in rows[1:])
        yield Finding(
            "typeorm-twice",
            "",
            f"{name} stands in {where} {len(rows)} times",
            "two runners of TypeORM were at work at the same time: what it does was done as often",
            f"see what it did twice, then: DELETE FROM {found.history.sql} WHERE id IN ({ids}); "
            "qb typeorm adopt --guard keeps it from happening again",
        )
    for row in found.strange:
        yield Finding(
            "typeorm-missing",
            "",
            f"{row.name} was applied by TypeORM, and no file has it",
            "TypeORM cannot revert it, nor anything that was applied before it",
            f"find it with git log --all --oneline -S {shlex.quote(row.name)}, and bring it back "
            "with git restore --source COMMIT -- FILE",
        )


def _applied(id: str, shared: bool) -> Finding:
    return Finding(
        "typeorm-applied",
        id,
        f"{id} was applied by TypeORM, and the ledger does not know it",
        "its statements were seen by nobody, and qb cannot roll it back before it knows it"
        if shared
        else "qb has taken over nothing of TypeORM's history on this database",
        "qb run takes it over" if shared else "qb typeorm adopt",
    )


def _ended(orphan: Orphan) -> str:
    """How a runner is told of that said nothing at its end."""
    return (
        f"was started by {orphan.who}{f' on {orphan.host}' if orphan.host else ''} at "
        f"{orphan.started_at:%Y-%m-%d %H:%M:%S}, and ended without a word"
    )


def _orphan(orphan: Orphan) -> Finding:
    return Finding(
        "runner-gone",
        orphan.migration,
        f"run {orphan.run} of {orphan.migration} is recorded as running, and its runner is gone",
        f"it {_ended(orphan)}",
        "qb repair shows what it has done and what is left; qb run goes on after it",
    )


def _invalid(index: InvalidIndex) -> Finding:
    return Finding(
        "invalid-index",
        "",
        f"the index {index.name} of {index.table} is not valid",
        "a build of it did not finish: it costs every write and serves no query",
        f"DROP INDEX CONCURRENTLY {index.name}; then build it anew"
        + ("" if index.temporary else f", or REINDEX INDEX CONCURRENTLY {index.name}"),
    )


def _renamed(entry: Entry, stamp: str, newest: str = "") -> str:
    """The command that gives a migration a new timestamp."""
    if entry.files and is_script(entry.path.name):  # what its class is called is all that counts
        name = f"{entry.name}{stamps.to_ms(stamps.new())}"
        return f"call the class in {_path(entry)} {name}, where it runs nowhere yet"
    if entry.files:  # another tool's format has versions of its own
        return f"give {_path(entry)} a version after {newest} (git mv)"
    suffix = "" if entry.folder else entry.path.suffix
    new = entry.path.with_name(f"{stamp}_{entry.name}{suffix}")
    return f"git mv {_path(entry)} {shlex.quote(nearby(str(new)))}"


def _path(entry: Entry) -> str:
    return shlex.quote(nearby(str(entry.path)))


def _named(ids: Iterable[str]) -> str:
    """Some ids, and how many more there are."""
    names = list(ids)
    if len(names) > NAMED:
        return f"{', '.join(names[:NAMED])} and {len(names) - NAMED} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
