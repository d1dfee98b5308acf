"""`qb init`: make this folder a project"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import click

from qb_engine.commands import Session, qb_command
from qb_engine.errors import nearby
from qb_engine.project import Project
from qb_engine.report import Report


@dataclass(frozen=True)
class InitReport(Report):
    """Where the new project is."""

    name: ClassVar[str] = "init"
    file: str
    migrations: str

    def headline(self) -> str:
        return nearby(f"project made: {self.file}")

    def notes(self) -> Sequence[str]:
        return ("next: qb demo, or qb connect TARGET, then qb generate NAME --sql FILE",)


@qb_command("init", short_help="Make this folder a qb project.")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), required=False)
def command(session: Session, folder: Path | None) -> Report:
    """Make FOLDER (else the current one) a qb project: write qb.toml and the migrations folder."""
    session.project = Project.create(folder or session.folder or Path.cwd())
    return InitReport(str(session.project.file), str(session.project.migrations))
