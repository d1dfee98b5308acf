"""which files `qb lint` looks at: those that are named, read by whatever loader knows them"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from qb_engine.analysis.sheet import (
    Sheet,
    broken_sheet,
    sheet_of_migration,
    sheet_of_text,
    way_up,
)
from qb_engine.errors import InputError, QbError, nearby
from qb_engine.migrations import Broken, Migrations, formats, load, stamps
from qb_engine.migrations.model import read_text

if TYPE_CHECKING:
    from qb_engine.analysis.arrange import Tx
    from qb_engine.commands import Session
    from qb_engine.migrations import Entry

STDIN = "-"
OURS = (".sql", ".py")


class Files:
    """The files of one call as sheets, each in the order of its folder.

    What stands before a migration in its folder is read, too: it is run for those after it.
    """

    def __init__(self, session: Session, tx: Tx | None) -> None:
        self._session = session
        self._tx = tx
        self._folders: dict[Path, Migrations] = {}
        self._entries: dict[Path, dict[Path, Entry]] = {}

    def pending(self, applied: frozenset[str]) -> tuple[Sheet, ...]:
        """All migrations of the project that are not applied."""
        found = self._session.migrations()
        todo = [entry for entry in found.entries if entry.id not in applied]
        return tuple(self._sheet(found, entry) for entry in todo)

    def named(self, names: Iterable[str], applied: frozenset[str], *, alone: bool) -> list[Sheet]:
        """The files of these names in their order, migrations with those before them.

        Those of `applied` (ids) have run already where it counts; `alone` leaves all others out.
        """
        plain: list[Sheet] = []
        wanted: dict[Path, list[Entry]] = {}
        for path in self._paths(names):
            if path is None:
                plain.append(sheet_of_text(sys.stdin.read(), "<stdin>", tx=self._tx))
            elif (found := self._known(path)) is not None:
                wanted.setdefault(found[0], []).append(found[1])
            else:
                plain.append(self._plain(path))
        chained = [
            sheet
            for folder, entries in wanted.items()
            for sheet in self._chain(self._folders[folder], entries, applied, alone=alone)
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
    ) -> Iterator[Sheet]:
        """Wanted migrations in their order, on top of those before them that are not applied."""
        last = max(migrations.entries.index(entry) for entry in wanted)
        for entry in migrations.entries[: last + 1]:
            if entry in wanted:
                yield self._sheet(migrations, entry)
            elif not alone and entry.id not in applied:
                yield replace(self._sheet(migrations, entry), wanted=False)

    def _sheet(self, migrations: Migrations, entry: Entry) -> Sheet:
        """A migration as its loader reads it; SQL that the loader refuses as it stands."""
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
        """A file that no loader takes: SQL of any kind, or a Python file without a timestamp."""
        try:
            if path.suffix == ".py" or path.is_dir():
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
