"""a step that failed: which one, why, where in its text, and what was observed until then"""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg

from qb_engine.errors import ServerError, StatementError
from qb_engine.sql import Source

if TYPE_CHECKING:
    from qb_engine.execution.blocks import Step
    from qb_engine.execution.observation import Observation


class StepFailed(StatementError):
    """A step failed. `blocked` says whom it kept waiting for too long, when that is why."""

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
    ) -> None:
        self.step = step
        self.cause = cause
        self.observations = observations
        self.blocked = blocked
        diagnostic = cause.diag
        place = step.statement.source
        why = [f"{diagnostic.severity or 'ERROR'}: {diagnostic.message_primary or cause}"]
        if diagnostic.message_detail:
            why.append(f"DETAIL: {diagnostic.message_detail}")
        if diagnostic.context:
            why.append(f"CONTEXT: {diagnostic.context}")
        why += drawn(step, diagnostic.statement_position)
        super().__init__(
            what
            or (
                f"statement {step.number} was cancelled: it kept others waiting"
                if blocked
                else f"statement {step.number} failed" + (f" at {at}" if at else "")
            ),
            sqlstate=cause.sqlstate or "",
            where=f"{place}, statement {step.number}: {step.statement.first_line}",
            why="\n".join([blocked] if blocked else why),
            todo=todo or diagnostic.message_hint or "",
        )

    def given_up(self, waited: float, blockers: str, tries: int = 0) -> StepFailed:
        """The same after the deadline for locks has passed, or after so many tries."""
        what = f"no lock for statement {self.step.number} within {waited:.0f} s"
        todo = (
            f"held by {blockers}; " if blockers else ""
        ) + "end that transaction or wait for it, then run again"
        if self.blocked:
            what = f"statement {self.step.number} kept others waiting, again and again"
            todo = "run it when the database is quieter, or allow more: [timeouts] max_blocked"
        elif tries:
            what = (
                f"statement {self.step.number} was tried {tries} times, and others were in its way"
            )
        error = StepFailed(
            self.step, self.cause, self.observations, what=what, todo=todo, blocked=self.blocked
        )
        error.why = self.why  # with what was said of its remains
        return error


def drawn(step: Step, position: str | None) -> list[str]:
    """The line of the statement that the server points at, with a caret below."""
    if not position:
        return []
    sql = step.statement.sql
    at = int(position) - 1
    start = sql.rfind("\n", 0, at) + 1
    line = sql[start:].split("\n", 1)[0]
    number = step.statement.source.line + sql.count("\n", 0, at)
    place = Source(step.statement.source.file, number)
    return [f"{place}: {line}", " " * (len(f"{place}: ") + at - start) + "^"]


def server_gone(error: BaseException, doing: str) -> ServerError:
    """The connection broke: nothing is known about the last statement but what the ledger says."""
    return ServerError(
        f"the connection was lost while {doing}",
        why=" ".join(str(error).split()),
        todo="see that the server runs, then: qb status",
        code="connection-lost",
    )
