"""all traps of a project, by file and line; what has already run is no danger any more"""

from __future__ import annotations

from dataclasses import replace

from qb_engine.typeorm.traps import all_traps
from qb_engine.typeorm.traps.project import Project
from qb_engine.typeorm.traps.trap import Finding, Severity


def judge(project: Project) -> tuple[Finding, ...]:
    """Every finding once. What happens in `up` is a notice for a migration that is applied."""
    applied = {row.name for row in project.rows}
    found: dict[Finding, None] = {}
    for trap, find in all_traps():
        for finding in find(project):
            over = trap.stage == "up" and finding.migration in applied
            found[replace(finding, severity=Severity.NOTICE) if over else finding] = None
    return tuple(sorted(found, key=lambda f: (f.file, f.line, f.trap)))
