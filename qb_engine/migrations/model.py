"""a migration as values, whatever the form it was written in"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from qb_engine.errors import InputError
from qb_engine.migrations.declaration import Backfill
from qb_engine.sql import Source, Statement, read

Reader = Callable[[str], list[tuple[Any, ...]]]
"""Runs a query on the target in a read-only transaction and returns its rows."""

PartKind = Literal["pre", "migration", "post"]


@dataclass(frozen=True, slots=True)
class Expectation:
    """A rule as the user wrote it, text or mapping, and where it stands.

    It is no part of any checksum: a rule that is mended does not change what ran.
    """

    said: Any
    source: Source


@dataclass(frozen=True)
class Part:
    """One file's worth of a migration: its statements up and down, and how they run."""

    kind: PartKind
    file: str
    up: tuple[Statement, ...]
    down: tuple[Statement, ...] = ()
    irreversible: str = ""
    transaction: bool = True
    dynamic: bool = False  # recorded from a method: its SQL may depend on the target
    expect: tuple[Expectation, ...] = ()
    down_transaction: bool | None = None  # of the way back, where it differs
    history_name: str = ""  # what TypeORM's own history calls it; empty: it is not TypeORM's
    recorded: str = ""  # how its SQL was recorded from a run, where it could not be read
    outdated: str = ""  # a file that was edited since, so that it may send something else now

    def in_transaction(self, *, down: bool = False) -> bool:
        """True when the statements of one direction run together in a transaction."""
        if down and self.down_transaction is not None:
            return self.down_transaction
        return self.transaction


@dataclass(frozen=True)
class LoadedMigration:
    """A migration read from its file: statements, constraints, backfill, checksum."""

    id: str
    stamp: str
    name: str
    path: Path
    format: str
    parts: tuple[Part, ...]
    constraints: Mapping[str, Any] = field(default_factory=dict)
    backfill: Backfill | None = None
    checksum: str = ""  # of what `up` would run, without the backfill
    fill_checksum: str = ""  # of what the backfill would write
    down_checksum: str = ""  # of what `down` would run
    raw_checksum: str = ""  # of the bytes of its files; equal bytes need no second reading
    requires: tuple[str, ...] = ()  # ids of those that must be applied before it
    repeatable: bool = False  # to be run again whenever it changes
    text: str = field(default="", repr=False)

    @property
    def whole_checksum(self) -> str:
        """Of all that it would do to the target: its statements and its backfill."""
        both = f"{self.checksum} {self.fill_checksum}".encode()
        return hashlib.sha256(both).hexdigest() if self.fill_checksum else self.checksum

    @property
    def up(self) -> tuple[Statement, ...]:
        return tuple(s for part in self.parts for s in part.up)

    @property
    def down(self) -> tuple[Statement, ...]:
        """The way back: the parts' downs, last part first."""
        return tuple(s for part in reversed(self.parts) for s in part.down)

    @property
    def expect(self) -> tuple[Expectation, ...]:
        """What its parts expect, in their order."""
        return tuple(each for part in self.parts for each in part.expect)

    @property
    def irreversible(self) -> str:
        """Why there is no way back; empty when there is one."""
        for part in reversed(self.parts):
            if part.irreversible:
                return part.irreversible
            if part.up and not part.down:
                return f"{part.file} gives no down"
        return ""

    @property
    def readme(self) -> str:
        """What README.md in its folder says; empty when there is none."""
        file = self.path / "README.md"
        if not file.is_file():
            return ""
        return file.read_text(encoding="utf-8-sig", errors="replace").strip()

    @property
    def filled(self) -> tuple[str, ...]:
        """The table that its backfill fills, as `schema.name`; none without one."""
        if self.backfill is None:
            return ()
        table = self.backfill.table
        return (table if "." in table else f"public.{table}",)

    def before_backfill(self) -> tuple[Part, ...]:
        """What runs first: everything but `post` when rows have to be filled in between."""
        return tuple(p for p in self.parts if p.kind != "post" or self.backfill is None)

    def after_backfill(self) -> tuple[Part, ...]:
        return tuple(p for p in self.parts if p.kind == "post" and self.backfill is not None)


