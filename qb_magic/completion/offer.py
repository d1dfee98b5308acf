"""one thing that completion offers, and the names it is chosen from"""

from __future__ import annotations

from dataclasses import dataclass, field

from qb_magic.catalogue import Catalogue


@dataclass(frozen=True)
class Offer:
    """A text to insert and the word for what it is."""

    text: str
    kind: str


@dataclass(frozen=True)
class Known:
    """The names of this project and target, as they were when last looked at."""

    migrations: tuple[str, ...] = ()
    drafts: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    catalogue: Catalogue = field(default_factory=Catalogue)
