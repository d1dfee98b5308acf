"""what came of a draft, and the proof that the file says what was drafted"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qb_engine.drafting.derive import Derived, WayBack
from qb_engine.drafting.pieces import Piece
from qb_engine.errors import InputError
from qb_engine.migrations import LoadedMigration
from qb_engine.sql.tree import equal


@dataclass(frozen=True)
class Generated:
    """A migration that was written: its file (or folder and files), and what was inferred."""

    id: str
    paths: tuple[Path, ...]
    text: str
    constraints: Mapping[str, Any]
    down: tuple[str, ...] = ()
    irreversible: str = ""
    loses: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    proven: bool = False  # the way back ran on a scratch and left the schema as it was


def compare(pieces: Sequence[Piece], loaded: LoadedMigration) -> None:
    """Raise InputError when the file says other statements than the draft."""
    written = {part.kind: part for part in loaded.parts}
    for piece in pieces:
        up = written[piece.part].up if piece.part in written else ()
        if len(up) != len(piece.up) or not all(
            equal(one.node, other.node) for one, other in zip(up, piece.up)
        ):
            raise InputError(
                f"the {piece.part} of {loaded.id} does not read back as it was drafted",
                where=str(loaded.path),
                why="the written file would run other statements than the draft",
                todo="write the migration by hand",
                code="bad-draft",
            )


def notes(derived: Derived, ways: Iterable[WayBack]) -> tuple[str, ...]:
    lost = [f"down does not bring back {each}" for way in ways for each in way.loses]
    return (*derived.notes, *dict.fromkeys(lost))
