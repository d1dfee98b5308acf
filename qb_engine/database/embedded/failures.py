"""the operating system's refusals, as errors that say what qb was doing"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from qb_engine.errors import RefusedError, ServerError


@contextlib.contextmanager
def explained(doing: str, log: Path) -> Iterator[None]:
    """Turn an OSError inside (a full disk, a foreign folder) into an error of ours."""
    try:
        yield
    except PermissionError as error:
        raise RefusedError(
            f"cannot {doing}",
            where=str(error.filename or log),
            why=error.strerror or str(error),
            todo="see whom the folder belongs to, and work as that user",
            code="embedded-server",
        ) from error
    except OSError as error:
        raise ServerError(
            f"cannot {doing}",
            where=str(error.filename or log),
            why=f"{error.strerror or error} (its log is {log})",
            todo="free some space or mend the folder, then repeat the command",
            code="embedded-server",
        ) from error
