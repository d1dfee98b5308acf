"""what was observed and said is kept, by all that it depends on, so that a second look is instant

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
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import qb_engine
from qb_engine.analysis.changes import (
    Changed,
    Changes,
    ColumnState,
    ConstraintState,
    IndexState,
)
from qb_engine.analysis.facts import Facts, Figures, Provenance, Work, WorkKind
from qb_engine.analysis.hazards.hazard import Finding, Severity
from qb_engine.execution.observation import Lock
from qb_engine.secrets import mask

if TYPE_CHECKING:
    from qb_engine.analysis.standins import StandIn

KEEP = 20_000  # observations kept in one place; one of an ordinary file takes 1 kB
# rooms that neither looks nor what is said of them are of
APART = ("ledger", "runner", "backfill", "rehearsal", "catalogue", "__pycache__")
UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError)
SAID = tuple(each.name for each in dataclasses.fields(Finding))


@dataclass(frozen=True)
class Look:
    """What was seen of a file: the facts of its steps by their numbers, and what was made up.

    `lacking` says what the shadow lacks of the schema, as sentences.
    """

    facts: Mapping[int, Facts]
    stand_ins: tuple[StandIn, ...] = ()
    lacking: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Said:
    """What was said of a file of so many statements."""

    file: str
    statements: int
    findings: tuple[Finding, ...]
    lacking: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Kept:
    """A folder of observations, and of what was said of them; None keeps nothing."""

    folder: Path | None = None

    def get(self, key: str) -> Look | None:
        """What was seen before; None when it was not, or cannot be read."""
        try:
            if (found := self._found(key)) is None:
                return None
            facts = {int(number): _read(each) for number, each in found["facts"].items()}
            return Look(facts, _read(found["stand_ins"]), _read(found["lacking"]))
        except UNREADABLE:
            return None

    def put(self, key: str, look: Look) -> None:
        """Keep what was seen, if that can be done."""
        if self.folder is None:
            return
        facts = {str(number): _written(each) for number, each in look.facts.items()}
        found = {"facts": facts, "stand_ins": _written(look.stand_ins)}
        self._keep(key, {**found, "lacking": look.lacking})

    def said(self, key: str) -> Said | None:
        """What was said before; None when nothing was, the key is empty, or it cannot be read."""
        try:
            if not key or (found := self._found(key)) is None:
                return None
            findings = tuple(_finding(each) for each in found["findings"])
            return Said(found["file"], found["statements"], findings, tuple(found["lacking"]))
        except UNREADABLE:
            return None

    def say(self, key: str, said: Said) -> None:
        """Keep what was said, unless it holds a secret or its key is empty."""
        if self.folder is None or not key:
            return
        findings = [[getattr(each, name) for name in SAID] for each in said.findings]
        found = {"file": said.file, "statements": said.statements, "findings": findings}
        if mask(text := json.dumps(findings, ensure_ascii=False)) == text:
            self._keep(key, {**found, "lacking": said.lacking})

    def _found(self, key: str) -> Mapping[str, Any] | None:
        if self.folder is None:
            return None
        found: Mapping[str, Any] = json.loads((self.folder / f"{key}.json").read_bytes())
        return found if found["key"] == key else None

    def _keep(self, key: str, found: Mapping[str, Any]) -> None:
        if self.folder is None:
            return
        part = self.folder / f"{key}.{secrets.token_hex(4)}.part"
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            part.write_text(json.dumps({"key": key, **found}), encoding="utf-8")
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
    """The code that observes and judges: another qb may see more, or say it otherwise."""
    root = os.path.dirname(qb_engine.__file__)
    digest = hashlib.sha256()
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(each for each in folders if each not in APART)
        for name in sorted(names):
            seen = os.stat(os.path.join(folder, name))
            digest.update(f"{folder}/{name} {seen.st_size} {seen.st_mtime_ns}\n".encode())
    return digest.hexdigest()


# -- values as JSON, and back ------------------------------------------------------------------


@cache
def _classes() -> Mapping[str, Any]:
    """What an observation is made of, by name."""
    from qb_engine.analysis.standins import StandIn
    from qb_engine.analysis.witnesses.claim import Claim

    classes = (
        Changed, Changes, Claim, ColumnState, ConstraintState, Facts, Figures, IndexState, Lock,
        Provenance, StandIn, Work, WorkKind,
    )  # fmt: skip
    return {each.__name__: each for each in classes}


def _finding(values: Sequence[Any]) -> Finding:
    found = dict(zip(SAID, values, strict=True))
    found["severity"] = Severity(found["severity"])
    return Finding(**{**found, "provenance": Provenance(found["provenance"])})


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
    if name not in _classes():
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
        return _classes()[name](value["value"])
    return _classes()[name](**{key: _read(each) for key, each in value.items() if key != "="})
