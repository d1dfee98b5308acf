"""what each format gives: its signs in a folder, its entries in order, how one of them is read"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from qb_engine.errors import InputError
from qb_engine.migrations.listing import Entry, raw_checksum_of
from qb_engine.migrations.model import LoadedMigration, Part, checksum
from qb_engine.project import Project

SAMPLED = 24  # files whose text is looked at to tell a format; each loader looks at its own


@dataclass(frozen=True)
class Seen:
    """A folder as the formats look at it: names at its top, and the texts of some SQL files."""

    folder: Path
    files: tuple[str, ...]
    folders: tuple[str, ...]

    @classmethod
    def of(cls, folder: Path) -> Seen:
        """What stands in a folder; hidden names and a folder that is not there hold nothing."""
        if not folder.is_dir():
            return cls(folder, (), ())
        with os.scandir(folder) as found:
            shown = sorted((e.name, e.is_dir()) for e in found if not e.name.startswith("."))
        files = tuple(name for name, is_dir in shown if not is_dir)
        return cls(folder, files, tuple(name for name, is_dir in shown if is_dir))

    @cached_property
    def texts(self) -> dict[str, str]:
        """The texts of SQL files by name; of many files some, spread over all."""
        names = [name for name in self.files if name.lower().endswith(".sql")]
        step = max(1, -(-len(names) // SAMPLED))
        return {
            name: (self.folder / name).read_bytes().decode("utf-8", "replace")
            for name in names[::step]
        }

    def named(self, pattern: re.Pattern[str]) -> str:
        """The first file whose name matches; empty when there is none."""
        return next((name for name in self.files if pattern.search(name)), "")

    def saying(self, pattern: re.Pattern[str]) -> str:
        """The first SQL file with a line that matches; empty when there is none."""
        return next((name for name, text in self.texts.items() if pattern.search(text)), "")


@dataclass(frozen=True)
class Found:
    """The migrations of a folder in the order they run, and what else has to be said of it."""

    entries: tuple[Entry, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class New:
    """A migration that is to be written in a format: SQL up and down, and how it runs."""

    name: str
    up: str
    down: Sequence[str] = ()
    irreversible: str = ""
    transaction: bool = True


@dataclass(frozen=True)
class Format:
    """How another tool keeps its migrations, and how qb reads them.

    `signs` says what in a folder speaks for the format (empty: nothing). `entries` lists the
    migrations without reading them, `read` gives the parts of one. `table` is the tool's own
    record in the database. `write` gives the files of a new migration by name, where qb can.
    `whole` reads one in place of `read`, where a migration is more than its parts; `within` gives
    the format as a project's settings have it.
    """

    name: str
    form: str
    signs: Callable[[Seen], str]
    entries: Callable[[Path], Found]
    read: Callable[[Entry], tuple[Part, ...]]
    table: str = ""
    write: Callable[[Path, New], Mapping[str, str]] | None = field(default=None)
    whole: Callable[[Entry], LoadedMigration] | None = None
    within: Callable[[Project], Format] | None = None

    def load(self, entry: Entry) -> LoadedMigration:
        """Read a migration. Raise InputError with file and line when it is none."""
        if entry.problem is not None:
            raise entry.problem
        if self.whole is not None:
            return self.whole(entry)
        raw = raw_checksum_of(entry.files)
        parts = self.read(entry)
        return LoadedMigration(
            id=entry.id,
            stamp=entry.stamp,
            name=entry.name,
            path=entry.path,
            format=self.name,
            parts=parts,
            checksum=checksum(s for part in parts for s in part.up),
            down_checksum=checksum(s for part in parts for s in part.down),
            # what was being written meanwhile has no checksum that stands for what was read
            raw_checksum=raw if raw == raw_checksum_of(entry.files) else "",
            requires=entry.requires,
            repeatable=entry.repeatable,
            text="\n".join(f.read_bytes().decode("utf-8", "replace") for f in entry.files),
        )


def in_order(tool: str, entries: Iterable[Entry], key: Callable[[Entry], Any]) -> tuple[Entry, ...]:
    """Entries by their versions; those of a version that is taken get a problem that says so."""
    found: list[Entry] = []
    first: dict[Any, Entry] = {}
    for entry in sorted(entries, key=lambda e: (key(e), e.id)):
        taken = first.setdefault(key(entry), entry)
        if taken is not entry and entry.problem is None:
            entry = replace(entry, problem=_same_version(tool, entry, taken))
        found.append(entry)
    return tuple(found)


def _same_version(tool: str, entry: Entry, first: Entry) -> InputError:
    return InputError(
        f"two migrations have the version {first.stamp}",
        where=str(entry.path),
        why=f"{first.path.name} has it, too: {tool} could not tell them apart, nor can qb",
        todo="give one of them a version of its own",
        code="duplicate-migration",
    )


def stranger(path: Path, why: str, todo: str) -> Entry:
    """A file that looks like a migration and would never run, so that nobody overlooks it."""
    error = InputError(
        f"{path.name} is not run by anybody",
        where=str(path),
        why=why,
        todo=todo,
        code="broken-file",
    )
    return Entry(path, path.name, "", path.name, files=(path,), problem=error)


def is_sql(name: str) -> bool:
    return name.lower().endswith(".sql")
