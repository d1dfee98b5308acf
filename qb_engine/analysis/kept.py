"""observations that are kept, by all that they depend on, so that the second look is instant

Each is a small file of JSON. What cannot be read is looked at again, and what cannot be written is
not kept: neither is anybody's trouble.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import json
import os
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import qb_engine
from qb_engine.analysis.changes import (
    Changed,
    Changes,
    ColumnState,
    ConstraintState,
    IndexState,
)
from qb_engine.analysis.facts import Facts, Figures, Provenance, Work, WorkKind
from qb_engine.analysis.standins import StandIn
from qb_engine.analysis.witnesses.claim import Claim
from qb_engine.execution.observation import Lock

KEEP = 20_000  # observations kept in one place; one of an ordinary file takes 1 kB
CLASSES = (
    Changed, Changes, Claim, ColumnState, ConstraintState, Facts, Figures, IndexState, Lock,
    Provenance, StandIn, Work, WorkKind,
)  # fmt: skip
_BY_NAME: Mapping[str, Any] = {each.__name__: each for each in CLASSES}
OBSERVING = ("analysis", "execution", "schema", "shadow", "sql")  # rooms that observations are of


@dataclass(frozen=True)
class Look:
    """What was seen of a file: the facts of its steps by their numbers, and what was made up.

    `lacking` says what the shadow lacks of the schema, as sentences.
    """

    facts: Mapping[int, Facts]
    stand_ins: tuple[StandIn, ...] = ()
    lacking: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Kept:
    """A folder of observations; None keeps nothing."""

    folder: Path | None = None

    def get(self, key: str) -> Look | None:
        """What was seen before; None when it was not, or cannot be read."""
        if self.folder is None:
            return None
        try:
            found = json.loads((self.folder / f"{key}.json").read_bytes())
            if found["key"] != key:
                return None
            facts = {int(number): _read(each) for number, each in found["facts"].items()}
            return Look(facts, _read(found["stand_ins"]), _read(found["lacking"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def put(self, key: str, look: Look) -> None:
        """Keep what was seen, if that can be done."""
        if self.folder is None:
            return
        facts = {str(number): _written(each) for number, each in look.facts.items()}
        whole = {
            "key": key,
            "facts": facts,
            "stand_ins": _written(look.stand_ins),
            "lacking": list(look.lacking),
        }
        part = self.folder / f"{key}.{secrets.token_hex(4)}.part"
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            part.write_text(json.dumps(whole), encoding="utf-8")
            part.replace(self.folder / f"{key}.json")
        except OSError:  # a full disk, a folder that may only be read: it is looked at again
            return

    def prune(self) -> None:
        """Leave the newest, when there are too many."""
        if self.folder is None:
            return
        try:
            with os.scandir(self.folder) as found:
                files = [(each.stat().st_mtime, each.path) for each in found]
            for _, path in sorted(files)[: max(len(files) - KEEP, 0)]:
                os.unlink(path)
        except OSError:  # somebody else prunes
            return


def key_of(parts: Iterable[str]) -> str:
    """A name for what depends on all of these, and on qb itself."""
    digest = hashlib.sha256(_ourselves().encode())
    for part in parts:
        digest.update(f"\0{len(part)}\0{part}".encode())
    return digest.hexdigest()[:40]


@cache
def _ourselves() -> str:
    """The code that observes: another qb may see more."""
    root = Path(qb_engine.__file__).parent
    digest = hashlib.sha256()
    for room in OBSERVING:
        with os.scandir(root / room) as found:
            for each in sorted(found, key=lambda e: e.name):
                if each.name.endswith(".py"):
                    seen = each.stat()
                    digest.update(f"{room}/{each.name} {seen.st_size} {seen.st_mtime_ns}".encode())
    return digest.hexdigest()


# -- values as JSON, and back ------------------------------------------------------------------


def _written(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return {"=": type(value).__name__, "value": str(value)}
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, tuple):
        return [_written(each) for each in value]
    if isinstance(value, frozenset):
        return {"=": "set", "of": sorted(value)}
    if isinstance(value, Mapping):
        return {"=": "map", "of": {key: _written(each) for key, each in value.items()}}
    name = type(value).__name__
    if name not in _BY_NAME:
        raise AssertionError(f"{name} is no part of an observation")
    found = {"=": name}
    for part in dataclasses.fields(value):
        own = getattr(value, part.name)
        empty = part.default_factory is not dataclasses.MISSING and not own
        if not empty and own != part.default:  # a field without a default differs from MISSING
            found[part.name] = _written(own)
    return found


def _read(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_read(each) for each in value)
    if not isinstance(value, dict):
        return value
    name = value["="]
    if name == "set":
        return frozenset(value["of"])
    if name == "map":
        return {key: _read(each) for key, each in value["of"].items()}
    if "value" in value:
        return _BY_NAME[name](value["value"])
    return _BY_NAME[name](**{key: _read(each) for key, each in value.items() if key != "="})
