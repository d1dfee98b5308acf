"""the worker's copy of a declaration: the user's Python, as it was when the backfill was started"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qb_engine.errors import RefusedError
from qb_engine.migrations import filling
from qb_engine.migrations.python_file import load_backfill

if TYPE_CHECKING:
    from qb_engine.backfill.spec import Spec
    from qb_engine.migrations.declaration import Backfill
    from qb_engine.project import Project


def load(project: Project, spec: Spec) -> Backfill:
    """Load the declaration of a backfill from the project's folder.

    Raise InputError when the file is broken, RefusedError when it is not there or says something
    else than what the ledger was told: rows written with it would not be like those before.
    """
    path = project.migrations / spec.id / "backfill.py"
    if not path.is_file():
        raise RefusedError(
            f"the Python of the backfill of {spec.id} is not here",
            where=str(path),
            why="its rows or its errors are dealt with by a method of the class in this file",
            todo="run the worker in a copy of the project that has the migration",
            code="edited-migration",
        )
    declared, _ = load_backfill(path)
    if filling.checksum(declared) != spec.checksum:
        raise RefusedError(
            f"backfill.py of {spec.id} is not the one that was started",
            where=str(path),
            why="rows before the cursor have the old form, those after it would get another one",
            todo="put the old form back, or bring this copy of the project up to date; "
            f"or begin again at the first row: qb backfill cancel {spec.id}, then "
            f"qb backfill start {spec.id} --restart",
            code="edited-migration",
        )
    return declared
