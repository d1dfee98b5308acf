"""what commands share: the project, the target, the migrations, and the face that asks and shows"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from qb_engine.errors import InputError, QbError, RefusedError
from qb_engine.project import Project

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.database.target import Target
    from qb_engine.migrations import LoadedMigration, Migrations, Reader


class Progress(Protocol):
    """A thing that moves: `update` says how far, in the unit of `total`."""

    def update(self, done: float, total: float | None = None, note: str = "") -> None: ...


class _NoProgress:
    def update(self, done: float, total: float | None = None, note: str = "") -> None:
        return None


class Face:
    """How a command talks while it works. This one is silent and cannot ask (scripts, kernels)."""

    interactive = False
    live = False
    """True where a report may go on showing what moves, so that no command need wait for it."""

    def say(self, text: str) -> None:
        """Tell something on the way: not part of the result."""

    def ask_password(self, prompt: str) -> str | None:
        """A password typed by the user, or None when nobody can be asked."""
        return None

    def ask(self, prompt: str) -> str | None:
        """A line typed by the user, or None when nobody can be asked."""
        return None

    def progress(self, label: str, total: float | None = None) -> AbstractContextManager[Progress]:
        """Show that something moves, until the context ends."""
        return nullcontext(_NoProgress())

    def watching(self) -> AbstractContextManager[Callable[[Any], None]]:
        """Show how far a backfill is, each time it is looked at, until the context ends."""
        return nullcontext(lambda _found: None)


class Session:
    """The state that commands share within one process or one notebook."""

    def __init__(self, face: Face | None = None, root: Path | None = None) -> None:
        self.face = face or Face()
        self.project = Project.find(root)
        self.option: str | None = None  # -c of this call
        self.folder: Path | None = None  # --project of this call, as it was given
        self.json = False
        self.debug = False
        self.cell: str | None = None  # the body of the notebook cell this call stands in
        self.stopping = threading.Event()  # set by `cancel`: waits end
        self._open: set[Connection] = set()
        self._connected: Target | None = None  # chosen by `connect`, kept for later calls
        self._resolved: dict[str | None, Target] = {}

    @property
    def target(self) -> Target:
        """The database this call works on; the embedded server is started when it is that one."""
        from qb_engine.database import resolve

        if self.option is None and self._connected is not None:
            if self._connected.embedded:
                self._connected = resolve(self.project, self._connected.name)
            return self._connected
        found = self._resolved.get(self.option)
        if found is None or found.embedded:  # an embedded server may have been stopped meanwhile
            found = resolve(self.project, self.option)
            self._resolved[self.option] = found
        return found

    def use(self, target: Target) -> None:
        """Keep a target for the calls that follow (`%qb connect`)."""
        self._connected = target

    def connect(self, *, application_name: str = "qb", autocommit: bool = True) -> Connection:
        """Open a connection to the target, asking for a password when one is needed.

        Raise ServerError when it cannot be reached. The caller closes it.
        """
        from dataclasses import replace

        from psycopg.conninfo import make_conninfo

        from qb_engine import secrets
        from qb_engine.database.connect import connect

        target = self.target
        try:
            return self.watch(
                connect(target, autocommit=autocommit, application_name=application_name)
            )
        except QbError as error:
            if not getattr(error, "needs_password", False):
                raise
            password = self.face.ask_password(f"Password for {target.display}: ")
            if password is None:
                raise
        secrets.remember(password)
        kept = replace(target, conninfo=make_conninfo(target.conninfo, password=password))
        conn = connect(kept, autocommit=autocommit, application_name=application_name)
        if self.option is None and self._connected is not None:
            self._connected = kept
        self._resolved[self.option] = kept
        return self.watch(conn)

    def cancel(self) -> None:
        """Cancel on the server whatever statement runs for this session, from any thread."""
        from psycopg.pq import TransactionStatus

        self.stopping.set()

        # chosen before the first is cancelled: what cleans up afterwards is to go on
        active = TransactionStatus.ACTIVE
        busy = [c for c in self._open if not c.closed and c.info.transaction_status == active]
        for conn in busy:
            conn.cancel_safe()

    def watch(self, conn: Connection) -> Connection:
        """Remember a connection, so that `cancel` reaches it."""
        self._open = {each for each in self._open if not each.closed} | {conn}
        return conn

    def migrations(self) -> Migrations:
        """The project's migrations; those that read the target do so read-only."""
        from qb_engine.migrations import load

        return load(
            self.project.migrations,
            reading=self._reading,
            format=self.project.config.format,
            project=self.project,
        )

    def migration(self, name: str | None, *, allow_path: bool = False) -> LoadedMigration:
        """One migration by id, name, unique part, or (where allowed) the path of a `.sql` file.

        Raise InputError that names what is near; without a name, the last one is meant.
        """
        from qb_engine.migrations.listing import SUFFIXES

        if name and allow_path and (name.endswith(SUFFIXES) or "/" in name):
            path = Path(name)
            if path.exists():
                return self._from_path(path)
        found = self.migrations()
        if name:
            return found.find(name)
        if found.broken and not found.all:
            raise found.broken[0].error
        if not found.all:
            raise InputError(
                "there is no migration yet",
                where=str(found.folder),
                todo="write one: qb generate NAME --sql FILE, or draft it first: "
                "qb draft NAME --sql FILE (in a notebook: %%qb draft NAME)",
                code="no-such-migration",
            )
        return found.all[-1]

    def reload(self, migration: LoadedMigration) -> LoadedMigration:
        """Read a migration again: what it records may depend on what has just run."""
        if not any(part.dynamic for part in migration.parts):
            return migration
        from qb_engine.migrations import load_one

        with self._reading() as reader:
            return load_one(migration.path, reader, self.project)

    def guard_production(self, doing: str, typed: str | None) -> None:
        """Let a change of a production target pass only when its alias is typed back."""
        target = self.target
        if not target.production:
            return
        answer = typed or self.face.ask(f"{doing} on production: type {target.name} to go on: ")
        if answer != target.name:
            raise RefusedError(
                f"{target.name} is a production target",
                where=target.display,
                why="qb.toml says production = true, and the alias was not typed back",
                todo=f"repeat the command with --confirm {target.name}",
                code="production-guard",
            )

    def _from_path(self, path: Path) -> LoadedMigration:
        from qb_engine.migrations import formats, load_one
        from qb_engine.migrations.folder import load_part
        from qb_engine.migrations.model import LoadedMigration, checksum
        from qb_engine.migrations.stamps import split

        config = self.project.config
        home = self.project.root / config.migrations
        foreign = formats.at_path(path, home, config.format, self.project)
        if foreign is not None:
            return foreign
        with self._reading() as reader:
            if path.is_dir() or split(path.stem):
                return load_one(path, reader, self.project)
            part, constraints, text = load_part(path, "migration", reader, self.project)
        return LoadedMigration(
            path.stem, "", path.stem, path, path.suffix[1:], (part,), constraints,
            checksum=checksum(part.up), text=text,
        )  # fmt: skip

    @contextmanager
    def _reading(self) -> Iterator[Reader]:
        """A reader that connects only when a migration really reads."""
        conn: Connection | None = None

        def rows(sql: str) -> list[tuple[Any, ...]]:
            nonlocal conn
            from qb_engine.database.connect import server_errors

            if conn is None:
                conn = self.connect()
                conn.read_only = True
                conn.execute("SET lock_timeout = '2s'")  # who only looks must not wait for long
            with server_errors(f"reading ({sql[:60]})", self.target), conn.transaction():
                return conn.execute(sql.encode()).fetchall()

        try:
            yield rows
        finally:
            if conn is not None:
                conn.close()
