"""what may be done with a migration as it stands, and why the rest may not"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qb_engine.runner import State

MOVING = ("pending", "running", "verifying")  # states of a backfill that works or will at once
APPLIED = ("applied", "expanded", "backfilling", "contracted", "edited")
ENDED = {"completed": "has completed", "failed": "has failed", "cancelled": "was cancelled"}
WAITING = ("pending", "partial", "expanded", "backfilling")  # states that others wait for


@dataclass(frozen=True, slots=True)
class Situation:
    """All that decides what may be done with one migration.

    `fill` is the state of its backfill: empty when it has none, `needed` before the migration ran,
    `not started` after. `earlier` is a migration that must be run before it, `later` one that must
    be rolled back before it; `runner` says who is running migrations right now.
    """

    migration: str
    state: State
    note: str = ""
    fill: str = ""
    earlier: str = ""
    later: str = ""
    irreversible: str = ""
    runner: str = ""
    production: bool = False
    anything_applied: bool = False


@dataclass(frozen=True, slots=True)
class Action:
    """Something that can be asked for: the command's words, and why not when it may not be."""

    label: str
    command: tuple[str, ...]
    why: str = ""
    changes: bool = False  # the target: on production its alias is typed back

    @property
    def enabled(self) -> bool:
        return not self.why


def actions(s: Situation) -> dict[str, Action]:
    """Every action by name, in the order of the work."""
    name = s.migration
    plan = ("plan",) if s.earlier else ("plan", name)
    return {
        "verify": Action("Verify", ("verify", name), _unapplied(s)),
        "plan": Action("Plan", plan, _unapplied(s)),
        "dryrun": Action("Dry run", ("dryrun", name), _dryrun(s)),
        "rehearse": Action("Rehearse", ("rehearse", name), _rehearse(s)),
        "run": Action("Run", ("run", name), _run(s), changes=True),
        "rollback": Action("Roll back", ("rollback", name), _rollback(s), changes=True),
        **{
            verb: Action(f"{verb.capitalize()} backfill", ("backfill", verb, name), why(s), changes)
            for verb, why, changes in BACKFILL
        },
        "validate": Action("Validate", ("validate",), _validate(s)),
    }


def _unreadable(s: Situation) -> str:
    if s.state == "broken":
        return f"the file cannot be read: {s.note}"
    return "its file is gone" if s.state == "missing" else ""


def _unapplied(s: Situation) -> str:
    if s.state in APPLIED:
        return "it is applied here already"
    if s.state == "partial":
        return "it is applied in part: Run continues it"
    return _unreadable(s)


def _dryrun(s: Situation) -> str:
    if why := _unapplied(s):
        return why
    if s.production:
        return "it would hold real locks on production: %qb dryrun --here does it all the same"
    return f"{s.earlier} comes first" if s.earlier else ""


def _rehearse(s: Situation) -> str:
    return _unapplied(s) or (f"{s.earlier} comes first" if s.earlier else "")


def _run(s: Situation) -> str:
    if why := _unreadable(s) or _running(s):
        return why
    if s.state == "edited":
        return "the file was edited after it was applied: restore it"
    if s.state in ("applied", "contracted"):
        return "it is applied here already"
    if s.state == "backfilling" or (s.state == "expanded" and s.fill != "completed"):
        return "it waits for its backfill"
    return f"{s.earlier} comes first" if s.earlier else ""


def _rollback(s: Situation) -> str:
    if why := _unreadable(s) or _running(s):
        return why
    if s.state == "pending":
        return "it is not applied here"
    if s.state == "partial":
        return "it is applied in part: Run continues it"
    if s.later:
        return f"{s.later} was applied after it: roll that back first"
    if s.fill in MOVING or s.fill == "paused":
        return f"its backfill is {s.fill}: cancel that first"
    return f"irreversible: {s.irreversible}" if s.irreversible else ""


def _running(s: Situation) -> str:
    return f"migrations are being run by {s.runner}" if s.runner else ""


def _backfill(s: Situation) -> str:
    if why := _unreadable(s):
        return why
    if not s.fill:
        return "this migration has no backfill"
    if s.state in ("pending", "partial"):
        return "run the migration first"
    if s.state == "contracted":
        return "what comes after it ran already"
    return ""


def _stands(s: Situation) -> str:
    return f"it {ENDED.get(s.fill) or f'is {s.fill}'}"


def _start(s: Situation) -> str:
    if why := _backfill(s):
        return why
    return "" if s.fill in ("not started", "failed", "cancelled") else _stands(s)


def _pause(s: Situation) -> str:
    if why := _backfill(s):
        return why
    return "" if s.fill in ("pending", "running") else _stands(s)


def _resume(s: Situation) -> str:
    if why := _backfill(s):
        return why
    return "" if s.fill == "paused" else _stands(s) + ("" if s.fill in ENDED else ", not paused")


def _cancel(s: Situation) -> str:
    if why := _backfill(s):
        return why
    return "" if s.fill in MOVING or s.fill == "paused" else _stands(s)


def _validate(s: Situation) -> str:
    return "" if s.anything_applied else "nothing is applied here yet"


BACKFILL: tuple[tuple[str, Callable[[Situation], str], bool], ...] = (
    ("start", _start, True),
    ("pause", _pause, False),
    ("resume", _resume, True),
    ("cancel", _cancel, False),
)
