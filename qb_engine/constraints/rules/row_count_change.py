"""how many rows a table has more, or fewer, than before"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from psycopg import sql

from qb_engine.constraints.rules.declared import Kind
from qb_engine.constraints.rules.form import Form
from qb_engine.constraints.rules.names import TableName, parts, table
from qb_engine.constraints.rules.reading import Reader
from qb_engine.constraints.rules.rule import Described, Observed, Verdict

# The table of a name, or else of an oid: oid, and the name as SQL that it has now.
FIND = """
SELECT c.oid::bigint, pg_catalog.format('%%I.%%I', n.nspname, c.relname)
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.oid = coalesce(pg_catalog.to_regclass(%s), %s::oid)
"""

# The rows that this transaction has added so far, and the files of the table and its children. The
# counters may hold what transactions before it did, until that is flushed. A table that was emptied
# or written anew meanwhile has another file, and its counters say nothing.
OWN = """
WITH RECURSIVE all_of AS (
  SELECT %s::oid AS oid UNION SELECT i.inhrelid FROM all_of JOIN pg_catalog.pg_inherits i
      ON i.inhparent = all_of.oid)
SELECT coalesce(pg_catalog.sum(pg_catalog.pg_stat_get_xact_tuples_inserted(oid)
                    - pg_catalog.pg_stat_get_xact_tuples_deleted(oid)), 0)::bigint,
       pg_catalog.array_agg(coalesce(pg_catalog.pg_relation_filenode(oid), 0)::bigint ORDER BY oid),
       pg_catalog.pg_backend_pid(), pg_catalog.now()::text,
       pg_catalog.current_setting('track_counts')::bool
  FROM all_of
"""


@dataclass(frozen=True, slots=True)
class Count:
    """A table at one moment; `own` is what its transaction has added to it until then."""

    oid: int
    name: str
    rows: int
    own: int
    files: tuple[int, ...]
    pid: int
    transaction: str
    counted: bool
    inside: bool  # within the transaction of the migration


@dataclass(frozen=True, slots=True)
class RowCountChange(Described):
    """A table has so many rows more than before the migration (fewer: a negative number).

    Rows are counted before and after, and others may write in between. Where the difference is not
    the expected one, PostgreSQL's counters of this very transaction decide, if they can tell.
    """

    momentary: ClassVar[str] = "it compares with what was before the migration"
    table: TableName
    least: int | None
    most: int | None

    def describe(self) -> str:
        return f"rows of {self.table}: {self._expected}"

    @property
    def _expected(self) -> str:
        if self.least == self.most:
            return "as many as before" if self.least == 0 else f"{self.least:+,}"
        low = f"at least {self.least:+,}" if self.least is not None else ""
        high = f"at most {self.most:+,}" if self.most is not None else ""
        return " and ".join(filter(None, (low, high)))

    def before(self, read: Reader) -> Count | None:
        """The table as it is; None when it is not there yet."""
        if not read.inside:
            read("SELECT pg_catalog.pg_stat_force_next_flush()")  # the counters begin at 0
        return self._count(read, 0)

    def check(self, read: Reader, memo: Any, seen: Sequence[Observed]) -> Verdict:
        then: Count | None = memo
        now = self._count(read, then.oid if then else 0)
        if now is None:
            fix = "mend the name, or remove the rule"
            return Verdict(False, "there is no such table", self._expected, fix, missing=True)
        change = now.rows - (then.rows if then else 0)
        was = f"{then.rows:,} before" if then else "no table before"
        observed = f"{change:+,} ({was}, {now.rows:,} now)"
        ok = self._meets(change)
        own = _own(then, now, seen)
        if own is not None and own != change:
            observed += f"; by this transaction {own:+,}, the others' writes left out"
            ok = ok or self._meets(own)
        fix = "see which statement adds or removes rows, or change the number that is expected"
        return Verdict(ok, observed, self._expected, fix)

    def _meets(self, change: int) -> bool:
        return (self.least is None or change >= self.least) and (
            self.most is None or change <= self.most
        )

    def _count(self, read: Reader, oid: int) -> Count | None:
        found = read(FIND, [str(self.table), oid])
        if not found:
            return None
        oid, name = found[0]
        ((rows,),) = read(sql.SQL("SELECT count(*) FROM {}").format(_sql(name)))
        ((own, files, pid, transaction, counted),) = read(OWN, [oid])
        return Count(oid, name, rows, own, tuple(files), pid, transaction, counted, read.inside)


def _own(then: Count | None, now: Count, seen: Sequence[Observed]) -> int | None:
    """What the one transaction has added itself; None when its counters cannot tell."""
    if then is None or not now.inside or not now.counted:
        return None
    if (then.pid, then.oid, then.files) != (now.pid, now.oid, now.files):
        return None
    if then.inside:
        return now.own - then.own if then.transaction == now.transaction else None
    # counted just before it began: its counters tell all, if all that ran since is in it
    transactions = {step.transaction for step in seen if not step.skipped}
    return now.own if len(transactions) == 1 and None not in transactions else None


def _sql(name: str) -> sql.Identifier:
    return sql.Identifier(*parts(name))


def _read(value: Any, beside: Mapping[str, Any], form: Form, root: Path) -> RowCountChange:
    form.keys(value, ("table", "equals", "min", "max"), needed=("table",))
    given = {key: form.number(value[key], key) for key in ("equals", "min", "max") if key in value}
    if not given or ("equals" in given and len(given) > 1):
        raise form.wrong("it gives no change", "it needs equals, or min, or max, or the last two")
    least, most = given.get("equals", given.get("min")), given.get("equals", given.get("max"))
    if least is not None and most is not None and least > most:
        raise form.wrong(f"min {least} is above max {most}", "no change is both")
    return RowCountChange(table(value["table"], form), least, most)


KIND = Kind("row_count_change", _read, {"row_count_change": {"table": "users", "equals": 0}})
