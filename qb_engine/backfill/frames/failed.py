"""what a transform did wrong, placed in its file"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any, Literal

from qb_engine.errors import QbError

Fault = Literal["data", "code", "transient", "slow"]


class TransformFailed(QbError):
    """A transform raised something, or returned what cannot be written.

    `fault` says whose it is: of rows (`data`: an exception, or a value that its column cannot
    take), of the code whatever the rows are (`code`: no DataFrame, a column that is not there), or
    of something that was away (`transient`: the cause is an OSError, as those of the network are),
    or that took longer than rows may be locked for it (`slow`).
    """

    default_code = "bad-backfill"

    def __init__(
        self,
        what: str,
        *,
        where: str = "",
        why: str = "",
        todo: str = "",
        code: str = "",
        fault: Fault = "data",
        cause: BaseException | None = None,
    ) -> None:
        super().__init__(what, where=where, why=why, todo=todo, code=code)
        self.fault = fault
        self.cause = cause


def place(transform: Callable[..., Any], error: BaseException | None = None) -> str:
    """File and line of a transform: where it raised, or where it begins."""
    code = getattr(getattr(transform, "__func__", transform), "__code__", None)
    if code is None:
        return "transform in backfill.py"
    frames = traceback.extract_tb(error.__traceback__) if error is not None else []
    own = [frame.lineno for frame in frames if frame.filename == code.co_filename]
    return f"{code.co_filename}:{own[-1] if own else code.co_firstlineno}"
