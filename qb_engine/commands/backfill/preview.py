"""`qb backfill preview`: before and after of a few rows, of which nothing stays"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import click

from qb_engine.commands import Session, qb_command
from qb_engine.commands.backfill.found import NAME, find
from qb_engine.report import Column, Report, Table, jsonable

if TYPE_CHECKING:
    from qb_engine.backfill.before.preview import Preview

WIDTH = 48  # characters of a value in a table; --json has them whole


@dataclass(frozen=True)
class PreviewReport(Report):
    """Rows before and after a backfill. Values are as the server writes them."""

    name: ClassVar[str] = "backfill-preview"
    found: Preview

    @property
    def _going(self) -> bool:
        """Whether all that happens is that rows go."""
        changes = self.found.changes
        return bool(changes) and all(each.after is None for each in changes)

    def headline(self) -> str:
        f = self.found
        start = f"backfill {f.migration}: "
        if f.written:
            return start + f"{len(f.written)} rows would be written for {f.tried} of {f.table}"
        changed = sum(bool(each.columns) for each in f.changes)
        what = "go from" if self._going else "change in"
        if not f.tried:
            return start + f"no row of {f.table} needs it"
        return start + f"{changed} of {f.tried} rows would {what} {f.table}"

    def tables(self) -> Sequence[Table]:
        f = self.found
        found = []
        if f.written:
            names = tuple(f.written[0])
            rows = tuple(tuple(_short(row[name]) for name in names) for row in f.written)
            found.append(Table("rows that would be written", tuple(map(Column, names)), rows))
        if f.changes or not f.written:
            found.append(self._changes())
        return found

    def _changes(self) -> Table:
        f = self.found
        key = tuple(map(Column, f.key))
        if self._going:
            rows = tuple(
                (*map(_short, each.key), *(_short((each.before or {})[name]) for name in f.shown))
                for each in f.changes
            )
            return Table("rows that would go", (*key, *map(Column, f.shown)), rows)
        columns = [Column(f"{name} {when}") for name in f.shown for when in ("before", "after")]
        rows = tuple(
            (
                *map(_short, each.key),
                *(
                    _short((state or {}).get(name))
                    for name in f.shown
                    for state in (each.before, each.after)
                ),
            )
            for each in f.changes
        )
        return Table("rows", (*key, *columns), rows, empty="no row would change")

    def notes(self) -> Sequence[str]:
        return self.found.notes

    def as_dict(self) -> dict[str, Any]:
        found: dict[str, Any] = jsonable(asdict(self.found))
        return found


def _short(text: str | None) -> str | None:
    return text if text is None or len(text) <= WIDTH else text[: WIDTH - 3] + "..."


@qb_command("preview", short_help="Show a few rows before and after; nothing of it stays.")
@NAME
@click.option(
    "--rows", type=click.IntRange(1, 1000), default=10, show_default=True, help="How many rows."
)
def part(session: Session, name: str | None, rows: int) -> Report:
    """Show what the backfill of NAME would make of the first rows that need it.

    It need not be started; the columns of its migration must be there. SQL expressions are only
    read; a statement and a transform are run on these rows and rolled back.
    """
    from qb_engine.backfill.before.preview import preview
    from qb_engine.database.connect import server_errors

    migration = find(session, name)
    with (
        server_errors("the preview", session.target),
        closing(session.connect(application_name="qb preview")) as conn,
    ):
        return PreviewReport(preview(conn, migration, rows))
