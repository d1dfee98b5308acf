"""what a run is asked for, and which migrations that means; pure"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from qb_engine.errors import RefusedError
from qb_engine.runner.findings import late, refuse_out_of_order

if TYPE_CHECKING:
    from qb_engine.runner.status import Status

Atomic = Literal["each", "all", "none"]
DONE = ("applied", "contracted", "missing")


@dataclass(frozen=True)
class Request:
    """What `qb run` is asked for.

    `only` and `to` are ids; `steps` counts migrations. `atomic`: each migration in a transaction of
    its own, all in one, or none (each statement by itself). `patience` is how long to wait for
    another runner, in seconds; None asks qb.toml. `agreed` is a plan that was read and approved.
    `terminate` is how old a blocker's transaction must be for it to be ended, in seconds.
    `cut_off` says what to do with a statement outside a transaction of whose end nothing is known:
    `ask` (refuse), `redo` or `skip`.
    """

    only: str | None = None
    to: str | None = None
    steps: int | None = None
    atomic: Atomic = "each"
    verify_first: bool = True
    cut_off: str = "ask"
    out_of_order: bool = False
    if_pending: bool = False
    patience: float | None = None
    terminate: float | None = None
    agreed: dict[str, Any] | None = None


def selected(
    states: Sequence[Status],
    request: Request,
    where: Callable[[str], str] = str,
    requires: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> tuple[Status, ...]:
    """The migrations that are to be run, in the order of the folder, as `states` is.

    `where` gives the place of a migration's file, `requires` those that must be applied before it.
    Raise RefusedError for one that was edited, is half rolled back, would be run after newer ones,
    or before what it requires.
    """
    if request.only is not None:
        found = [s for s in states if s.migration == request.only]
    else:
        found = list(states)
        if request.to is not None:
            found = found[: [s.migration for s in states].index(request.to) + 1]
    for state in found:
        refuse(state, where(state.migration))
    todo = [s for s in found if s.state not in DONE]
    older = set(late(states)) & {s.migration for s in todo}
    if older and not request.out_of_order:
        refuse_out_of_order(states, request.only or "")
    if request.steps is not None:
        todo = todo[: request.steps]
    done = {s.migration for s in states if s.state in DONE}
    for state in todo:
        missing = [name for name in requires.get(state.migration, ()) if name not in done]
        if missing:
            raise RefusedError(
                f"{state.migration} requires {', '.join(missing)}",
                where=where(state.migration),
                why="what it requires is not applied here",
                todo=f"run that first: qb run {missing[0]}; or everything in order: qb run",
                code="out-of-order",
            )
        done.add(state.migration)
    return tuple(todo)


def refuse(state: Status, where: str) -> None:
    """Raise RefusedError for a migration that must not be run as its file is now."""
    if state.state == "edited":
        raise RefusedError(
            f"{state.migration} was edited after it was applied",
            code="edited-migration",
            where=where,
            why="what ran on this database and what the file says now are not the same",
            todo="restore the file, and put the change into a new migration; or see what differs "
            f"with qb checksum {state.migration}",
        )
    if state.state == "partial" and state.down:
        raise RefusedError(
            f"{state.migration} is half rolled back",
            code="half-rolled-back",
            where=where,
            why=state.note,
            todo=f"qb rollback {state.migration} continues",
        )
