"""the last migration undone and applied again, with nobody in between"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qb_engine import ledger
from qb_engine.errors import QbError
from qb_engine.runner.crew import at_work
from qb_engine.runner.request import Request
from qb_engine.runner.rollback import file_of, last_applied, undo
from qb_engine.runner.run import run_with

if TYPE_CHECKING:
    from qb_engine.execution.place import Place
    from qb_engine.runner.crew import Crew
    from qb_engine.runner.ran import Ran


def redo(
    place: Place, only: str | None = None, *, edited: bool = False, patience: float | None = None
) -> tuple[Ran, Ran]:
    """Roll back the last applied migration (or the one named), and run it; both ways' runs.

    Raise what `undo` and `run_with` raise. When the way forth fails, the way back stays: the error
    says so, and the schema is kept as it is then.
    """
    with at_work(place, patience) as crew:
        name = only or last_applied(place, crew.control)
        down = undo(crew, file_of(place, name), edited=edited)
        request = Request(only=name, out_of_order=True)
        try:
            (up,) = run_with(crew, request)
        except QbError as error:
            error.why += f"\nits way back had run before, and stays: {name} was rolled back"
            _keep_schema(crew, name)
            raise
        if up.status == "not met":
            _keep_schema(crew, name)
    return down, up


def _keep_schema(crew: Crew, name: str) -> None:
    """Record what the schema is without what did not come back."""
    if not crew.control.closed:
        crew.keep_schema(ledger.history(crew.control, name)[0].run)
