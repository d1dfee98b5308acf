"""the last migration undone and applied again, with nobody in between"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qb_engine.runner.crew import at_work
from qb_engine.runner.request import Request
from qb_engine.runner.rollback import file_of, last_applied, undo
from qb_engine.runner.run import run_with

if TYPE_CHECKING:
    from qb_engine.execution.place import Place
    from qb_engine.runner.ran import Ran


def redo(
    place: Place, only: str | None = None, *, edited: bool = False, patience: float | None = None
) -> tuple[Ran, Ran]:
    """Roll back the last applied migration (or the one named), and run it; both ways' runs.

    Raise what `undo` and `run_with` raise. When the way forth fails, the way back stays.
    """
    with at_work(place, patience) as crew:
        name = only or last_applied(place, crew.control)
        down = undo(crew, file_of(place, name), edited=edited)
        request = Request(only=name, out_of_order=True)
        (up,) = run_with(crew, request)
    return down, up
