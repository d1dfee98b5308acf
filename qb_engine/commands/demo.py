"""`qb demo`: a shop to try things on"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import click

from qb_engine.commands import Session, qb_command
from qb_engine.report import Column, Report, Table


@dataclass(frozen=True)
class DemoReport(Report):
    """The tables that were made and their rows."""

    name: ClassVar[str] = "demo"
    target: str
    made: tuple[tuple[str, int], ...]
    seconds: float

    def headline(self) -> str:
        return f"a shop of {len(self.made)} tables is in {self.target}"

    def tables(self) -> Sequence[Table]:
        return (Table("shop", (Column("table"), Column("rows", "count")), self.made),)


def size(_ctx: click.Context, _param: click.Parameter, value: str | int) -> int:
    """A count that may be written with underscores or commas."""
    try:
        number = int(str(value).replace("_", "").replace(",", ""))
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a number") from None
    if number < 1:
        raise click.BadParameter("must be at least 1")
    return number


@qb_command("demo", short_help="Make a shop with data to try things on.")
@click.option("--rows", default="200_000", callback=size, help="How many users; the rest follows.")
@click.option("--replace", is_flag=True, help="Drop the shop that is there and make it anew.")
@click.option("--confirm", metavar="ALIAS", help="The alias, for a production target.")
def command(session: Session, rows: int, replace: bool, confirm: str | None) -> Report:
    """Make a realistic shop schema with data: seeded, the same for everybody."""
    import time

    from qb_engine.commands.demo_data import create_shop
    from qb_engine.database.connect import server_errors

    session.guard_production("making demo tables", confirm)
    started = time.monotonic()
    with (
        session.connect(application_name="qb demo") as conn,
        session.face.progress("making the shop", 1.0) as bar,
        server_errors("making the shop", session.target),
    ):
        made = create_shop(
            conn, rows, replace=replace, progress=lambda step, done: bar.update(done, 1.0, step)
        )
    return DemoReport(session.target.name, made, time.monotonic() - started)
