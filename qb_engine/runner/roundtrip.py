"""up, down and up again: does every way back lead back? tried on a shadow, never on the target"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from qb_engine import ledger
from qb_engine.errors import InterruptedRun, QbError
from qb_engine.ledger.adopt import inherited
from qb_engine.runner.trial import Chain, Trial, UpFailed, here, roles
from qb_engine.schema import ObjectId, Snapshot, diff
from qb_engine.shadow import like, scratch
from qb_engine.shadow.shadow import loaded

if TYPE_CHECKING:
    from qb_engine.execution.place import Place
    from qb_engine.migrations import LoadedMigration
    from qb_engine.shadow import Scratch, Shadow

Test = Literal["single step", "whole chain"]
When = Literal["up", "down", "up again"]
Outcome = Literal[
    "exact", "inexact", "up fails", "down fails", "irreversible", "adopted", "not reached",
    "not asked",
]  # fmt: skip
WRONG = ("inexact", "up fails", "down fails")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it was, or a statement that failed.

    `when` says after what it was seen; `id` is the object, for a difference.
    """

    migration: str
    test: Test
    when: When
    what: str
    where: str = ""
    id: ObjectId | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """One migration: up, down and up again alone, and as part of the whole chain."""

    migration: str
    single: Outcome = "not reached"
    chain: Outcome = "not reached"
    why: str = ""  # it is irreversible, or not asked about
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return self.single not in WRONG and self.chain not in WRONG


@dataclass(frozen=True, slots=True)
class WholeChain:
    """Migrations in a row: all down in reverse, then all up again."""

    migrations: tuple[str, ...]
    outcome: Outcome
    findings: tuple[Finding, ...] = ()

    @property
    def name(self) -> str:
        """`first .. last`."""
        return f"{self.migrations[0]} .. {self.migrations[-1]}"


@dataclass(frozen=True, slots=True)
class RoundTrips:
    """What a round trip of some migrations found, and from which schema it started."""

    start: str
    trips: tuple[RoundTrip, ...]
    chains: tuple[WholeChain, ...]
    missing: tuple[str, ...] = ()


def roundtrip(
    place: Place,
    wanted: Collection[str] | None = None,
    *,
    empty: bool = False,
    hear: Callable[[int, int, str], None] = lambda done, total, name: None,
) -> RoundTrips:
    """Take migrations up, down and up again, each alone and then all together.

    `wanted` names migrations by id (default: all); those before them only go up. The start is what
    stood in the target before its first migration, or nothing (`empty`): the target is only read.
    `hear` is told how far it is. Raise the error of a broken file.
    """
    if place.migrations.broken:
        raise place.migrations.broken[0].error
    server = scratch(place.project, place.scratch_url, place.opened)
    every = place.migrations.all
    with roles(server, every), _start(place, server, empty=empty) as start:
        held = [m for m in every if m.id in start.holds]
        left = [m for m in every if m.id not in start.holds]
        asked = [wanted is None or m.id in wanted for m in left]
        last = max((i + 1 for i, one in enumerate(asked) if one), default=0)
        chain = Chain(place, start.shadow, left)
        try:
            tour = _Tour(place, chain, left[:last], asked, hear)
            tour.go()
        finally:
            chain.close()
    adopted = [
        RoundTrip(m.id, "adopted", "adopted") for m in held if wanted is None or m.id in wanted
    ]
    return RoundTrips(start.said, (*adopted, *tour.trips), tuple(tour.chains), start.shadow.missing)


@dataclass(frozen=True, slots=True)
class _Start:
    """A database as it is before the first migration: what that is, and what it holds already."""

    shadow: Shadow
    said: str
    holds: frozenset[str] = frozenset()


@contextmanager
def _start(place: Place, server: Scratch, *, empty: bool) -> Iterator[_Start]:
    if empty:
        with loaded(server, "") as shadow:
            yield _Start(shadow, "an empty database")
        return
    base, holds = None, frozenset[str]()
    with place.connected("qb roundtrip") as conn:
        if ledger.exists(conn):
            base, told = ledger.baseline(conn).sql, inherited(conn)
            holds = frozenset(
                run.migration
                for run in ledger.history(conn)
                if run.run <= told.covered or run.run in told.runs
            )
    if base is not None:
        with loaded(server, base) as shadow:
            said = f"what stood in {place.target.name} before its first migration"
            yield _Start(shadow, said, holds)
    else:
        with like(server, place.target, owners=False) as shadow:
            yield _Start(
                shadow, f"the schema of {place.target.name}, where no migration was run yet"
            )


