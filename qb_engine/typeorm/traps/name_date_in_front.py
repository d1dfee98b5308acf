"""a name that begins with a date"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.typeorm.traps.names import reading, stamp_of
from qb_engine.typeorm.traps.project import Project
from qb_engine.typeorm.traps.trap import Finding, Severity, Trap, alone

TRAP = Trap(
    id="name-date-in-front",
    severity=Severity.ERROR,
    stage="files",
    title="{name} begins with a date: TypeORM {what}",
    meaning="Only the last 13 characters are read. Of 20240315_add_status they are "
    "15_add_status, so its time is 15; of a longer name they are no number, and nothing "
    "runs at all.",
    fix="end the name in 13 digits, and leave the date to the name of the file",
    bad=alone("AddStatus1", own_name=False, inside="name = '20240315_add_status'"),
    good=alone("AddNotes1710460800000"),
)


def find(project: Project) -> Iterator[Finding]:
    for each in project.migrations:
        if each.name and reading(each.name) == "date-in-front":
            yield TRAP.on(
                each,
                each.cls.name_line,
                what=(
                    f"takes its time for {stamp}"
                    if (stamp := stamp_of(each.name))
                    else "refuses every migration of the project"
                ),
            )
