"""`qb lint`: the hazards of migrations and of any SQL file"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any, ClassVar

import click

from qb_engine.commands import Session, qb_command
from qb_engine.errors import nearby
from qb_engine.report import Column, Report, Table
from qb_engine.secrets import mask

if TYPE_CHECKING:
    import pandas as pd

    from qb_engine.analysis.arrange import Tx
    from qb_engine.analysis.hazards import Finding
    from qb_engine.analysis.lint import Linted

FORMATS = ("text", "json", "sarif", "github", "junit")
SEVERITIES = ("notice", "warning", "error")
FAIL_ON = (*SEVERITIES, "never")
KEYS = ("line", "severity", "hazard", "relation", "lock", "message", "fix", "provenance")


@dataclass(frozen=True)
class LintReport(Report):
    """What may go wrong in each file; what was accepted is shown and does not count."""

    name: ClassVar[str] = "lint"
    linted: tuple[Linted, ...]
    fail_on: str = "warning"
    target: str = ""
    said: tuple[str, ...] = ()
    format: str = "text"
    nothing: str = ""  # why there was no file to look at
    astray: bool = False  # and where one was to be expected

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Everything that was found, file by file."""
        return tuple(f for one in self.linted for f in one.findings)

    @property
    def ok(self) -> bool:
        if self.fail_on == "never":
            return True
        least = SEVERITIES.index(self.fail_on)
        return not any(f.severity.rank >= least for f in self.findings if not f.accepted)

    def headline(self) -> str:
        if self.nothing:
            return f"no file was looked at: {self.nothing}"
        files = _count(len(self.linted), "file")
        counts = [
            _count(sum(f.severity == s and not f.accepted for f in self.findings), s)
            for s in reversed(SEVERITIES)
        ]
        found = [text for text in counts if not text.startswith("0 ")]
        if accepted := sum(bool(f.accepted) for f in self.findings):
            found.append(f"{accepted} accepted")
        on = f" on {self.target}" if self.target else ""
        return f"{', '.join(found) or 'no hazard'} in {files}{on}"

    def tables(self) -> Sequence[Table]:
        """A table for each file, its rows by statement; then why each hazard is one."""
        found = [
            Table(nearby(one.file), COLUMNS, tuple(_rows(one.findings)))
            for one in self.linted
            if one.findings
        ]
        why = {f.hazard: _first(f.why) for f in self.findings if not f.accepted}
        if why:
            rows = tuple((hazard, why[hazard]) for hazard in sorted(why))
            found.append(Table("why", (Column("hazard"), Column("what it means")), rows))
        return tuple(found)

    def notes(self) -> Sequence[str]:
        lacking = dict.fromkeys(text for one in self.linted for text in one.lacking)
        return (*self.said, *(f"the shadow lacks: {text}" for text in lacking))

    def written(self) -> str:
        if self.format in ("text", "json"):
            return ""
        from qb_engine.commands import _lint_formats

        write = _lint_formats.FORMATS.get(self.format)
        text = write(self.linted) if write else ""
        if self.astray and self.format == "github":  # else a job in the wrong folder says nothing
            said = mask(self.headline()).replace("%", "%25").replace("\n", "%0A")
            return f"::warning title=qb lint::{said}\n"
        return text

    def as_dict(self) -> dict[str, Any]:
        return {
            "findings": [_as_dict(f) for f in self.findings],
            "files": [
                {
                    "file": nearby(one.file),
                    "statements": one.statements,
                    "findings": sum(not f.accepted for f in one.findings),
                    "accepted": sum(bool(f.accepted) for f in one.findings),
                }
                for one in self.linted
            ],
            "problems": [
                {"file": nearby(f.file), "line": f.line, "what": f.message}
                for f in self.findings
                if f.hazard in PROBLEMS
            ],
            "target": self.target or None,
            "fail_on": self.fail_on,
            "notes": list(self.notes()),
        }

    @property
    def df(self) -> pd.DataFrame:
        """All findings, a row for each."""
        import pandas as pd

        rows = [_as_dict(f) for f in self.findings]
        return pd.DataFrame(rows, columns=["file", *KEYS, "statement", "accepted"])


COLUMNS = (Column("line"), Column("severity"), Column("hazard"), Column("what happens"))
PROBLEMS = (
    "syntax-error", "broken-file", "statement-fails", "object-not-found", "not-looked-at",
    "takes-too-long", "unknown-statement",
)  # fmt: skip
REMARKED = (*PROBLEMS, "unused-acceptance")  # what is no fact of a statement


