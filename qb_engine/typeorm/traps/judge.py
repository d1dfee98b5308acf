"""all traps of a project, by file and line; what has already run is no danger any more"""

from __future__ import annotations

from dataclasses import replace

from qb_engine.analysis.accept import acceptances
from qb_engine.typeorm.traps import all_traps, does_not_parse
from qb_engine.typeorm.traps.project import Project
from qb_engine.typeorm.traps.trap import Finding, Severity


def judge(project: Project) -> tuple[Finding, ...]:
    """Every finding once. What happens in `up` is a notice for a migration that is applied.

    A comment in a file, `// qb:accept TRAP because REASON`, accepts a trap in it. A file that does
    not parse has that against it alone: what else is read out of it may not be there at all.
    """
    broken = {str(file.path) for file in project.files if file.script.errors}
    applied = {row.name for row in project.rows}
    accepted = {
        (str(file.path), trap): each.reason
        for file in project.files
        for each in acceptances(file.text, str(file.path))
        for trap in each.ids
    }
    found: dict[Finding, None] = {}
    for trap, find in all_traps():
        for finding in find(project):
            if finding.file in broken and trap is not does_not_parse.TRAP:
                continue
            over = finding.stage == "up" and finding.migration in applied
            severity = Severity.NOTICE if over else finding.severity
            reason = accepted.get((finding.file, trap.id), "")
            found[replace(finding, severity=severity, accepted=reason)] = None
    return tuple(sorted(found, key=lambda f: (f.file, f.line, f.trap)))
