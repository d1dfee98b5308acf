"""the migrations of a folder: in order, and each read when it is first asked for"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from qb_engine.errors import InputError, QbError
from qb_engine.migrations import listing
from qb_engine.migrations.listing import Entry, Look, is_script
from qb_engine.migrations.model import LoadedMigration, Part, Reader
from qb_engine.project import Project

Read = Callable[[Entry, Reader | None], LoadedMigration]
"""Reads one migration; raises QbError when it is broken."""

Reading = Callable[[], AbstractContextManager[Reader | None]]
"""Opens what migrations read the target through, for as long as some are read."""


@dataclass(frozen=True)
class Broken:
    """A file that should be a migration and is not: where, and why."""

    path: Path
    error: QbError
    named: str = ""  # where the file's name is not the id

    @property
    def id(self) -> str:
        return self.named or listing.entry(self.path).id


class Migrations:
    """All migrations of a folder in the order of their timestamps, and those that are broken.

    `entries` are known from the names of the files. A migration is read when it is first needed:
    by `get` and `find` just that one, by `all` and `broken` every one. `format` says which tool's
    folder it is.
    """

    def __init__(
        self,
        folder: Path,
        all: Iterable[LoadedMigration] = (),
        broken: Iterable[Broken] = (),
        *,
        entries: Sequence[Entry] | None = None,
        read: Read | None = None,
        reading: Reading = nullcontext,
        format: str = "qb",
        notes: Sequence[str] = (),
        project: Project | None = None,
    ) -> None:
        self.folder = folder
        self._project = project
        self.format = format
        self.notes = tuple(notes)  # what stands in the folder and is not run, said
        self._reading = reading
        self._reader = read
        self._known: dict[Entry, LoadedMigration | Broken] = {}
        self._looks: dict[Entry, Look] = {}
        self._names: dict[Entry, Mapping[str, str]] = {}
        if entries is None:
            entries = [*map(self._keep, all), *map(self._keep, broken)]
        self.entries = tuple(entries)
        self._by_id = {each.id: each for each in self.entries}
        if len(self._by_id) < len(self.entries):  # of two with the same id the first counts
            for each in sorted(self.entries, key=lambda e: e.path.name, reverse=True):
                self._by_id[each.id] = each

    def _keep(self, one: LoadedMigration | Broken) -> Entry:
        if isinstance(one, Broken):
            entry = Entry(one.path, one.id, "", "")
        else:
            entry = Entry(
                one.path, one.id, one.stamp, one.name,
                requires=one.requires, repeatable=one.repeatable,
            )  # fmt: skip
        self._known[entry] = one
        return entry

    def __contains__(self, id: str) -> bool:
        return id in self._by_id

    def __iter__(self) -> Iterator[LoadedMigration]:
        return iter(self.all)

    def __len__(self) -> int:
        return len(self.all)

    def __repr__(self) -> str:
        return f"<{len(self.entries)} migrations in {self.folder}>"

    @cached_property
    def project(self) -> Project:
        """The project that they belong to."""
        return self._project or Project.find(self.folder)

    @cached_property
    def all(self) -> tuple[LoadedMigration, ...]:
        """Every migration that can be read, in order."""
        return tuple(m for m in self._everything() if isinstance(m, LoadedMigration))

    @cached_property
    def broken(self) -> tuple[Broken, ...]:
        """Every file that cannot be read as a migration, by name."""
        self.read(self.entries)
        return self.known_broken

    @property
    def known_broken(self) -> tuple[Broken, ...]:
        """The broken ones among those that have been read, by name."""
        found = (m for m in self._known.values() if isinstance(m, Broken))
        return tuple(sorted(found, key=lambda each: each.path.name))

    def _everything(self) -> list[LoadedMigration | Broken]:
        self.read(self.entries)
        return [self._known[each] for each in self.entries]

    def loaded(self, entry: Entry) -> LoadedMigration | Broken:
        """What an entry is, read now if it was not yet."""
        self.read([entry])
        return self._known[entry]

    def known(self, entry: Entry) -> bool:
        """True when an entry has been read."""
        return entry in self._known

    def doubled(self, entry: Entry) -> bool:
        """True when another file had the id of this one first."""
        return self._by_id[entry.id] is not entry

    def read(self, entries: Iterable[Entry]) -> None:
        """Read those that were not read yet, through one connection if they look at the target."""
        todo = [each for each in entries if each not in self._known]
        if todo:
            with self._reading() as reader:
                for each in todo:
                    self._load(each, reader)

    def _load(self, entry: Entry, reader: Reader | None) -> None:
        assert self._reader is not None, "what was given whole is known"
        try:
            if self.doubled(entry):
                raise _same_id(entry, self._by_id[entry.id])
            found = self._reader(entry, reader)
            for part in found.parts:
                first = self.first_named(part.history_name) if part.history_name else None
                if first is not None and first is not entry:
                    raise _same_name(entry, part, first)
            self._known[entry] = found
        except QbError as error:
            self._known[entry] = Broken(entry.path, error, entry.id)

    def look(self, entry: Entry) -> Look:
        """What the bytes of a migration tell, read once."""
        found = self._looks.get(entry)
        if found is None:
            found = self._looks[entry] = listing.look(entry)
        return found

    def names_in_history(self, entry: Entry) -> Mapping[str, str]:
        """What TypeORM calls the files of a migration, by their names; told without reading it."""
        found = self._names.get(entry)
        if found is None:
            one = self._known.get(entry)
            if isinstance(one, LoadedMigration):
                found = {p.file: p.history_name for p in one.parts if p.history_name}
            elif self.format == "typeorm" and not entry.folder:
                found = {entry.path.name: entry.id} if entry.stamp else {}
            else:
                from qb_engine.migrations.typescript_file import names_in_history

                found = names_in_history(entry.path, folder=entry.folder)
            self._names[entry] = found
        return found

    def first_named(self, name: str) -> Entry | None:
        """The first migration that TypeORM calls so."""
        return self._by_name.get(name)

    @cached_property
    def _by_name(self) -> dict[str, Entry]:
        found: dict[str, Entry] = {}
        for entry in self.entries:
            if entry.folder or is_script(entry.path.name):
                for name in self.names_in_history(entry).values():
                    found.setdefault(name, entry)
        return found

    def get(self, id: str) -> LoadedMigration:
        """The migration of an id. Raise its error when it is broken, KeyError if there is none."""
        found = self.loaded(self._by_id[id])
        if isinstance(found, Broken):
            raise found.error
        return found

    def find(self, name: str) -> LoadedMigration:
        """A migration by id, by name, or by a part of its id that is unique.

        Raise InputError that names the nearest ones; the error of a broken file is raised as it is.
        """
        return self._whole(self._named(name))

    def entry(self, name: str) -> Entry:
        """Like `find`, without reading it: it may be one that cannot be read."""
        return self._named(name)[0]

    def _named(self, name: str) -> list[Entry]:
        found = [
            each
            for each in self.entries
            if name and name in (each.id, each.name, each.path.name, str(each.path))
        ]
        if len({each.id for each in found}) != 1:
            found = found or [e for e in self.entries if name and name in e.id]
        if len({each.id for each in found}) == 1:
            return found
        if found:
            raise InputError(
                f"{name!r} names {len(found)} migrations",
                where=str(self.folder),
                why=", ".join(each.id for each in found[:8]),
                todo="give the whole id",
                code="ambiguous-name",
            )
        near = difflib.get_close_matches(name, [e.name for e in self.entries], n=3, cutoff=0.4)
        raise InputError(
            f"there is no migration {name!r}",
            where=str(self.folder),
            why=_how_many(len(self.entries)),
            todo=f"did you mean {', '.join(near)}?" if near else "see them with: qb status",
            code="no-such-migration",
        )

    def _whole(self, found: Sequence[Entry]) -> LoadedMigration:
        """The migration of entries that share an id; what is broken about one of them is raised."""
        read = [self.loaded(each) for each in found]
        for each in read:
            if isinstance(each, Broken):
                raise each.error
        (one,) = (each for each in read if isinstance(each, LoadedMigration))
        return one


def _how_many(count: int) -> str:
    return "1 migration is in the folder" if count == 1 else f"{count} migrations are in the folder"


def _same_name(entry: Entry, part: Part, first: Entry) -> InputError:
    return InputError(
        f"{part.history_name} is the name of two migrations",
        where=str(entry.path / part.file if entry.folder else entry.path),
        why=f"{first.path.name} has it, too: TypeORM refuses to run any, and its "
        "history could not tell them apart",
        todo="give the class, and its `name`, a name and a stamp of their own",
        code="duplicate-migration",
    )


def _same_id(entry: Entry, first: Entry) -> InputError:
    return InputError(
        f"two migrations have the same id, {entry.id}",
        where=str(entry.path),
        why=f"{first.path.name} has it, too, and history could not tell them apart",
        todo="rename or remove one of them",
        code="duplicate-migration",
    )