def _rows(findings: Sequence[Finding]) -> list[tuple[Any, ...]]:
    """A row for each statement, and below it one for each of its findings."""
    found: list[tuple[Any, ...]] = []
    for (line, statement), group in groupby(findings, key=lambda f: (f.line, f.statement)):
        shown = str(line)
        if statement:
            text = " ".join(statement.split())
            found.append((shown, "", "", text if len(text) <= 90 else text[:87] + "..."))
            shown = ""
        for finding in group:
            lines = [finding.message]
            if finding.accepted:
                lines.append(f"accepted because {finding.accepted}")
            elif finding.fix:
                lines.append(f"fix: {finding.fix}")
            if finding.provenance == "static" and finding.hazard not in REMARKED:
                lines[0] += " (guessed)"
            severity = "accepted" if finding.accepted else str(finding.severity)
            found.append((shown, severity, finding.hazard, "\n".join(lines)))
    return found


def _first(text: str) -> str:
    return text.split("\n", 1)[0]


def _as_dict(finding: Finding) -> dict[str, Any]:
    return {**finding.as_dict(), "file": nearby(finding.file)}


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


@qb_command("lint", short_help="The hazards of migrations, or of any SQL file.")
@click.argument("files", nargs=-1)
@click.option("--schema", metavar="FILE", help="The schema that they are for, as SQL.")
@click.option("--pg", type=click.IntRange(9, 99), metavar="VERSION", help="Where they will run: 15")
@click.option(
    "--tx",
    type=click.Choice(("wrapped", "none", "explicit")),
    help="Who makes transactions: one around the file, none, or the file's own BEGIN and COMMIT.",
)
@click.option("--format", type=click.Choice(FORMATS), default="text", show_default=True)
@click.option(
    "--fail-on",
    type=click.Choice(FAIL_ON),
    help="Exit with 1 at and above this severity (default: warning).",
)
@click.option("--scratch", metavar="URL", help="A server for the shadow, instead of the embedded.")
@click.option("--no-cache", is_flag=True, help="Look at everything anew, and keep nothing.")
def command(
    session: Session,
    files: tuple[str, ...],
    schema: str | None,
    pg: int | None,
    tx: str | None,
    format: str,
    fail_on: str | None,
    scratch: str | None,
    no_cache: bool,
) -> Report:
    """Find what FILES may break or block: migrations of any format, SQL files, or - for a pipe.

    Without FILES: the migrations that are pending. The statements run on an empty copy of the
    schema: that of the target, of --schema, or what the migrations before them make.
    """
    from qb_engine.analysis.lint import lint
    from qb_engine.commands._lint_files import Files
    from qb_engine.commands._lint_ground import kept, place

    if format == "json":
        session.json = True
    report = LintReport(
        (),
        fail_on or session.project.config.hazards.fail_on,
        format="text" if session.json else format,
    )
    with place(session, schema, pg, scratch) as here:
        reader = Files(session, _tx(tx))
        if files:
            pages = reader.named(files, here.applied, alone=bool(schema))
        else:
            pages = reader.pending(here.applied)
        if not here.ground.known:  # then a file is looked at on what those before it make
            pages = [replace(page, chained=True) for page in pages]
        keeping = kept(session, not no_cache)
        linted = tuple(
            lint(
                pages,
                here.ground,
                circumstances=here.circumstances,
                figured=here.figured,
                kept=keeping,
            )
        )
        keeping.prune()
    report = replace(report, linted=linted, target=here.target, said=here.notes)
    return report if linted else _without_files(session, report)


def _without_files(session: Session, report: LintReport) -> LintReport:
    """The report of a call that found no file: which folder that was, and whether it is odd."""
    found = session.migrations()
    if found.entries:
        count = len(found.entries)
        all_of_them = "the migration" if count == 1 else f"all {count} migrations"
        verb = "is" if count == 1 else "are"
        where = f" on {report.target}" if report.target else ""
        why = f"{all_of_them} in {found.folder} {verb} applied{where} already"
        return replace(report, nothing=why)
    why = f"{found.folder} holds no migration"
    if not found.folder.is_dir():
        why = f"there is no folder {found.folder}"
    project = session.project
    here = "" if project.file.is_file() else f" ({project.root} has no qb.toml)"
    warning = f"warning: is this the folder that was meant{here}? name files, or a folder with some"
    report = replace(report, nothing=why, astray=True, said=(warning, *report.said))
    if report.format not in ("text", "json"):
        session.face.say(f"{report.headline()}\n{warning}")
    return report


def _tx(name: str | None) -> Tx | None:
    if name is None:
        return None
    from qb_engine.analysis.arrange import Tx

    return Tx(name)