def checksum(statements: Iterable[Statement], *texts: str) -> str:
    """A hash of what would run: comments, white space and letter case do not count."""
    digest = hashlib.sha256()
    for statement in statements:
        # libpg_query's fingerprint leaves constants out, so the normalised tree is hashed too
        digest.update(_normalised(statement).encode())
        digest.update(b"\0")
    for text in texts:
        digest.update(text.encode())
        digest.update(b"\0")
    return digest.hexdigest()


def read_text(path: Path) -> str:
    """The text of a file that the user wrote, a byte order mark left out.

    Raise InputError when it cannot be read as UTF-8, and for a NUL, which no SQL can hold.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            "the file cannot be read",
            where=str(path),
            why=str(error),
            todo="save it as UTF-8",
            code="broken-file",
        ) from None
    except OSError as error:
        raise InputError(
            "the file cannot be read",
            where=str(path),
            why=str(error),
            todo="see that it is there, and that you may read it",
            code="broken-file",
        ) from None
    refuse_nul(text, Source(str(path)))
    return text


def refuse_nul(text: str, source: Source) -> None:
    """Raise InputError with the line when a text holds a NUL: the parser would end there."""
    at = text.find("\0")
    if at >= 0:
        raise InputError(
            "the text holds a NUL character",
            where=str(Source(source.file, source.line + text.count("\n", 0, at))),
            why="PostgreSQL takes none, and SQL is read up to it only",
            todo="remove it",
            code="broken-file",
        )


def _normalised(statement: Statement) -> str:
    from qb_engine.sql import deparse

    return deparse(statement.node)


class Recorder:
    """What `up(self, q)` receives: records SQL, reads rows from the target."""

    def __init__(self, reader: Reader | None, source: Source) -> None:
        self._reader = reader
        self._source = source
        self.items: list[Any] = []

    def __call__(self, item: Any) -> None:
        """Record a statement: SQL text, an operation, or a SQLAlchemy construct."""
        self.items.append(item)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Read rows from the target, in a read-only transaction."""
        if self._reader is None:
            raise InputError(
                "this migration reads the target to know its SQL",
                where=str(self._source),
                why="q.rows() was called and no target is connected",
                todo="name a target with -c",
                code="needs-target",
            )
        return self._reader(sql)


def to_sql(item: Any) -> str:
    """One item of `up` or `down` as SQL text.

    SQL text itself, an operation (anything with `write()`), or a SQLAlchemy Core construct.
    Raise InputError for anything else.
    """
    if isinstance(item, str):
        return item
    write = getattr(item, "write", None)
    if callable(write):
        return str(write())
    if type(item).__module__.partition(".")[0] == "sqlalchemy" or hasattr(
        item, "__clause_element__"
    ):
        from sqlalchemy.dialects.postgresql import psycopg as dialect
        from sqlalchemy.exc import CompileError

        try:
            compiled = item.compile(
                dialect=dialect.dialect(),  # type: ignore[no-untyped-call]
                compile_kwargs={"literal_binds": True},
            )
        except CompileError as error:
            raise InputError(
                "a SQLAlchemy statement cannot be written as SQL text",
                why=str(error),
                todo="give its columns types, such as column('a', Text)",
                code="broken-file",
            ) from None
        # the driver's paramstyle doubles percent signs; the text goes to the server verbatim
        return str(compiled).replace("%%", "%")
    raise InputError(
        f"{type(item).__name__} is not something that becomes SQL",
        why="SQL text, operations and SQLAlchemy Core statements do",
        todo="give one of these",
        code="broken-file",
    )


def statements(
    item: Any, source: Source, place: Callable[[str], Source] | None = None
) -> tuple[Statement, ...]:
    """Every form of `up` or `down` (text, operation, construct, lists of these) as statements."""
    if item is None:
        return ()
    if isinstance(item, list | tuple):
        return tuple(s for each in item for s in statements(each, source, place))
    text = to_sql(item)
    found = place(text) if place and isinstance(item, str) else source
    refuse_nul(text, found)
    return read(text, found)
