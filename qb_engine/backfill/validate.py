"""is what a backfill wrote right? the user's `validate`, and a sample of rows computed again

The sample is of rows whose version is the one that a batch wrote: its transaction's number is that
of the batch's own row in the ledger. What the application has written since is told apart by that,
and is the application's.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from qb_engine.backfill import expressions, kept_out
from qb_engine.backfill.batches import failures, quarantine
from qb_engine.backfill.limits import reading
from qb_engine.backfill.records import Row
from qb_engine.backfill.walk import statements
from qb_engine.errors import QbError

if TYPE_CHECKING:
    from qb_engine.backfill.spec import Spec
    from qb_engine.migrations.declaration import Backfill

Connection = psycopg.Connection[Any]
Code = Callable[["Spec"], "Backfill"]
"""Gives the user's declaration; a worker reads it from the project."""

VALIDATE_MS = 3_600_000
SAMPLE_MS = 30_000  # of one statement; a sample is no reason to hold things up for longer
ROWS = 1_000  # that are computed again
RANGES = 50  # over which they are spread
SKIPPED = 10_000  # rows of a range, at most, before those that are taken
SHOWN = 5  # keys, and problems, that are named

UNMET = "`validate` returned a row; it must return none. Run it to see which rows are wrong"

# Batches over the whole of the key, the first and the last among them, with the number of the
# transaction that wrote each; not those before an edited declaration was accepted.
BATCHES = """
SELECT lo, hi, rows, part_schema, part_table, xid FROM (
    SELECT b.lo, b.hi, b.rows, s.part_schema, s.part_table, b.xmin::text AS xid,
        row_number() OVER (ORDER BY b.segment, b.number) AS place, count(*) OVER () AS count
    FROM qb.batch AS b JOIN qb.segment AS s ON s.backfill = b.backfill AND s.number = b.segment
    WHERE b.backfill = %(id)s AND b.rows > 0 AND b.at > coalesce(
        (SELECT edited_at FROM qb.backfill WHERE id = b.backfill), '-infinity')
) AS w
ORDER BY place IN (1, count) DESC, random() LIMIT %(most)s
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows that were computed again. `since` were written by somebody since; `wrong` differ."""

    compared: int = 0
    since: int = 0
    wrong: int = 0
    keys: tuple[str, ...] = ()  # of some that are wrong
    left_out: tuple[str, ...] = ()  # columns, each with the reason
    triggers: tuple[str, ...] = ()  # of the user's, that may change what is written


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found: with no problem, the backfill is verified.

    `validate` is `met`, `unmet`, or empty where nothing is declared.
    """

    validate: str = ""
    problems: tuple[str, ...] = ()
    sample: Sample | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def ok(self) -> bool:
        return not self.problems


class Questions:
    """What `validate(self, q)` is given: `q.rows(sql)` reads, in a read-only transaction."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    def rows(self, text: str, params: Any = None) -> list[tuple[Any, ...]]:
        return self._conn.execute(text.encode(), params).fetchall()


def validate(conn: Connection, row: Row, code: Code | None = None) -> Checked:
    """Look whether a backfill is right; nothing but the ledger is written, by `keep`.

    Rows in quarantine are the first problem: nothing else is looked at then.
    """
    spec = row.spec
    if text := quarantine.open_text(conn, spec.id):
        return Checked(problems=(text,))
    said, problems = "", list[str]()
    if spec.validate:
        with reading(conn, VALIDATE_MS):
            if conn.execute(statements.unmet(spec)).fetchall()[0][0]:
                problems.append(UNMET)
        said = "unmet" if problems else "met"
    elif spec.options.validate_calls:
        if code is None:
            problems.append("`validate` is Python, and this worker has no project to read it from")
        else:
            problems += _asked(conn, code(spec))
        said = "unmet" if problems else "met"
    found = sample(conn, spec) if spec.kind == "set" else None
    notes = []
    if found and found.wrong:
        text = (
            f"{found.wrong} of {found.compared} sampled rows do not hold what their expressions "
            f"give: {', '.join(found.keys)}"
        )
        if found.triggers:
            notes.append(f"{text}. Triggers may have changed them: {', '.join(found.triggers)}")
        else:
            problems.append(text)
    if not problems and (text := kept_out.told(conn, spec)):
        notes.append(text)
    return Checked(said, tuple(problems), found, tuple(notes))


