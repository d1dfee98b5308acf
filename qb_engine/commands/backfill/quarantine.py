"""`qb backfill quarantine`: the rows that could not be written, and why"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import click

from qb_engine.commands import Session, qb_command
from qb_engine.commands.backfill.found import NAME, find
from qb_engine.report import Column, Report, Table, jsonable

if TYPE_CHECKING:
    from qb_engine.backfill.batches.quarantine import Aside

COLUMNS = (
    Column("key"), Column("error"), Column("sqlstate"), Column("at", "time"), Column("state"),
)  # fmt: skip


@dataclass(frozen=True)
class QuarantineReport(Report):
    """The rows that a backfill set aside, the oldest first, each as it was."""

    name: ClassVar[str] = "backfill-quarantine"
    migration: str
    key_columns: tuple[str, ...]
    rows: tuple[Aside, ...]
    shown: bool = False  # the rows themselves, too

    @property
    def open(self) -> int:
        return sum(each.state == "open" for each in self.rows)

    def headline(self) -> str:
        if not self.rows:
            return f"backfill {self.migration}: no row was set aside"
        word = "row is" if self.open == 1 else "rows are"
        skipped = sum(each.state == "skipped" for each in self.rows)
        more = f", {skipped:,} left as they were" if skipped else ""
        return f"backfill {self.migration}: {self.open:,} {word} in quarantine{more}"

    def tables(self) -> Sequence[Table]:
        several = len({(each.schema, each.table) for each in self.rows}) > 1
        columns = (*((Column("table"),) if several else ()), *COLUMNS)
        rows = tuple(
            (
                *((f"{each.schema}.{each.table}",) if several else ()),
                *(self._key(each), each.error, each.sqlstate or None, each.at, each.state),
                *((_as_json(each.row),) if self.shown else ()),
            )
            for each in self.rows
        )
        if self.shown:
            columns = (*columns, Column("row", "code"))
        return [Table("quarantine", columns, rows, empty="no row was set aside")]

    def notes(self) -> Sequence[str]:
        if not self.open:
            return ()
        return (
            "mend them (or what refuses them), then: qb backfill retry "
            f"{self.migration} --quarantined",
        )

    def as_dict(self) -> dict[str, Any]:
        found = [
            {
                "key": dict(zip(self.key_columns, each.key)),
                "table": f"{each.schema}.{each.table}",
                "sqlstate": each.sqlstate,
                "error": each.error,
                "state": each.state,
                "at": jsonable(each.at),
                **({"row": each.row} if self.shown else {}),
            }
            for each in self.rows
        ]
        return {"migration": self.migration, "open": self.open, "rows": found}

    def _key(self, each: Aside) -> str:
        return ", ".join(f"{name} = {value}" for name, value in zip(self.key_columns, each.key))


def _as_json(row: dict[str, Any] | None) -> str | None:
    return None if row is None else json.dumps(row, ensure_ascii=False, default=str)


@qb_command("quarantine", short_help="List the rows that could not be written.")
@NAME
@click.option("--rows", "shown", is_flag=True, help="Show each row as it was, too.")
def part(session: Session, name: str | None, shown: bool) -> Report:
    """List the rows that the backfill of NAME set aside, each with the server's words."""
    from qb_engine.backfill import control
    from qb_engine.backfill.batches import quarantine

    migration = find(session, name)
    with closing(session.connect(application_name="qb backfill")) as conn:
        row = control.known(conn, migration)
        found = quarantine.rows(conn, row.spec.id)
        names = tuple(column.name for column in row.spec.key)
        return QuarantineReport(row.spec.id, names, found, shown)
