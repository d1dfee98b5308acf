"""where a migration is tried, again and again: copies of a database that stands just before it"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from qb_engine.errors import InputError
from qb_engine.execution import Executor, blocks
from qb_engine.execution.failure import StepFailed
from qb_engine.execution.stage import Policy
from qb_engine.shadow.shadow import clone

if TYPE_CHECKING:
    from collections.abc import Callable

    from qb_engine.analysis.facts import Figures
    from qb_engine.analysis.hazards import Circumstances
    from qb_engine.migrations import LoadedMigration
    from qb_engine.shadow import Shadow
    from qb_engine.sql import Statement

STATEMENT_S = 30.0  # on a shadow without rows nothing honest takes longer
POLICY = Policy(lock_timeout=10.0, statement_timeout=STATEMENT_S, debug=True, stepped=True)


@dataclass(frozen=True)
class Ground:
    """A shadow that stands just before the migration; it is never touched, only copied.

    `figures` asks the target for the sizes of relations, where there is one, `rows` how many rows
    its planner expects a data change to touch; `circumstances` says what is known of it.
    """

    base: Shadow
    circumstances: Circumstances
    figures: Callable[[set[str]], dict[str, Figures]] = field(default=lambda names: {})
    rows: Callable[[Statement], float | None] = field(default=lambda statement: None)

    @contextmanager
    def copy(self) -> Iterator[Shadow]:
        """A copy of its own, dropped at the end."""
        with ExitStack() as stack:
            name = stack.enter_context(clone(self.base.scratch, self.base.dbname))
            yield replace(self.base, dbname=name)


def advance(shadow: Shadow, migrations: Sequence[LoadedMigration]) -> None:
    """Apply migrations on a shadow, in order. Raise InputError for one that fails there."""
    for migration in migrations:
        acting, watching = shadow.connect(), shadow.connect()
        executor = Executor(acting, watching, POLICY)
        try:
            for block in blocks(migration.parts):
                executor.run(block)
        except StepFailed as failed:
            raise InputError(
                f"{migration.id}, which comes before it, fails on the shadow",
                where=str(failed.step.statement.source),
                why=failed.why,
                todo=f"mend it first: qb plan {migration.id}",
                code="not-applied",
            ) from None
        finally:
            executor.close()
            acting.close()
            watching.close()
