"""a TypeORM project as values: what its files, its data source and its history say"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from qb_engine.ledger.typeorm import Row
from qb_engine.migrations.typescript import Method, Methods, MigrationClass, Query, Script

if TYPE_CHECKING:
    from qb_engine.errors import QbError
    from qb_engine.sql import Statement

__all__ = ["File", "HistoryTable", "Migration", "Mode", "Options", "Project", "Row", "Sent"]

Mode = Literal["all", "each", "none"]


@dataclass(frozen=True)
class HistoryTable:
    """TypeORM's table as it is in the target.

    `required` are further columns that are NOT NULL without a default; `missing` are those that
    TypeORM needs and that are not there. `guarded` says that a name can stand there once only,
    `followed` that qb has adopted it.
    """

    name: str = "migrations"
    rows: tuple[Row, ...] = ()
    view: bool = False
    required: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    guarded: bool = False
    followed: bool = False


@dataclass(frozen=True)
class Options:
    """The options of the data source that decide how migrations run, and where they stand.

    `lines` says for an option on which line it is; `unread` holds (option, reason, line).
    """

    file: str = "src/data-source.ts"
    line: int = 1
    mode: Mode = "all"
    schema: str | None = None
    synchronize: bool = False
    migrations_run: bool = False
    lines: Mapping[str, int] = field(default_factory=dict)
    unread: tuple[tuple[str, str, int], ...] = ()

    def line_of(self, option: str) -> int:
        return self.lines.get(option, self.line)


@dataclass(frozen=True)
class File:
    """A file that the data source's globs match.

    `form` is `folder` for the parts of a migration that has a folder of its own: its stamp is the
    folder's.
    """

    script: Script
    text: str
    methods: Mapping[str, Methods] = field(default_factory=dict)
    form: Literal["file", "folder"] = "file"

    @property
    def path(self) -> Path:
        return self.script.path

    @cached_property
    def lines(self) -> tuple[str, ...]:
        return tuple(self.text.splitlines())

    @property
    def stamp(self) -> str:
        """The digits that its name, or its folder's, begins with; empty when there are none."""
        stem = self.path.parent.name if self.form == "folder" else self.path.name
        found = re.match(r"(\d{8,})[-_.]", stem)
        return found[1] if found else ""


@dataclass(frozen=True)
class Sent:
    """One call of `queryRunner.query` with the statements in its text, and what does not parse."""

    query: Query
    statements: tuple[Statement, ...]
    problems: Mapping[int, QbError] = field(default_factory=dict)  # by place in `statements`


@dataclass(frozen=True, eq=False)
class Migration:
    """A class that TypeORM would run, in its file."""

    file: File
    cls: MigrationClass
    applied: bool = False
    recorded: bool = False  # its SQL was recorded, so that it need not be read

    @property
    def path(self) -> Path:
        return self.file.path

    @property
    def name(self) -> str:
        return self.cls.name

    @cached_property
    def methods(self) -> Methods | None:
        return self.file.methods.get(self.cls.class_name)

    @property
    def both(self) -> Iterator[tuple[str, Method]]:
        """`up` and `down`, as far as they are there."""
        if self.methods is not None:
            yield "up", self.methods.up
            if self.methods.down is not None:
                yield "down", self.methods.down

    @cached_property
    def up(self) -> tuple[Sent, ...]:
        """What `up` sends, as far as it could be read."""
        return self._sent(self.methods.up if self.methods else None)

    @cached_property
    def down(self) -> tuple[Sent, ...]:
        return self._sent(self.methods.down if self.methods else None)

    def sent(self, way: str) -> tuple[Sent, ...]:
        return self.up if way == "up" else self.down

    @property
    def statements(self) -> Iterator[Statement]:
        """What `up` does, statement by statement."""
        for sent in self.up:
            yield from sent.statements

    def _sent(self, method: Method | None) -> tuple[Sent, ...]:
        from qb_engine.sql import Source
        from qb_engine.sql.script import read_script

        if method is None:
            return ()
        found = []
        for query in method.queries:
            source = Source(query.file or str(self.path), query.line)
            script = read_script(query.sql, source)
            found.append(Sent(query, script.statements, script.problems))
        return tuple(found)


@dataclass(frozen=True, eq=False)
class Project:
    """All that traps are found in. `history` is None when no target was asked.

    `edited` names migrations whose files say something else now than what qb ran or adopted.
    """

    files: tuple[File, ...]
    options: Options | None = None
    history: HistoryTable | None = None
    edited: frozenset[str] = frozenset()
    recorded: frozenset[str] = frozenset()

    @cached_property
    def migrations(self) -> tuple[Migration, ...]:
        """Every class with `up` that TypeORM would find, by file and line."""
        known = {row.name for row in self.history.rows} if self.history else set()
        return tuple(
            Migration(file, cls, cls.name in known, cls.name in self.recorded)
            for file in self.files
            for cls in file.script.classes
            if cls.exported or cls.default
        )

    @cached_property
    def in_order(self) -> tuple[Migration, ...]:
        """As TypeORM runs them: by stamp; those with one stamp as they were found."""
        from qb_engine.typeorm.traps.names import stamp_of

        return tuple(sorted(self.migrations, key=lambda m: stamp_of(m.name) or 0))

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows of the history; none when nobody was asked."""
        return self.history.rows if self.history else ()

    @property
    def mode(self) -> Mode:
        """How TypeORM makes transactions: `all` where nothing else is said."""
        return self.options.mode if self.options else "all"