class _Tour:
    """The way through the migrations, in order, with what was found so far."""

    def __init__(
        self,
        place: Place,
        chain: Chain,
        migrations: Sequence[LoadedMigration],
        asked: Sequence[bool],
        hear: Callable[[int, int, str], None],
    ) -> None:
        self.trips = [RoundTrip(m.id) for m in migrations]
        self.chains: list[WholeChain] = []
        self._place = place
        self._chain = chain
        self._migrations = migrations
        self._asked = asked
        self._hear = hear
        self._known: tuple[int, Snapshot] | None = None  # the schema after that many migrations
        self._first: tuple[int, Snapshot] | None = None  # ... and where the whole chain began

    def go(self) -> None:
        """Try every migration, and every row of reversible ones when it ends."""
        try:
            for at, migration in enumerate(self._migrations):
                self._check_stopped()
                self._hear(at, len(self._migrations), migration.id)
                if not self._asked[at] or migration.irreversible:
                    self._end_of_row(at)
                    if self._asked[at]:
                        self._go_through(at)
                    else:
                        self._set(at, single="not asked", chain="not asked")
                else:
                    self._try(at)
            self._end_of_row(len(self._migrations))
        except UpFailed as failed:
            at = next(i for i, m in enumerate(self._migrations) if m.id == failed.migration.id)
            finding = _failed(failed.migration.id, "single step", "up", failed.cause)
            self._set(at, single="up fails", chain="not reached", findings=(finding,))
            if self._first is not None and self._first[0] < at:
                self._whole_row(self._first[0], at)

    # -- one migration -------------------------------------------------------------------------

    def _go_through(self, at: int) -> None:
        """Apply a migration that has no way back."""
        migration = self._migrations[at]
        self._up(at)
        self._set(at, single="irreversible", chain="irreversible", why=migration.irreversible)

    def _up(self, at: int, *, clean: bool = False) -> Trial:
        """Apply a migration to where the ones before it are; on a clean copy when it fails."""
        trial = self._chain.at(at, clean=clean)
        try:
            trial.up(self._migrations[at])
        except QbError as error:
            self._check_stopped()
            if trial.marked and not clean:  # rows of an earlier trip may be in the way
                return self._up(at, clean=True)
            self._chain.spoilt()
            raise UpFailed(self._migrations[at], error) from error
        trial.stands = at + 1
        return trial

    def _try(self, at: int, *, clean: bool = False) -> None:
        """One migration alone: up, down, up."""
        migration = self._migrations[at]
        before = self._schema(at)
        if self._first is None:
            self._first = at, before
        marked = not clean and self._chain.at(at).marked
        trial = self._up(at, clean=clean)
        after = trial.look()
        self._known = at + 1, after
        findings: list[Finding] = []
        notes: list[str] = []
        outcome: Outcome = "exact"
        moving: When = "down"
        try:
            trial.down(migration)
            found = trial.look()
            _compare(before, found, migration.id, "single step", "down", findings, notes)
            moving = "up again"
            trial.up(migration)
            again = trial.look()
            _compare(after, again, migration.id, "single step", "up again", findings, notes)
            if again.facts != after.facts:
                self._chain.spoilt()
            outcome = "inexact" if findings else "exact"
        except QbError as error:
            self._check_stopped()
            self._chain.spoilt()
            findings.append(_failed(migration.id, "single step", moving, error))
            outcome = "down fails" if moving == "down" else "up fails"
        if outcome != "exact" and marked:  # rows of an earlier trip may be to blame
            self._chain.spoilt()
            self._try(at, clean=True)
            return
        notes += [
            f"{migration.id}: not tried, since it changes the whole server: {s.first_line}"
            for part in migration.parts
            for s in (*part.up, *part.down)
            if not here(s)
        ]
        self._set(at, single=outcome, findings=tuple(findings), notes=tuple(dict.fromkeys(notes)))
        if outcome == "down fails":  # no chain gets past it
            self._end_of_row(at)
            self._set(at, chain="down fails")

    def _schema(self, number: int) -> Snapshot:
        """The schema after so many migrations."""
        if self._known is None or self._known[0] != number:
            self._known = number, self._chain.at(number).look()
        return self._known[1]

    # -- all of them ---------------------------------------------------------------------------

    def _end_of_row(self, end: int) -> None:
        """Try the migrations of a row together, once it is known where it ends."""
        if self._first is not None and self._first[0] < end:
            self._whole_row(self._first[0], end)
        self._first = None

    def _whole_row(self, begin: int, end: int) -> None:
        ids = tuple(m.id for m in self._migrations[begin:end])
        if len(ids) == 1:  # nothing that the single step has not shown
            self._set(begin, chain=self.trips[begin].single)
            return
        assert self._first is not None
        start, whole = self._first[1], self._schema(end)
        found = self._down_and_up(begin, end, start, whole, clean=False)
        self.chains.append(found)
        for at in range(begin, end):
            self._set(at, chain=self._outcome_of(found, self.trips[at]))

    def _down_and_up(
        self, begin: int, end: int, start: Snapshot, whole: Snapshot, *, clean: bool
    ) -> WholeChain:
        """All down in reverse, compare, all up again, compare."""
        trial = self._chain.at(end, clean=clean)
        ids = tuple(m.id for m in self._migrations[begin:end])
        name = f"{ids[0]} .. {ids[-1]}"
        findings: list[Finding] = []
        outcome: Outcome = "exact"
        marked = trial.marked
        doing: When = "down"
        now = ids[-1]
        try:
            for migration in reversed(self._migrations[begin:end]):
                now = migration.id
                self._check_stopped()
                trial.down(migration)
            _compare(start, trial.look(), name, "whole chain", "down", findings, [])
            doing = "up again"
            for migration in self._migrations[begin:end]:
                now = migration.id
                self._check_stopped()
                trial.up(migration)
            again = trial.look()
            _compare(whole, again, name, "whole chain", "up again", findings, [])
            if again.facts != whole.facts:
                self._chain.spoilt()
            outcome = "inexact" if findings else "exact"
        except QbError as error:
            self._check_stopped()
            self._chain.spoilt()
            findings.append(_failed(now, "whole chain", doing, error))
            outcome = "down fails" if doing == "down" else "up fails"
        if outcome != "exact" and marked and not clean:
            # rows that the single steps left behind are not the chain's fault
            return self._down_and_up(begin, end, start, whole, clean=True)
        return WholeChain(ids, outcome, self._blamed(findings, begin, end))

    def _blamed(self, findings: list[Finding], begin: int, end: int) -> tuple[Finding, ...]:
        """The findings of a chain under the migration whose single step has the same object."""
        own = {f.id: t.migration for t in self.trips[begin:end] for f in t.findings if f.id}
        return tuple(
            replace(f, migration=own.get(f.id, f.migration)) if f.id else f for f in findings
        )

    def _outcome_of(self, chain: WholeChain, trip: RoundTrip) -> Outcome:
        if any(finding.migration == trip.migration for finding in chain.findings):
            return chain.outcome
        return "exact" if chain.outcome in ("exact", "inexact") else "not reached"

    # -- keeping -------------------------------------------------------------------------------

    def _set(self, at: int, **changes: object) -> None:
        self.trips[at] = replace(self.trips[at], **changes)  # type: ignore[arg-type]

    def _check_stopped(self) -> None:
        if self._place.stop.is_set():
            raise InterruptedRun("interrupted", why="you stopped it; the target was only read")


def _compare(
    expected: Snapshot,
    found: Snapshot,
    name: str,
    test: Test,
    when: When,
    findings: list[Finding],
    notes: list[str],
) -> None:
    """Add what `found` has otherwise; a column that came back as the last one is but a note."""
    if found.facts == expected.facts and found.unmodelled == expected.unmodelled:
        return
    for each in diff(expected, found):
        if each.id.kind == "table" and each.fields == ("columns",):
            notes.append(f"{name}: {each.sentence()} (PostgreSQL adds columns at the end)")
        else:
            findings.append(Finding(name, test, when, each.sentence(), id=each.id))
    lost = sorted(set(expected.unmodelled) - set(found.unmodelled))
    new = sorted(set(found.unmodelled) - set(expected.unmodelled))
    for state, names in (("is missing", lost), ("is not expected", new)):
        findings += [Finding(name, test, when, f"{one} {state}") for one in names]


def _failed(name: str, test: Test, when: When, error: QbError) -> Finding:
    """A statement that failed: what the server said, and where it stands in the file."""
    return Finding(name, test, when, error.why or error.what, error.where)
