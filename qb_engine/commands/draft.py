"""`qb draft`: keep a change under a name until it becomes a migration"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import click

from qb_engine.commands import Session, qb_command
from qb_engine.errors import InputError
from qb_engine.report import Column, Report, Table


@dataclass(frozen=True)
class DraftReport(Report):
    """The parts of a draft, or the names of all drafts."""

    name: ClassVar[str] = "draft"
    draft: str
    parts: tuple[tuple[str, str], ...]
    saved: str = ""

    def headline(self) -> str:
        if self.saved:
            return f"draft {self.draft}: {self.saved} kept"
        return f"draft {self.draft}" if self.draft else f"{len(self.parts)} drafts"

    def tables(self) -> Sequence[Table]:
        first = "part" if self.draft else "draft"
        columns = (Column(first), Column("text", "code"))
        return (Table("drafts", columns, self.parts, empty="there is no draft yet"),)

    def notes(self) -> Sequence[str]:
        return (f"next: qb generate {self.draft}",) if self.saved else ()


@qb_command("draft", short_help="Keep a change under a name.")
@click.argument("name", required=False)
@click.option("--sql", "file", metavar="FILE", help="Read the text from a file (- for stdin).")
@click.option("--py", "python", is_flag=True, help="The text is Python: up = [...], down = [...].")
@click.option("--pre", "part", flag_value="pre", help="What runs before the migration.")
@click.option("--post", "part", flag_value="post", help="What runs after the backfill.")
@click.option("--backfill", "part", flag_value="backfill", help="A Backfill class, in Python.")
@click.option("--discard", is_flag=True, help="Throw the draft away.")
def command(
    session: Session,
    name: str | None,
    file: str | None,
    python: bool,
    part: str | None,
    discard: bool,
) -> Report:
    """Keep the cell's text (or FILE) as a part of draft NAME; without a text, show what is kept."""
    from qb_engine import drafting
    from qb_engine.sql import Source

    text = session.cell if session.cell is not None else read_text(file)
    if name is None:
        if text is not None:
            raise InputError(
                "the draft has no name", todo=f"write: {drafting.store.WRITE_IT}", code="bad-draft"
            )
        kept = tuple((d.name, ", ".join(d.parts)) for d in drafting.drafts(session.project))
        return DraftReport("", kept)
    saved = ""
    if discard:
        drafting.discard(session.project, name)
        return DraftReport(name, ())
    if text is not None:
        saved = part or "migration"
        # the first line of a cell is the magic itself
        source = Source("the cell", 2) if session.cell is not None else Source(file or "")
        drafting.save(session.project, name, text, part=saved, python=python, source=source)
    draft = drafting.get(session.project, name)
    parts = tuple((each, kept.rstrip()) for each, kept in draft.parts.items())
    return DraftReport(name, parts, saved)


def read_text(file: str | None) -> str | None:
    """The text of a file, or of standard input for `-`."""
    if file is None:
        return None
    if file == "-":
        return sys.stdin.read()
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            "the file cannot be read",
            where=file,
            why=str(error),
            todo="name another one",
            code="broken-file",
        ) from None
