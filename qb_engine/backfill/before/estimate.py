"""what a backfill will come to, before it is started: from a few batches that are rolled back

Batches at the first rows, in the middle, at the last and at random, each run as it would be and
explained by the server as it ran: rows, time, WAL, whether the rows stayed on their page, and the
triggers that fired. Nothing of them stays but the dead versions of their rows.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from qb_engine.backfill import expressions, kinds, pace
from qb_engine.backfill.before.surroundings import Surroundings, Trigger, surroundings
from qb_engine.backfill.limits import limit
from qb_engine.backfill.reporting.forecast import SWEEP
from qb_engine.backfill.throttle import settings
from qb_engine.backfill.throttle.look import Look
from qb_engine.backfill.walk import split, statements
from qb_engine.ledger.decisions import decide

if TYPE_CHECKING:
    from qb_engine.backfill.records import Range
    from qb_engine.backfill.spec import Spec
    from qb_engine.backfill.walk.statements import Key

Connection = psycopg.Connection[Any]

KEYS = 1_000  # of a sampled batch
SAMPLES = 5
SAMPLE_MS = 5_000  # a sampled batch holds its locks for no longer
LOCK_MS = 1_000
COUNT_MS = 3_000  # an exact count is worth this long
OVERHEAD_S = 0.004  # of a batch: its fence, its record, its commit
START_S = (0.2, 3.0)  # until the first batch: where a worker polls, and where one is started
END_S = (0.1, 0.6)  # the steps after the last one, however few rows there are
ESTIMATED = "backfill estimated"  # of qb.event
FULL_PAGES = 0.5  # fewer rows than this stayed on their page: worth a word

# What an estimate of the last week said, or how many rows there are.
TAKE_OVER = """
UPDATE qb.backfill AS b SET estimated = coalesce(
    (SELECT e.detail FROM qb.event AS e WHERE e.migration = b.id AND e.what = %(what)s
        AND e.detail ->> 'checksum' = b.checksum AND e.at > clock_timestamp() - interval '7 days'
        ORDER BY e.id DESC LIMIT 1),
    jsonb_build_object('rows', b.rows_total, 'sampled', 0))
WHERE b.id = %(id)s
"""

STAYED = """
SELECT coalesce(sum(n_tup_upd), 0)::bigint, coalesce(sum(n_tup_hot_upd), 0)::bigint
FROM pg_catalog.pg_stat_xact_user_tables WHERE schemaname = %s AND relname = %s
"""


@dataclass(frozen=True, slots=True)
class Sampled:
    """One batch that was rolled back. `hot` rows of `rows` stayed on their page."""

    after: str
    keys: int
    rows: int
    ms: float
    wal_bytes: int
    hot: int
    fired: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a backfill will come to. Without samples there are no times, and no WAL."""

    id: str
    checksum: str
    table: str
    key: tuple[str, ...]
    rows: int
    exact: bool
    keys: int  # rows that it goes over
    around: Surroundings
    samples: tuple[Sampled, ...] = ()
    batches_low: int | None = None
    batches_high: int | None = None
    seconds_low: float | None = None
    seconds_high: float | None = None
    wal_bytes_low: int | None = None
    wal_bytes_high: int | None = None
    hot: float | None = None  # share of the rows that stay on their page
    triggers: tuple[Trigger, ...] = ()
    volatile: tuple[str, ...] = ()  # expressions that give something else each time
    held: tuple[tuple[str, str, str], ...] = ()  # signal, what it says, why
    said: tuple[str, ...] = ()
    verb: str = "update"  # or delete, insert

    @property
    def dead_rows(self) -> int:
        """Each row that is updated or deleted leaves a version behind, until a vacuum."""
        return 0 if self.verb == "insert" else self.rows

    @property
    def dead_bytes(self) -> int:
        return int(self.dead_rows * self.around.row_bytes)

    @property
    def change_events(self) -> int:
        """Rows that whoever reads the changes is sent."""
        return self.rows if self.around.publications or self.around.slots else 0

    def kept(self) -> dict[str, Any]:
        """What is compared with what came, in the end."""
        names = ("rows", "batches", "seconds", "wal_bytes")
        whole = asdict(self)
        found = {k: v for k, v in whole.items() if k.startswith(names) and v is not None}
        return {
            **found,
            "exact": self.exact,
            "sampled": len(self.samples),
            "checksum": self.checksum,
            "dead_rows": self.dead_rows,
            "hot": self.hot,
        }