def sample(conn: Connection, spec: Spec, rows: int = ROWS) -> Sample:
    """Compute some rows again, spread over the key, and compare."""
    if spec.by_place:
        return Sample(left_out=("rows without a key are in another place once they are written",))
    kept, left_out = _comparable(conn, spec)
    if not kept:
        return Sample(left_out=left_out)
    batches = conn.execute(BATCHES, {"id": spec.id, "most": RANGES}).fetchall()
    each = -(-rows // max(1, len(batches)))
    compared = since = wrong = 0
    keys: list[str] = []
    for lo, hi, count, schema, table, xid in batches:
        skip = random.randint(0, min(max(0, count - each), SKIPPED))
        part = replace(spec.part(schema, table), set=kept)
        try:
            with reading(conn, SAMPLE_MS):
                found = conn.execute(_compare(part, lo, hi, xid, each, skip)).fetchall()[0]
        except (psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable):
            continue  # a sample of fewer ranges is one, too
        except psycopg.errors.DataError:
            continue  # on a row that the application wrote since
        except psycopg.errors.UndefinedTable:
            if not table:
                raise
            continue  # a partition that was dropped since
        compared, since, wrong = compared + found[0], since + found[1], wrong + found[2]
        keys += found[3] or []
    triggers = kept_out.triggers(conn, spec) if wrong else ()
    return Sample(compared, since, wrong, tuple(keys[:SHOWN]), left_out, triggers)


def keep(conn: Connection, backfill: str, checked: Checked) -> None:
    """Write down what was found."""
    conn.execute(
        "UPDATE qb.backfill SET checked = %s WHERE id = %s",
        [Jsonb({**asdict(checked), "ok": checked.ok}), backfill],
    )


def told(checked: dict[str, Any]) -> Iterable[str]:
    """What was found, as the ledger has it, in sentences."""
    if checked.get("validate") == "met":
        yield "`validate` is met"
    found = checked.get("sample") or {}
    if found.get("compared"):
        text = f"{found['compared']:,} sampled rows were computed again: "
        text += f"{found['wrong']} differ" if found["wrong"] else "all are as they should be"
        if found.get("since"):
            text += f" ({found['since']:,} more were written by others since)"
        yield text
    elif found.get("since"):
        yield f"no row was computed again: all {found['since']:,} sampled were written since"
    for each in found.get("left_out") or ():
        yield f"not computed again: {each}"
    yield from checked.get("notes") or ()


# -- parts -------------------------------------------------------------------------------------


def _asked(conn: Connection, code: Backfill) -> list[str]:
    """The problems that a method `validate(self, q)` tells of.

    None, True or an empty list is none; False, a text or a list of texts are problems; so is what
    it raises.
    """
    try:
        with reading(conn, VALIDATE_MS):
            said = code.validate(Questions(conn))
    except (psycopg.OperationalError, QbError):
        raise  # the connection, a timeout: nothing about the rows
    except psycopg.Error as error:
        return [f"`validate` failed: {' '.join(str(error).split())}"]
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a problem whatever it is
        return [failures.kept(f"`validate` raised {type(error).__name__}: {error}".rstrip(": "))]
    if said is None or said is True:
        return []
    if said is False:
        return ["`validate` said False"]
    if not isinstance(said, Iterable):
        return [failures.kept(f"`validate` returned {said!r:.60}: None, a bool or texts are meant")]
    problems = [said] if isinstance(said, str) else [str(each) for each in said]
    more = len(problems) - SHOWN
    shown = [failures.kept(f"`validate`: {each}") for each in problems[:SHOWN] if each]
    return shown + ([f"`validate`: and {more} more"] if more > 0 else [])


def _comparable(conn: Connection, spec: Spec) -> tuple[tuple[Any, ...], tuple[str, ...]]:
    """The columns that give the same when computed again, and the others with the reason."""
    try:
        read = expressions.read(conn, spec.schema, spec.table, {c.name: c.sql for c in spec.set})
    except psycopg.errors.LockNotAvailable:
        return (), ("the table was locked",)
    except (psycopg.ProgrammingError, psycopg.NotSupportedError) as error:
        return (), (error.diag.message_primary or str(error),)
    written = {column.name for column in spec.set}
    kept, left_out = [], []
    for column in spec.set:
        of = read[column.name]
        if of.elsewhere:
            left_out.append(f"{column.name}: it reads other rows")
        elif written & set(of.columns) or of.whole or of.system:
            left_out.append(f"{column.name}: it reads what is written")
        elif not of.settled:
            what = ", ".join(of.functions) or "the time"
            left_out.append(f"{column.name}: {what} may give something else each time")
        else:
            kept.append(column)
    return tuple(kept), tuple(left_out)


def _compare(spec: Spec, lo: Any, hi: Any, xid: str, most: int, skip: int) -> sql.Composed:
    """How many rows of a range hold what a batch wrote, were written since, and are wrong."""
    return sql.SQL(
        "SELECT count(*) FILTER (WHERE mine), count(*) FILTER (WHERE later),"
        " count(*) FILTER (WHERE wrong), (array_agg(key) FILTER (WHERE wrong))[1:{shown}]"
        " FROM (SELECT array_to_string({key}, ', ') AS key, xmin = {xid}::xid AS mine,"
        " age(xmin) < age({xid}::xid) AS later,"
        " CASE WHEN xmin = {xid}::xid THEN {wrong} ELSE false END AS wrong"
        " FROM {table} WHERE {within} ORDER BY {order} LIMIT {most} OFFSET {skip}) AS sampled"
    ).format(
        shown=sql.Literal(SHOWN),
        key=statements.key_text(spec),
        xid=sql.Literal(xid),
        wrong=statements.changes(spec),
        table=statements.named(spec),
        within=statements.within(spec, lo, hi),
        order=statements.key_order(spec),
        most=sql.Literal(most),
        skip=sql.Literal(skip),
    )
