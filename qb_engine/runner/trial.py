"""databases at any point of a chain of migrations: one that only goes up, and copies to try on"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import psycopg

from qb_engine.analysis.outside import made_roles
from qb_engine.errors import QbError
from qb_engine.execution import Executor, Step, blocks, steps_where
from qb_engine.execution.failure import StepFailed
from qb_engine.migrations import load_one
from qb_engine.schema import Snapshot, snapshot
from qb_engine.shadow.roles import lent
from qb_engine.shadow.shadow import Shadow, clone
from qb_engine.sql.whole_server import WHOLE_SERVER

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.execution.place import Place
    from qb_engine.migrations import LoadedMigration
    from qb_engine.shadow import Scratch
    from qb_engine.sql import Statement

STATEMENT_S = 60  # without rows nothing honest takes longer
ROWS = ("insert", "update", "delete", "merge", "select", "do", "call", "copy", "truncate")


class UpFailed(Exception):
    """A migration that cannot be applied, so that nothing after it can be tried."""

    def __init__(self, migration: LoadedMigration, cause: QbError) -> None:
        super().__init__(migration.id)
        self.migration = migration
        self.cause = cause


class Trial:
    """A throw-away database on which migrations go up and down, as they would on a target."""

    def __init__(self, place: Place, shadow: Shadow, stands: int) -> None:
        self.stands = stands  # how many migrations of the chain are applied
        self.marked = False  # rows were written here that a way back may have left
        self._place = place
        self._shadow = shadow
        self._open: tuple[Connection, Connection] | None = None

    @property
    def name(self) -> str:
        return self._shadow.dbname

    def up(self, migration: LoadedMigration) -> None:
        """Apply a migration. Raise StepFailed, or the error of a file that reads the database."""
        self._move(self._reread(migration), down=False)

    def down(self, migration: LoadedMigration) -> None:
        """Undo a migration by its own down. Raise StepFailed."""
        self._move(self._reread(migration), down=True)

    def look(self) -> Snapshot:
        """The schema as it is now."""
        return snapshot(self._connections()[1])

    def close(self) -> None:
        """Let go of the database, so that it can be copied or dropped."""
        for conn in self._open or ():
            conn.close()
        self._open = None

    def _connections(self) -> tuple[Connection, Connection]:
        if self._open is None:
            self._open = self._shadow.connect(), self._shadow.connect()
        return self._open

    def _reread(self, migration: LoadedMigration) -> LoadedMigration:
        """What a migration records when it reads this database, not the target."""
        if not any(part.dynamic for part in migration.parts):
            return migration
        watching = self._connections()[1]
        return load_one(migration.path, lambda sql: watching.execute(sql.encode()).fetchall())

    def _move(self, migration: LoadedMigration, *, down: bool) -> None:
        acting, watching = self._connections()
        acting.execute("DISCARD ALL")  # every run has a session of its own
        refused: frozenset[int] = frozenset()
        done: set[int] = set()

        def left(step: Step) -> bool:
            return step.number not in done and here(step.statement)

        while True:
            arranged = steps_where(blocks(migration.parts, down=down, refused=refused), left)
            executor = Executor(acting, watching, self._place.policy(statement_timeout=STATEMENT_S))
            try:
                for block in arranged:
                    self.marked |= any(s.statement.kind in ROWS for s in block.steps)
                    executor.run(block)
                    done |= {step.number for step in block.steps}
                return
            except StepFailed as failed:
                number = failed.step.number
                again = isinstance(failed.cause, psycopg.errors.ActiveSqlTransaction)
                if not again or number in refused:
                    raise
                refused |= {number}  # the parser could not know: the server has told us
            finally:
                executor.close()


class Chain:
    """Databases with the first N migrations of a chain applied, for any N, never going back.

    One database goes up only, and only when it is asked for. What is tried happens on a copy, which
    is kept while it stands where it should, and thrown away when a way back has spoilt it.
    """

    def __init__(self, place: Place, start: Shadow, migrations: Sequence[LoadedMigration]) -> None:
        self._place = place
        self._migrations = migrations
        self._ahead = Trial(place, start, 0)
        self._trial: Trial | None = None
        self._copies = ExitStack()
        self._server = start.scratch

    def at(self, number: int, *, clean: bool = False) -> Trial:
        """A database to try things on with the first `number` migrations applied.

        `clean` asks for one on which nothing went down before. Raise UpFailed.
        """
        if self._trial is not None and self._trial.stands == number and not clean:
            return self._trial
        self.spoilt()
        for migration in self._migrations[self._ahead.stands : number]:
            try:
                self._ahead.up(migration)
            except QbError as error:
                raise UpFailed(migration, error) from error
            self._ahead.stands += 1
        self._ahead.close()
        name = self._copies.enter_context(clone(self._server, self._ahead.name))
        self._trial = Trial(self._place, Shadow(self._server, name), number)
        return self._trial

    def spoilt(self) -> None:
        """Throw the copy away: it is not what it should be."""
        if self._trial is not None:
            self._trial.close()
        self._trial = None
        self._copies.close()

    def close(self) -> None:
        """Drop the copy and let go of the rest."""
        self.spoilt()
        self._ahead.close()


def here(statement: Statement) -> bool:
    """False for what changes the whole server, not a database: a shared one must not run it."""
    return statement.kind not in WHOLE_SERVER


@contextmanager
def roles(server: Scratch, migrations: Sequence[LoadedMigration]) -> Iterator[None]:
    """The roles that migrations create, while their databases are there; none can log in."""
    with lent(server, made_roles(s for m in migrations for s in m.up)):
        yield
