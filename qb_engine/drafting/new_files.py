"""files that are written where there were none, and taken back when something goes wrong"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from qb_engine.errors import InputError


def remove(paths: Iterable[Path]) -> None:
    """Take back what was written: files, or a folder and all that is in it."""
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def there_already(path: Path) -> InputError:
    """The error for a file that would be written over."""
    return InputError(
        "the file is there already",
        where=str(path),
        why="qb never writes over a file",
        todo="give the migration another name, or remove the file",
        code="file-exists",
    )
