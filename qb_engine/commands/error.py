"""`qb error`: what an error means, what it left behind, and what to do"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import click
from click.shell_completion import CompletionItem

from qb_engine.commands import Session, qb_command
from qb_engine.report import Column, Report, Table

if TYPE_CHECKING:
    from qb_engine.catalogue import Page


@dataclass(frozen=True)
class ErrorReport(Report):
    """One page of the error catalogue."""

    name: ClassVar[str] = "error page"
    page: Page

    def headline(self) -> str:
        return f"{self.page.code}: {self.page.title}"

    def tables(self) -> Sequence[Table]:
        page = self.page
        rows = (
            ("what it means", page.meaning),
            ("the database", page.state),
            ("what to do", page.todo),
        )
        shown = tuple((question, f"{answer}\n") for question, answer in rows)
        return (
            Table(page.code, (Column("question"), Column("answer")), shown),
            Table("example", (Column("output", "code"),), ((page.example,),)),
        )

    def as_dict(self) -> dict[str, Any]:
        page = self.page
        return {
            "code": page.code,
            "title": page.title,
            "meaning": page.meaning,
            "state": page.state,
            "todo": page.todo,
            "example": page.example,
        }


@dataclass(frozen=True)
class CatalogueReport(Report):
    """Every code with what it means in a sentence."""

    name: ClassVar[str] = "error codes"
    codes: tuple[tuple[str, str], ...]

    def headline(self) -> str:
        return f"{len(self.codes)} error codes"

    def tables(self) -> Sequence[Table]:
        return (Table("error codes", (Column("code"), Column("what happened")), self.codes),)

    def notes(self) -> Sequence[str]:
        return ("qb error CODE says what it means, what it left behind, and what to do",)


def _completed(ctx: click.Context, param: click.Parameter, word: str) -> list[CompletionItem]:
    from qb_engine.catalogue import codes

    return [CompletionItem(code) for code in codes() if code.startswith(word)]


@qb_command("error", short_help="What an error means, and what to do about it.")
@click.argument("code", required=False, shell_complete=_completed)
def command(session: Session, code: str | None) -> Report:
    """Show the page of an error CODE, or all codes. Every error names its own as its last line."""
    from qb_engine import catalogue

    if code:
        return ErrorReport(catalogue.page(code))
    return CatalogueReport(tuple((each, catalogue.page(each).title) for each in catalogue.codes()))
