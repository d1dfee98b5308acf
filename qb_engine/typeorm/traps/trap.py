"""what a trap is, what it finds, and the examples that its documentation and tests are made of"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from qb_engine.analysis.hazards import Severity as Severity

if TYPE_CHECKING:
    from qb_engine.typeorm.traps.project import HistoryTable, Migration, Options

Stage = Literal[
    "files",  # the project cannot be loaded, or its migrations are not the ones that are meant
    "up",  # it happens when the migration runs: where it is applied, it is over
    "down",  # it happens when it is reverted
    "history",  # what TypeORM's table says and what the files say
    "settings",  # the data source
]


@dataclass(frozen=True)
class Finding:
    """A trap at a place of a project.

    `message` says what happens, `why` explains it, `fix` says what to do. `file` is empty for
    what stands in the history only; `migration` is TypeORM's name of it, where there is one.
    `accepted` is the reason why somebody accepted it; empty when nobody did. `stage` says when it
    happens.
    """

    trap: str
    severity: Severity
    file: str
    line: int
    message: str
    why: str
    fix: str
    migration: str = ""
    accepted: str = ""
    stage: Stage = "files"

    def as_dict(self) -> dict[str, Any]:
        """As JSON shows it."""
        return {
            "trap": self.trap,
            "severity": str(self.severity),
            "file": self.file or None,
            "line": self.line or None,
            "migration": self.migration or None,
            "message": self.message,
            "why": self.why,
            "fix": self.fix,
            "accepted": self.accepted or None,
        }


@dataclass(frozen=True)
class Example:
    """A small project: files by their names, and what stands around them."""

    files: Mapping[str, str] = field(default_factory=dict)
    options: Options | None = None
    history: HistoryTable | None = None
    edited: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Trap:
    """The record of a trap, from which its documentation and its tests are made.

    `title` is the message, with places for whatever `at` is given by name. `meaning` says in a few
    sentences what TypeORM or PostgreSQL does, and to whose harm. `bad` has it, `good` has not.
    """

    id: str
    severity: Severity
    stage: Stage
    title: str
    meaning: str
    fix: str
    bad: Example
    good: Example

    def at(
        self,
        file: object,
        line: int,
        *,
        migration: str = "",
        severity: Severity | None = None,
        fix: str = "",
        **words: Any,
    ) -> Finding:
        """The finding of this trap at a place; `words` fill the places of title and fix.

        `way` among them says whether it is in `up` or in `down`.
        """
        return Finding(
            trap=self.id,
            severity=severity or self.severity,
            file=str(file),
            line=line,
            message=self.title.format(**words),
            why=self.meaning,
            fix=(fix or self.fix).format(**words),
            migration=migration,
            stage="down" if words.get("way") == "down" else self.stage,
        )

    def on(self, migration: Migration, line: int = 0, **more: Any) -> Finding:
        """The finding at a migration: at one of its lines, or where its class begins."""
        more.setdefault("name", migration.name)
        severity, fix = more.pop("severity", None), more.pop("fix", "")
        return self.at(
            migration.path,
            line or migration.cls.line,
            migration=migration.name,
            severity=severity,
            fix=fix,
            **more,
        )


IMPORT = 'import { MigrationInterface, QueryRunner } from "typeorm";\n'


def written(
    name: str,
    up: Sequence[str] = ("CREATE TABLE notes (id int PRIMARY KEY)",),
    down: Sequence[str] | None = ("DROP TABLE notes",),
    *,
    own_name: bool = True,
    inside: str = "",
    code: str = "",
    back: str = "",
) -> str:
    """The text of a migration as TypeORM generates it.

    `up` and `down` are statements, a call for each; `code` and `back` are the bodies themselves,
    where they are something else. Without `down` (None) it has none. `inside` are more members.
    """
    lines = [IMPORT, f"export class {name} implements MigrationInterface {{"]
    if own_name:
        lines.append(f"    name = '{name}'")
    if inside:
        lines.append(f"    {inside}")
    lines += _method("up", code or _calls(up))
    if down is not None or back:
        lines += _method("down", back or _calls(down or ()))
    return "\n".join([*lines, "}", ""])


def alone(name: str, *args: Any, **more: Any) -> Example:
    """A project of one migration, in a file as TypeORM names it."""
    return Example({file_of(name): written(name, *args, **more)})


def file_of(name: str) -> str:
    """`1710460800000-AddEmail.ts` for `AddEmail1710460800000`."""
    return f"{name[-13:]}-{name[:-13]}.ts"


def _calls(statements: Sequence[str]) -> str:
    return "\n".join(f"await queryRunner.query(`{each}`)" for each in statements)


def _method(name: str, body: str) -> list[str]:
    head = f"    public async {name}(queryRunner: QueryRunner): Promise<void> {{"
    return [head, *(f"        {line}" for line in body.splitlines()), "    }"]
