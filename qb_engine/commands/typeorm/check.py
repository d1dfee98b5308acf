"""`qb typeorm check`: what is wrong with a project's migrations, and what to do about it"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, ClassVar

import click

from qb_engine.commands import Session, qb_command
from qb_engine.errors import InputError, QbError, nearby
from qb_engine.report import Column, Report, Table

if TYPE_CHECKING:
    import pandas as pd

    from qb_engine.typeorm.traps import Finding, Project

SEVERITIES = ("error", "warning", "notice")
FAIL_ON = (*SEVERITIES, "never")
COLUMNS = (Column("line"), Column("severity"), Column("trap"), Column("what happens"))
FOLDED = 4  # a trap in as many files is told once, with the files
NAMED = 6  # files that are named there
SAME = 4  # findings of a trap that are told of one file
KEYS = ("file", "line", "severity", "trap", "migration", "message", "fix", "why", "accepted")


@dataclass(frozen=True)
class CheckReport(Report):
    """The traps of a TypeORM project, file by file; those that many files share are told once."""

    name: ClassVar[str] = "typeorm check"
    findings: tuple[Finding, ...]
    migrations: int
    applied: int | None = None  # None: no history was read
    target: str = ""
    said: tuple[str, ...] = ()
    fail_on: str = "warning"

    @property
    def ok(self) -> bool:
        counts = SEVERITIES[: FAIL_ON.index(self.fail_on) + 1] if self.fail_on != "never" else ()
        return not any(f.severity in counts for f in self.findings if not f.accepted)

    def headline(self) -> str:
        open = [f for f in self.findings if not f.accepted]
        counts = [(s, sum(f.severity == s for f in open)) for s in SEVERITIES]
        found = [_count(number, severity) for severity, number in counts if number]
        if accepted := len(self.findings) - len(open):
            found.append(f"{accepted} accepted")
        where = _count(self.migrations, "migration")
        if self.applied is not None:
            where += f", {self.applied} of them applied on {self.target}"
        return f"{', '.join(found) or 'nothing is wrong'} in {where}"

    def tables(self) -> Sequence[Table]:
        """A table for each file, then what many files share, then why each trap is one."""
        shared = self._shared()
        single = [f for f in self.findings if f.trap not in shared or f.accepted]
        found = [
            Table(nearby(file) if file else "history", COLUMNS, tuple(_rows(list(group))))
            for file, group in groupby(single, key=lambda f: f.file)
        ]
        if shared:
            rows = [self._folded(trap) for trap in shared]
            found.append(
                Table("in many files", (Column("files", "count"), *COLUMNS[1:]), tuple(rows))
            )
        if any(not f.accepted for f in self.findings):
            why = {f.trap: f.why for f in self.findings if not f.accepted}
            meant = tuple((trap, why[trap]) for trap in sorted(why))
            found.append(Table("why", (Column("trap"), Column("what it means")), meant))
        return found

    def notes(self) -> Sequence[str]:
        return self.said

    def as_dict(self) -> dict[str, Any]:
        return {
            "migrations": self.migrations,
            "applied": self.applied,
            "target": self.target or None,
            "findings": [_as_dict(f) for f in self.findings],
            "fail_on": self.fail_on,
            "notes": list(self.said),
        }

    @property
    def df(self) -> pd.DataFrame:
        """All findings, a row for each."""
        import pandas as pd

        return pd.DataFrame([_as_dict(f) for f in self.findings], columns=KEYS)

    def _shared(self) -> tuple[str, ...]:
        """The traps that stand in many files."""
        files: dict[str, set[str]] = {}
        for finding in self.findings:
            if not finding.accepted:
                files.setdefault(finding.trap, set()).add(finding.file or finding.migration)
        return tuple(trap for trap, found in sorted(files.items()) if len(found) >= FOLDED)

    def _folded(self, trap: str) -> tuple[Any, ...]:
        found = [f for f in self.findings if f.trap == trap and not f.accepted]
        places = list(dict.fromkeys(nearby(f.file) if f.file else f.migration for f in found))
        worst = max(found, key=lambda f: f.severity.rank)
        more = f" and {len(places) - NAMED} more" if len(places) > NAMED else ""
        lines = [
            f"{worst.message}",
            f"fix: {worst.fix}",
            f"in: {', '.join(places[:NAMED])}{more}",
        ]
        return (len(places), str(worst.severity), trap, "\n".join(lines))


def _rows(findings: Sequence[Finding]) -> Iterator[tuple[Any, ...]]:
    """A row for each finding of a file; what to do stands with the first that needs it.

    Of many of one trap the first are shown, and how many more there are.
    """
    counts = Counter(finding.trap for finding in findings)
    seen: Counter[str] = Counter()
    told: set[tuple[str, str]] = set()
    for finding in findings:
        seen[finding.trap] += 1
        if seen[finding.trap] > SAME:
            continue
        lines = [finding.message]
        if seen[finding.trap] == SAME < counts[finding.trap]:
            lines.append(f"and {counts[finding.trap] - SAME} more of these in this file")
        if finding.accepted:
            lines.append(f"accepted because {finding.accepted}")
        elif (finding.trap, finding.fix) not in told:
            lines.append(f"fix: {finding.fix}")
            told.add((finding.trap, finding.fix))
        line = str(finding.line) if finding.line else "-"
        severity = "accepted" if finding.accepted else str(finding.severity)
        yield (line, severity, finding.trap, "\n".join(lines))


def _as_dict(finding: Finding) -> dict[str, Any]:
    shown = finding.as_dict()
    return {**shown, "file": nearby(finding.file) if finding.file else None}


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


@qb_command("check", short_help="Find what is wrong with the migrations of a project.")
@click.option(
    "--fail-on",
    type=click.Choice(FAIL_ON),
    default="warning",
    show_default=True,
    help="Exit with 1 at and above this severity.",
)
def part(session: Session, fail_on: str) -> Report:
    """Find traps in the migrations, the data source and TypeORM's history, and change nothing.

    No code of the project is run. Without a database the files alone are looked at. What happens
    when a migration runs is a notice for one that has run. A trap is accepted by a comment in its
    file: // qb:accept TRAP because REASON
    """
    from qb_engine.typeorm.traps import judge
    from qb_engine.typeorm.traps.gather import project_of

    project, notes = project_of(session.project)
    if not project.files:
        raise InputError(
            "no migration of TypeORM was found",
            where=str(session.project.root),
            why="; ".join(notes) or "the folder of migrations holds no script",
            todo="run it in the project's folder, or say where they are: [typeorm] files",
            code="data-source",
        )
    project, told = _with_history(session, project)
    if project.history is None:
        said = (*notes, *told)
        return CheckReport(judge(project), len(project.migrations), said=said, fail_on=fail_on)
    return CheckReport(
        judge(project),
        len(project.migrations),
        sum(each.applied for each in project.migrations),
        session.target.name,
        (*notes, *told),
        fail_on,
    )


def _with_history(session: Session, project: Project) -> tuple[Project, tuple[str, ...]]:
    """The project with what the target says of it; without, and why, where it cannot be asked."""
    from dataclasses import replace

    from qb_engine.database.connect import server_errors
    from qb_engine.typeorm.traps.history import history_of, with_ledger

    if _nobody_named_one(session):
        return project, ("no database was named, so TypeORM's history was not looked at: -c URL",)
    try:
        with session.connect() as conn, server_errors("reading the history", session.target):
            conn.read_only = True
            history = history_of(conn, session.project.config.typeorm)
            if history is None:
                return project, (f"{session.target.name} has no history of TypeORM yet",)
            project = replace(project, history=history)
            return with_ledger(project, conn, session.migrations()), ()
    except QbError as error:
        what = "what qb has recorded" if project.history else "TypeORM's history"
        return project, (f"{what} was not looked at: {error.what}",)


def _nobody_named_one(session: Session) -> bool:
    """True when the target would be an embedded server that was never used here."""
    from qb_engine.database.target import ENVIRONMENT, LIBPQ

    if session.option or session._connected is not None or session.project.config.default:
        return False
    told = any(os.environ.get(variable) for variable in (*ENVIRONMENT, *LIBPQ))
    return not told and not (session.project.root / ".qb").is_dir()
