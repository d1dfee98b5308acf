"""a file that may be looked at, read when somebody must know what it holds"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qb_engine.analysis.sheet import Sheet


@dataclass(frozen=True)
class Page:
    """A file that `read` makes a sheet of, once.

    `digest` stands for all that decides what it then is, besides its name; it is empty where its
    bytes do not tell. `chained` and `wanted` are as a sheet has them.
    """

    file: str
    digest: str
    read: Callable[[], Sheet]
    chained: bool = False
    wanted: bool = True

    @classmethod
    def of(cls, sheet: Sheet) -> Page:
        """The page of what was read already."""
        return cls(sheet.file, "", lambda: sheet, sheet.chained, sheet.wanted)

    @cached_property
    def sheet(self) -> Sheet:
        """What the file holds."""
        return replace(self.read(), chained=self.chained, wanted=self.wanted)