def estimate(conn: Connection, spec: Spec, *, sampling: bool = True) -> Estimate:
    """Look at what a backfill will come to; with `sampling`, from batches that are rolled back.

    A transform is not sampled: it would call the user's code, and whoever that calls.
    """
    verb, said = _verb(spec), list[str]()
    around = surroundings(conn, spec, verb)
    keys = split.estimate(conn, spec)
    counted = _quickly(conn, COUNT_MS, lambda: _one(conn, statements.needing(spec)))
    if counted is not None and not spec.where:
        keys = counted
    samples: tuple[Sampled, ...] = ()
    if sampling and spec.kind == "transform":
        said.append("a transform is not sampled: it would call your code. See: qb backfill preview")
    elif sampling and keys:
        samples = tuple(_samples(conn, spec, keys, said))
    rows = keys if counted is None else counted
    found = Estimate(
        spec.id,
        spec.checksum,
        f"{spec.schema}.{spec.table}",
        tuple(column.name for column in spec.key),
        rows,
        counted is not None,
        keys,
        around,
        samples,
        triggers=tuple(_triggers(around, samples, rows)),
        volatile=tuple(_volatile(conn, spec, said)),
        held=tuple(_held(conn, spec, said)),
        verb=verb,
    )
    found = timed(found, spec)
    return replace(found, said=(*said, *_advice(found, spec, verb)))


def timed(found: Estimate, spec: Spec) -> Estimate:
    """With the times that the samples lead to; pure.

    The low end has the fastest sample and lanes that do not hinder each other, the high end the
    slowest one and lanes that gain nothing. Both have what even one row takes: the start, the first
    batches, which are small, and the look for late rows with what verifies them.
    """
    told = [each for each in found.samples if each.ms > 0 and each.keys]
    if not told:
        return found
    rates = sorted(each.keys / (each.ms / 1000) for each in told)
    sizes = [min(spec.batch_limit, pace.bounded(r * spec.options.target_ms / 1000)) for r in rates]
    batches = [batches_of(found.keys, size) for size in (sizes[-1], sizes[0])]
    low = (found.keys / rates[-1] + batches[0] * OVERHEAD_S) / max(1, spec.parallel)
    high = found.keys / rates[0] + batches[1] * OVERHEAD_S
    if spec.options.max_rate:
        least = found.rows / spec.options.max_rate
        low, high = max(low, least), max(high, least)
    if spec.where and spec.kind != "sql":
        high *= 1.0 + SWEEP
    low, high = low + START_S[0] + END_S[0], high + START_S[1] + END_S[1]
    wal = sorted(each.wal_bytes / each.rows for each in told if each.rows)
    written = sum(each.rows for each in told)
    return replace(
        found,
        batches_low=batches[0],
        batches_high=batches[1],
        seconds_low=round(low, 2),
        seconds_high=round(high, 2),
        wal_bytes_low=int(wal[0] * found.rows) if wal else None,
        wal_bytes_high=int(wal[-1] * found.rows) if wal else None,
        hot=round(sum(each.hot for each in told) / written, 3)
        if written and found.verb == "update"
        else None,
    )


