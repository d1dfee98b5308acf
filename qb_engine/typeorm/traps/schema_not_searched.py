"""`schema` of the data source, which moves the history and not the tables"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.typeorm.traps.project import Options, Project
from qb_engine.typeorm.traps.trap import Example, Finding, Severity, Trap, file_of, written


def _files(table: str) -> dict[str, str]:
    text = written("AddNotes1710460800000", [f"CREATE TABLE {table} (id int)"])
    return {file_of("AddNotes1710460800000"): text}


TRAP = Trap(
    id="schema-not-searched",
    severity=Severity.WARNING,
    stage="settings",
    title="{name} makes {table} without a schema: it lands in public, not in {schema}",
    meaning="The option schema of the data source does not set search_path. Only the history and "
    "what TypeORM writes itself go to that schema.",
    fix='write "{schema}".{table}, or set search_path for the role',
    bad=Example(_files("notes"), Options(schema="shop")),
    good=Example(_files("shop.notes"), Options(schema="shop")),
)


def find(project: Project) -> Iterator[Finding]:
    schema = project.options.schema if project.options else None
    if not schema or schema == "public":
        return
    for each in project.migrations:
        if any("search_path" in statement.sql for statement in each.statements):
            continue
        for statement in each.statements:
            if statement.kind == "create" and statement.relations:
                space, table = statement.relations[0]
                if not space:
                    line = statement.source.line
                    yield TRAP.on(each, line, table=table, schema=schema)
                    break
