"""which files `qb lint` looks at: those that are named, read by whatever loader knows them"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from qb_engine.analysis.page import Page
from qb_engine.errors import InputError, QbError, nearby
from qb_engine.migrations import Broken, Migrations, formats, load, stamps
from qb_engine.migrations.listing import SUFFIXES, is_script
from qb_engine.migrations.model import read_text

if TYPE_CHECKING:
    from qb_engine.analysis.arrange import Tx
    from qb_engine.analysis.sheet import Sheet
    from qb_engine.commands import Session
    from qb_engine.migrations import Entry

STDIN = "-"
OURS = SUFFIXES


class Files:
    """The files of one call as pages, each in the order of its folder.

    What stands before a migration in its folder is read, too: it is run for those after it.
    """

    def __init__(self, session: Session, tx: Tx | None) -> None:
        self._session = session
        self._tx = tx
        self._folders: dict[Path, Migrations] = {}
        self._entries: dict[Path, dict[Path, Entry]] = {}

    def pending(self, applied: frozenset[str]) -> list[Page]:
        """All migrations of the project that are not applied."""
        found = self._session.migrations()
        todo = [entry for entry in found.entries if entry.id not in applied]
        return [self._page(found, entry) for entry in todo]

    def named(self, names: Iterable[str], applied: frozenset[str], *, alone: bool) -> list[Page]:
        """The files of these names in their order, migrations with those before them.

        Those of `applied` (ids) have run already where it counts; `alone` leaves all others out.
        """
        plain: list[Page] = []
        wanted: dict[Path, list[Entry]] = {}
        for path in self._paths(names):
            if path is None:
                plain.append(self._piped())
            elif (found := self._known(path)) is not None:
                wanted.setdefault(found[0], []).append(found[1])
            else:
                plain.append(self._alone(path))
        chained = [
            page
            for folder, entries in wanted.items()
            for page in self._chain(self._folders[folder], entries, applied, alone=alone)
        ]
        return [*chained, *plain]

    # -- which ---------------------------------------------------------------------------------

    def _paths(self, names: Iterable[str]) -> Iterator[Path | None]:
        """The files and folder migrations that names stand for; None for stdin."""
        for name in names:
            path = Path(name)
            if name == STDIN:
                yield None
            elif path.is_dir() and not stamps.split(path.name):
                yield from self._below(path)
            elif path.exists():
                yield path
            else:
                yield self._by_id(name)

    def _below(self, folder: Path) -> Iterator[Path]:
        """What a folder holds: migrations, or any SQL files, those in folders below it, too."""
        migrations = self._migrations(folder)
        if migrations is not None and migrations.entries:
            yield from (entry.path for entry in migrations.entries)
            return
        found = sorted(path for path in folder.rglob("*.sql") if path.is_file())
        if not found:
            raise InputError(
                "the folder holds nothing to look at",
                where=str(folder),
                why="there is neither a migration nor an SQL file in it",
                todo="name files, or a folder with some",
                code="missing-file",
            )
        yield from found

    def _by_id(self, name: str) -> Path:
        if "/" in name or name.endswith(OURS):
            raise InputError(
                "there is no such file",
                where=name,
                todo="name a file that exists, or - for what is piped in",
                code="missing-file",
            )
        return self._session.migrations().entry(name).path

    def _known(self, path: Path) -> tuple[Path, Entry] | None:
        """The folder and the entry of a path that is a migration by its name."""
        folder = path.absolute().parent
        migrations = self._migrations(folder)
        if migrations is None:
            return None
        if folder not in self._entries:
            self._entries[folder] = {
                file.absolute(): entry
                for entry in migrations.entries
                if migrations.format != formats.OWN or entry.stamp
                for file in (entry.path, *entry.files)
            }
        entry = self._entries[folder].get(path.absolute())
        return (folder, entry) if entry is not None else None

    def _migrations(self, folder: Path) -> Migrations | None:
        """The migrations of a folder; None when it cannot be told whose they are."""
        folder = folder.absolute()
        if folder not in self._folders:
            project = self._session.project
            own = folder == (project.root / project.config.migrations).absolute()
            try:
                self._folders[folder] = (
                    self._session.migrations()
                    if own
                    else load(folder, reading=self._session._reading)
                )
            except InputError:
                if own:
                    raise
                self._folders[folder] = Migrations(folder)
        return self._folders[folder]

    # -- what they hold ------------------------------------------------------------------------

    def _chain(
        self,
        migrations: Migrations,
        wanted: Sequence[Entry],
        applied: frozenset[str],
        *,
        alone: bool,
    ) -> Iterator[Page]:
        """Wanted migrations in their order, on top of those before them that are not applied."""
        asked = frozenset(wanted)
        last = max(at for at, entry in enumerate(migrations.entries) if entry in asked)
        for entry in migrations.entries[: last + 1]:
            if entry in asked:
                yield self._page(migrations, entry)
            elif not alone and entry.id not in applied:
                yield replace(self._page(migrations, entry), wanted=False)

    def _page(self, migrations: Migrations, entry: Entry) -> Page:
        """A migration, read later where it is one file of SQL: nothing but its text decides."""
        odd = entry.folder or entry.problem or migrations.doubled(entry)
        if entry.path.suffix == ".sql" and not odd:
            told = f"{migrations.format} {entry.id} {entry.requires} {entry.repeatable}"
            if digest := self._digest(told, (entry.path, *entry.files)):
                name = str(entry.path)
                return Page(name, digest, lambda: self._sheet(migrations, entry), chained=True)
        return Page.of(self._sheet(migrations, entry))

    def _alone(self, path: Path) -> Page:
        """A file that is no migration by its name."""
        digest = self._digest("", (path,)) if path.suffix == ".sql" and path.is_file() else ""
        if not digest:
            return Page.of(self._plain(path))
        return Page(str(path), digest, lambda: self._plain(path))

    def _piped(self) -> Page:
        from qb_engine.analysis.sheet import sheet_of_text

        return Page.of(sheet_of_text(sys.stdin.read(), "<stdin>", tx=self._tx))

    def _digest(self, told: str, paths: Iterable[Path]) -> str:
        """What stands for the content of files; empty when one cannot be read."""
        digest = hashlib.sha256(f"{told} {self._tx}".encode())
        try:
            for path in paths:
                data = path.read_bytes()
                digest.update(f"\0{path.name} {len(data)}\0".encode() + data)
        except OSError:
            return ""
        return digest.hexdigest()

    def _sheet(self, migrations: Migrations, entry: Entry) -> Sheet:
        """A migration as its loader reads it; SQL that the loader refuses as it stands."""
        from qb_engine.analysis.sheet import broken_sheet, sheet_of_migration

        found = migrations.loaded(entry)
        name = nearby(str(entry.path))
        if not isinstance(found, Broken):
            texts = {s.source.file: "" for part in found.parts for s in part.up}
            texts = {file: read_text(Path(file)) for file in texts if Path(file).is_file()}
            return sheet_of_migration(found, texts, tx=self._tx)
        if entry.path.suffix == ".sql" and entry.path.is_file():
            return self._plain(entry.path, chained=True)
        return replace(broken_sheet(name, found.error), chained=False)

    def _plain(self, path: Path, *, chained: bool = False) -> Sheet:
        """A file that no loader takes: SQL of any kind, or a program without a timestamp."""
        from qb_engine.analysis.sheet import (
            broken_sheet,
            sheet_of_migration,
            sheet_of_text,
            way_up,
        )

        try:
            if path.suffix == ".py" or is_script(path.name) or path.is_dir():
                one = self._session.migration(str(path), allow_path=True)
                return replace(
                    sheet_of_migration(one, {str(path): read_text(path)}, tx=self._tx),
                    chained=False,
                )
            text = read_text(path)
        except QbError as error:
            return broken_sheet(nearby(str(path)), error)
        sectioned = way_up(text)[1] > 1
        if sectioned and not chained:
            try:
                one = self._session.migration(str(path), allow_path=True)
                return replace(
                    sheet_of_migration(one, {str(path): text}, tx=self._tx), chained=False
                )
            except QbError:  # what the loader refuses is read as it stands
                return sheet_of_text(text, str(path), tx=self._tx)
        return sheet_of_text(text, str(path), tx=self._tx, chained=chained)
