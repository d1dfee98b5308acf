"""where steps run: the project, the target, how connections are opened, whom to tell"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psycopg

from qb_engine.database.connect import lost, server_error
from qb_engine.errors import QbError
from qb_engine.execution.blocks import Step
from qb_engine.execution.failure import server_gone
from qb_engine.execution.stage import Policy
from qb_engine.project import Project, seconds

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.database.target import Target
    from qb_engine.execution.sample import Sample
    from qb_engine.migrations import LoadedMigration, Migrations


@dataclass(frozen=True)
class Place:
    """What a plan, a dry run and a run need to know.

    `opener` opens an autocommit connection to the target under an application name; `tell` hears
    sentences on the way; `on_step` hears (migration, step, state) as steps start and end; `reload`
    reads one migration again (its SQL may depend on what the one before it did); `opened` hears of
    connections to scratch databases; `stop` ends every wait; `emit` hears of events, for logs,
    `on_sample` of each look at a statement that runs.
    """

    project: Project
    target: Target
    opener: Callable[[str], Connection]
    migrations: Migrations
    tell: Callable[[str], None] = lambda text: None
    on_step: Callable[[LoadedMigration, Step, str], None] = lambda migration, step, state: None
    reload: Callable[[LoadedMigration], LoadedMigration] = lambda migration: migration
    scratch_url: str | None = None
    opened: Callable[[Connection], object] = lambda conn: None
    stop: threading.Event = field(default_factory=threading.Event)
    emit: Callable[..., None] = lambda kind, /, **fields: None
    on_sample: Callable[[Sample], None] | None = None

    @contextmanager
    def connected(self, application_name: str = "qb") -> Iterator[Connection]:
        """A connection for the length of a block; what psycopg raises inside becomes ours."""
        conn = self.opener(application_name)
        try:
            yield conn
        except QbError:
            raise
        except psycopg.Error as error:
            if lost(error):
                raise server_gone(error, "working on " + self.target.display) from error
            raise server_error("working on the target", error, where=self.target.display) from error
        finally:
            conn.close()

    def policy(self, **changes: bool | float | str) -> Policy:
        """The execution policy that qb.toml asks for, with changes."""
        timeouts = self.project.config.timeouts
        return Policy(
            **{
                "lock_timeout": seconds(timeouts.lock),
                "lock_deadline": seconds(timeouts.lock_deadline),
                "max_blocked": seconds(timeouts.max_blocked),
                "statement_timeout": seconds(timeouts.statement),
                **changes,
            }  # type: ignore[arg-type]
        )

    @property
    def patience(self) -> float:
        """How long to wait for another runner, in seconds."""
        return seconds(self.project.config.timeouts.runner)
