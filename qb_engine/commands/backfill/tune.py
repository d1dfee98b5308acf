"""`qb backfill tune`: have it go faster, slower or at other hours while it runs"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from qb_engine.commands import Session, qb_command
from qb_engine.commands.backfill.found import NAME, told
from qb_engine.errors import InputError
from qb_engine.report import Report

F = TypeVar("F", bound=Callable[..., Any])
TYPED = "qb backfill tune"

OPTIONS = (
    click.option("--max-rate", metavar="N|off", help="Rows per second of all lanes together."),
    click.option("--parallel", metavar="N", help="Segments that run at once."),
    click.option("--target-ms", metavar="MS", help="How long a batch may hold its locks."),
    click.option("--batch-size", metavar="N|auto", help="The most rows of a batch."),
    click.option("--window", metavar="HOURS|off", help='When it may run, such as "22:00-06:00".'),
    click.option(
        "--set", "sets", metavar="SIGNAL.OPTION=VALUE", multiple=True,
        help="An option of a signal that it gives way to; SIGNAL=on takes one in.",
    ),
    click.option("--off", metavar="SIGNAL", multiple=True, help="Leave a signal out."),
)  # fmt: skip


def tuning_options(command: F) -> F:
    """The options that `tune` and `start` share; `asked` makes changes of them."""
    for each in reversed(OPTIONS):
        command = each(command)
    return command


def asked(where: str, **given: Any) -> dict[str, Any]:
    """The changes that the options of `tuning_options` ask for; `where` is the command."""
    from qb_engine.backfill.throttle import tuning

    return tuning.changes(**given, where=where)


@qb_command("tune", short_help="Change its pace while it runs.")
@NAME
@tuning_options
def part(session: Session, name: str | None, **given: Any) -> Report:
    """Change how the backfill of NAME goes on: batches that begin later see it.

    It wins over backfill.py and qb.toml until the backfill is started with --restart.
    """
    from qb_engine import backfill

    changes = asked(TYPED, **given)
    if not changes:
        raise InputError(
            "nothing is to be changed",
            where=TYPED,
            why="no option says what",
            todo="name at least one: qb backfill tune --max-rate 5000 --parallel 2",
            code="bad-option",
        )
    return told(session, name, backfill.tune, changes=changes)
