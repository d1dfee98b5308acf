"""a column that is dropped and made anew: its values are gone"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.sql.tree import pb
from qb_engine.typeorm.traps.made import columns
from qb_engine.typeorm.traps.project import Project
from qb_engine.typeorm.traps.trap import Finding, Severity, Trap, alone

TRAP = Trap(
    id="drop-and-add",
    severity=Severity.ERROR,
    stage="up",
    title="{name} drops {table}.{column} and adds it again: its values are lost",
    meaning="migration:generate writes a change of a type or length so. The new column is empty.",
    fix="write: ALTER TABLE {table} ALTER COLUMN {column} TYPE ...",
    bad=alone(
        "LongerTitle1710460800000",
        ["ALTER TABLE notes DROP COLUMN title", "ALTER TABLE notes ADD title varchar(200)"],
        ["ALTER TABLE notes ALTER COLUMN title TYPE varchar(100)"],
    ),
    good=alone(
        "LongerTitle1710460800000",
        ["ALTER TABLE notes ALTER COLUMN title TYPE varchar(200)"],
        ["ALTER TABLE notes ALTER COLUMN title TYPE varchar(100)"],
    ),
)


def find(project: Project) -> Iterator[Finding]:
    for each in project.migrations:
        dropped: set[tuple[str, str]] = set()
        for statement in each.statements:
            dropped |= set(columns(statement, pb.AlterTableType.AT_DropColumn))
            for table, column in columns(statement, pb.AlterTableType.AT_AddColumn):
                if (table, column) in dropped:
                    yield TRAP.on(each, statement.source.line, table=table, column=column)
