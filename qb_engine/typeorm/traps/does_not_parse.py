"""a file that is no TypeScript"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.typeorm.traps.project import Project
from qb_engine.typeorm.traps.trap import Example, Finding, Severity, Trap, file_of, written
from qb_engine.typeorm.unparsed import unparsed

TRAP = Trap(
    id="does-not-parse",
    severity=Severity.ERROR,
    stage="files",
    title="{place}; no migration of the project can be loaded",
    meaning="All files are loaded before the first migration runs. migration:create 2fa-thing "
    "writes a class whose name begins with a digit, which is the usual case.",
    fix="mend the line",
    bad=Example({"1710460800000-2fa.ts": written("2faThing1710460800000")}),
    good=Example({file_of("TwoFactor1710460800000"): written("TwoFactor1710460800000")}),
)


def find(project: Project) -> Iterator[Finding]:
    for file in project.files:
        if file.script.errors:
            place = unparsed(file.path, file.text)
            line = place.line if place else file.script.errors[0]
            yield TRAP.at(file.path, line, place=place or f"line {line} does not parse")
