"""a pending migration that is older than what is applied"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.typeorm.traps.names import stamp_of
from qb_engine.typeorm.traps.project import HistoryTable, Project, Row
from qb_engine.typeorm.traps.trap import Example, Finding, Severity, Trap, file_of, written

FILES = {
    file_of("AddNotes1710460800000"): written("AddNotes1710460800000"),
    file_of("AddTags1710460900000"): written("AddTags1710460900000", ["SELECT 1"]),
}

TRAP = Trap(
    id="out-of-order",
    severity=Severity.WARNING,
    stage="history",
    title="{name} is pending, and older than {newest}, which is applied",
    meaning="TypeORM runs it all the same, and says nothing: here it runs after what it "
    "runs before on a new database. Reverting goes by the order of rows, so it is the next "
    "to be reverted.",
    fix="give it a later stamp, in the class, in name and in the file; or run it knowingly: "
    "qb run --allow-out-of-order",
    bad=Example(FILES, history=HistoryTable(rows=(Row(1, 1710460900000, "AddTags1710460900000"),))),
    good=Example(
        FILES, history=HistoryTable(rows=(Row(1, 1710460800000, "AddNotes1710460800000"),))
    ),
)


def find(project: Project) -> Iterator[Finding]:
    applied = [each for each in project.in_order if each.applied]
    if not applied:
        return
    newest = applied[-1]
    for each in project.in_order:
        stamp = stamp_of(each.name)
        if not each.applied and stamp and stamp < (stamp_of(newest.name) or 0):
            yield TRAP.on(each, newest=newest.name)