def batches_of(keys: int, size: int) -> int:
    """How many batches so many keys are: they grow up to that size, as nobody knows it yet."""
    count, step = 0, float(min(pace.FIRST, size))
    while step < size and keys > 0:
        keys -= int(step)
        count, step = count + 1, min(step * pace.GROWTH, size)
    return max(1, count + max(0, -(-keys // max(1, size))))


def keep(conn: Connection, found: Estimate) -> None:
    """Write down what was expected; a start takes it over."""
    decide(conn, ESTIMATED, found.id, None, detail=found.kept())


def take_over(conn: Connection, backfill: str) -> None:
    """Have what was expected with the backfill that begins."""
    conn.execute(TAKE_OVER, {"what": ESTIMATED, "id": backfill})


# -- parts -------------------------------------------------------------------------------------


def _samples(conn: Connection, spec: Spec, keys: int, said: list[str]) -> Iterator[Sampled]:
    fine = replace(spec, parallel=max(4, spec.parallel), batch_size=KEYS)
    ranges = _quickly(conn, COUNT_MS * 2, lambda: split.ranges(conn, fine, keys)) or []
    for each in _spread(ranges):
        part = spec.part(*each.part)
        after = ", ".join(each.lo) if each.lo else "the first row"
        unfit = ""
        for size in (KEYS, KEYS // 20):
            try:
                found = _sample(conn, part, each.lo, each.hi, size)
            except (psycopg.DataError, psycopg.IntegrityError) as error:
                found, unfit = None, error.diag.message_primary or str(error)
            if found:
                yield found
                break
        else:
            if not unfit:
                said.append(f"the sample after {after} was given up: a lock, or more than 5 s")
        if unfit:
            said.append(f"soon after {after} there is a row that cannot be written: {unfit}")


def _spread(ranges: Sequence[Range]) -> list[Range]:
    """The first, the middle, the last, and others at random."""
    if len(ranges) <= SAMPLES:
        return list(ranges)
    places = {0, len(ranges) // 2, len(ranges) - 1}
    others = [place for place in range(len(ranges)) if place not in places]
    places |= set(random.sample(others, SAMPLES - len(places)))
    return [ranges[place] for place in sorted(places)]


def _sample(conn: Connection, spec: Spec, lo: Key, hi: Key, keys: int) -> Sampled | None:
    """Run one batch, have it explained, and roll it back; None when it took too long."""
    explain = sql.SQL("EXPLAIN (ANALYZE, WAL, TIMING OFF, FORMAT JSON) ")
    try:
        with conn.transaction(force_rollback=True):
            limit(conn, LOCK_MS, SAMPLE_MS)
            edge = conn.execute(statements.boundary(spec, lo, hi, keys)).fetchone()
            end = edge[0] if edge else hi
            seen = keys if edge else conn.execute(statements.count(spec, lo, end)).fetchall()[0][0]
            # what is not reported yet of the transactions before is counted with this one
            before = conn.execute(STAYED, [spec.schema, spec.table]).fetchall()[0]
            whole = conn.execute(explain + kinds.of(spec).plan(spec, lo, end)).fetchall()[0][0][0]
            after = conn.execute(STAYED, [spec.schema, spec.table]).fetchall()[0]
    except (psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled):
        return None
    plan = whole["Plan"]
    fired = tuple(
        (each.get("Constraint Name") or each["Trigger Name"], int(each["Calls"]))
        for each in whole.get("Triggers", ())
    )
    return Sampled(
        ", ".join(lo) if lo else "",
        seen,
        after[0] - before[0] or _rows(plan),
        float(whole["Execution Time"]),
        int(plan.get("WAL Bytes", 0)),
        after[1] - before[1],
        fired,
    )


def _rows(plan: Any) -> int:
    """Rows that the writing node of a plan was given."""
    if plan["Node Type"] == "ModifyTable":
        below = plan.get("Plans", ())
        return int(sum(each["Actual Rows"] * each["Actual Loops"] for each in below[:1]))
    return sum(_rows(each) for each in plan.get("Plans", ()))


def _triggers(around: Surroundings, samples: Sequence[Sampled], rows: int) -> Iterator[Trigger]:
    """Those that fire, and how often in all: as in the samples, else once for each row."""
    written = sum(each.rows for each in samples)
    calls: dict[str, int] = {}
    for each in samples:
        for name, count in each.fired:
            calls[name] = calls.get(name, 0) + count
    for trigger in around.triggers:
        if trigger.name in calls or not written:
            share = calls.pop(trigger.name, 0) / written if written else 1.0
            yield replace(trigger, calls=round(rows * share) if trigger.each_row else None)
    for name, count in calls.items():
        yield Trigger(name, each_row=True, calls=round(rows * count / written))


def _volatile(conn: Connection, spec: Spec, said: list[str]) -> Iterator[str]:
    texts = {column.name: column.sql for column in spec.set}
    if spec.where:
        texts["where"] = spec.where
    try:
        read = expressions.read(conn, spec.schema, spec.table, texts)
    except psycopg.Error as error:
        if conn.closed:
            raise
        said.append(f"what the expressions call was not read: {error.diag.message_primary}")
        return
    for name, each in read.items():
        if not each.settled:
            what = ", ".join(each.functions) or "the time"
            yield f"{name}: {what} ({each.volatility})"


def _held(conn: Connection, spec: Spec, said: list[str]) -> Iterator[tuple[str, str, str]]:
    """What would hold it up if it began now."""
    look = Look(settings.build(spec.options.throttle, spec.options.window))
    look.read(conn, spec)
    for name, reading in look.readings().items():
        if reading.says != "go":
            yield name, reading.says, reading.reason
    said += [f"{each.signal} cannot be read: {each.why}" for each in look.unread]


def _advice(found: Estimate, spec: Spec, verb: str) -> Iterator[str]:
    around = found.around
    if found.samples:
        done = sum(each.rows for each in found.samples)
        count = len(found.samples)
        was = "1 batch was" if count == 1 else f"{count} batches were"
        yield f"{was} run ({done:,} rows) and rolled back"
    if around.indexes:
        yield (
            f"{', '.join(around.indexes)} hold what is written, so every row is written into all "
            "indexes: build them after the backfill"
        )
    elif found.hot is not None and found.hot < FULL_PAGES and verb == "update":
        yield (
            f"{1 - found.hot:.0%} of the rows find no room on their page, and are written into all "
            f"indexes: a lower fillfactor than {around.fillfactor} leaves room, for pages that are "
            "written from then on"
        )
    if around.hidden:
        yield "row level security hides rows from this role: those are not filled"
    elif around.policies:
        yield "the table has row level security; this role is above it"
    if around.publications or around.slots:
        who = ", ".join((*around.publications, *around.slots))
        yield (
            f"{found.change_events:,} change events for {who}; the old row is sent as "
            f"{around.identity}"
        )
    if not spec.where and spec.kind == "set":
        yield "without `where` every row is written, also one that holds the value already"


def _verb(spec: Spec) -> str:
    if spec.kind != "sql":
        return "update"
    from qb_engine.backfill.kinds import statement

    return str(statement.read(spec).verb)


def _quickly(conn: Connection, ms: int, ask: Callable[[], Any]) -> Any:
    """The answer, or None when it takes longer than `ms`."""
    try:
        with conn.transaction():
            limit(conn, LOCK_MS, ms)
            return ask()
    except (psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable):
        return None


def _one(conn: Connection, query: sql.Composed) -> int:
    return int(conn.execute(query).fetchall()[0][0])
