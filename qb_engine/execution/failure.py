"""a step that failed: which one, why, where in its text, and what was observed until then"""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg

from qb_engine.database.sqlstates import Explained, explain
from qb_engine.errors import ServerError, StatementError
from qb_engine.execution.drawing import told

if TYPE_CHECKING:
    from qb_engine.execution.blocks import Step
    from qb_engine.execution.observation import Observation


class StepFailed(StatementError):
    """A step failed. `blocked` says whom it kept waiting for too long, when that is why.

    `meant` is what the error means, where more is known than its SQLSTATE says; `ahead` counts the
    characters that were sent before the statement.
    """

    def __init__(
        self,
        step: Step,
        cause: psycopg.Error,
        observations: tuple[Observation, ...],
        *,
        at: str = "",
        what: str = "",
        todo: str = "",
        blocked: str = "",
        meant: Explained | None = None,
        ahead: int = 0,
    ) -> None:
        self.step = step
        self.cause = cause
        self.observations = observations
        self.blocked = blocked
        self.meant = meant or explain(cause)
        super().__init__(
            what
            or (
                f"statement {step.number} was cancelled: it kept others waiting"
                if blocked
                else f"statement {step.number} failed" + (f" at {at}" if at else "")
            ),
            sqlstate=cause.sqlstate or "",
            where=f"{step.statement.source}, statement {step.number}: {step.statement.first_line}",
            why="\n".join([blocked] if blocked else told(step.statement, cause, ahead=ahead)),
            todo=todo or ("" if blocked else self.meant.todo),
            code="blocked-too-long" if blocked else self.meant.code,
        )

    def then(self, command: str, file: str) -> None:
        """Say which command goes on once that is done which is to be done next."""
        self.todo = f"{self.todo or f'mend {file}'}, then: {command}"

    def given_up(self, waited: float, blockers: str, tries: int = 0) -> StepFailed:
        """The same after the deadline for locks has passed, or after so many tries."""
        what = f"no lock for statement {self.step.number} within {waited:.0f} s"
        todo = (f"held by {blockers}; " if blockers else "") + "end that transaction or wait for it"
        if self.blocked:
            what = f"statement {self.step.number} kept others waiting, again and again"
            todo = "run it when the database is quieter, or allow more: [timeouts] max_blocked"
        elif tries:
            what = (
                f"statement {self.step.number} was tried {tries} times, and others were in its way"
            )
        error = StepFailed(
            self.step,
            self.cause,
            self.observations,
            what=what,
            todo=todo,
            blocked=self.blocked,
            meant=self.meant,
        )
        error.why = self.why  # with what was said of its remains
        return error


def server_gone(error: BaseException, doing: str) -> ServerError:
    """The connection broke: nothing is known about the last statement but what the ledger says."""
    return ServerError(
        f"the connection was lost while {doing}",
        why=" ".join(str(error).split()),
        todo="see that the server runs, then: qb status",
        code="connection-lost",
    )
