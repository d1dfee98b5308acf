"""what migrations sent when they were run on a scratch database, kept beside them in one file

`qb typeorm import --allow-execution` writes it. A recording stands for the bytes of one file: when
these change it says nothing any more. When a file that it imports changes, it may not be what the
migration would send now.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qb_engine import secrets
from qb_engine.errors import InputError
from qb_engine.migrations.typescript.imported import imported
from qb_engine.migrations.typescript.values import Query

FILE = "qb-recorded.json"
VERSION = 1


@dataclass(frozen=True, slots=True)
class Recording:
    """What the methods of a migration class sent; None for one that was not recorded.

    `raw` is the SHA-256 of the file's bytes. `irreversible` says why `down` was not recorded.
    `notes` are the conditions under which it sent this: what it saw of the schema. `imports` are
    the project's files that it reaches, from the file's own folder, with the SHA-256 of each.
    """

    name: str
    file: str  # from the folder of migrations
    raw: str
    up: tuple[Query, ...] | None
    down: tuple[Query, ...] | None = None
    irreversible: str = ""
    typeorm: str = ""
    notes: tuple[str, ...] = ()
    imports: Mapping[str, str] = field(default_factory=dict)

    def edited(self, path: Path) -> str:
        """A file that it imports and that is not what it was; empty when all of them are."""
        home = path.resolve().parent
        changed = (name for name, raw in self.imports.items() if digest(home / name) != raw)
        return next(changed, "")

    def stale(self, path: Path) -> bool:
        """True when the file is not the one that was recorded any more."""
        return digest(path) != self.raw

    @property
    def said(self) -> str:
        """How it came about, in a few words."""
        by = f"recorded from TypeORM {self.typeorm}" if self.typeorm else "recorded"
        return f"{by}: {'; '.join(self.notes)}" if self.notes else by


@dataclass(frozen=True, slots=True)
class Refusal:
    """A migration that was run and cannot be recorded: why, and of which bytes that is true."""

    raw: str
    why: str

    @property
    def said(self) -> str:
        """The same in a sentence, as an error would have it: without what is secret."""
        return secrets.mask(f"recording it was tried: {self.why}")


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of a migration: its recording; without one, why, and whether it was `tried`."""

    recording: Recording | None = None
    why: str = ""
    tried: bool = False


def digest(path: Path) -> str:
    """The SHA-256 of a file's bytes; empty when it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def imports_of(path: Path) -> Mapping[str, str]:
    """The files that a migration imports, as a recording of it keeps them."""
    return {name: digest(each) for name, each in imported(path).items()}


def recordings_of(folder: Path) -> Mapping[str, Recording]:
    """The recordings of a folder of migrations, by class; none when there is no such file.

    Raise InputError when the file is not what qb wrote.
    """
    return _held(folder)[0]


def refusals_of(folder: Path) -> Mapping[str, Refusal]:
    """What was tried in vain, by class. Raise InputError when the file is not what qb wrote."""
    return _held(folder)[1]


def kept_of(path: Path, name: str, root: Path) -> Kept:
    """What is kept of the class in a file, in its folder or above it, up to `root`.

    What was recorded or tried with another text of the file says nothing. Raise InputError when
    the file of recordings is not what qb wrote.
    """
    for folder in path.absolute().parents:
        if (folder / FILE).is_file():
            recordings, refusals = _held(folder)
            found, refused = recordings.get(name), refusals.get(name)
            if found is not None and not found.stale(path):
                return Kept(found)
            if found is not None:
                return Kept(why=f"what {FILE} holds was recorded from another text of this file")
            if refused is not None and refused.raw == digest(path):
                return Kept(why=refused.said, tried=True)
        if folder.resolve() == root.resolve():
            break
    return Kept()


def _held(folder: Path) -> tuple[dict[str, Recording], dict[str, Refusal]]:
    path = folder / FILE
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}, {}
    except (OSError, ValueError) as error:
        raise _broken(path, str(error)) from None
    try:
        if data["version"] != VERSION:
            raise _broken(path, f"it has version {data['version']}, and this qb knows {VERSION}")
        return (
            {name: _read(name, each) for name, each in data["migrations"].items()},
            {name: Refusal(e["sha256"], e["why"]) for name, e in data.get("refused", {}).items()},
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise _broken(path, f"it lacks what belongs there: {error}") from None


def write(
    folder: Path, recordings: Mapping[str, Recording], refused: Mapping[str, Refusal] | None = None
) -> Path:
    """Keep these in place of what is there; the file, whole or not at all.

    Reasons are what the project's code and the server said, and are written without passwords.
    """
    path = folder / FILE
    data: dict[str, Any] = {
        "version": VERSION,
        "migrations": {name: _written(recordings[name]) for name in sorted(recordings)},
    }
    if refused:
        data["refused"] = {
            name: {"sha256": refused[name].raw, "why": secrets.mask(refused[name].why)}
            for name in sorted(refused)
        }
    text = json.dumps(data, indent=2, ensure_ascii=False) + "\n"
    new = path.with_name(f".{FILE}.{os.getpid()}")
    try:
        new.write_text(text, encoding="utf-8")
        new.replace(path)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise InputError(
            "the recordings cannot be written",
            where=str(path),
            why=str(error),
            todo="see that you may write in the folder of migrations",
            code="bad-value",
        ) from None
    return path


def _written(one: Recording) -> dict[str, Any]:
    return {
        "file": one.file,
        "sha256": one.raw,
        "typeorm": one.typeorm,
        "notes": list(one.notes),
        "up": _sent(one.up),
        "down": _sent(one.down),
        "irreversible": secrets.mask(one.irreversible),
        "imports": dict(one.imports),
    }


def _sent(queries: tuple[Query, ...] | None) -> list[dict[str, Any]] | None:
    if queries is None:
        return None
    return [
        {"sql": q.sql} | ({} if q.parameters is None else {"parameters": list(q.parameters)})
        for q in queries
    ]


def _read(name: str, data: dict[str, Any]) -> Recording:
    return Recording(
        name,
        data["file"],
        data["sha256"],
        _queries(data["up"]),
        _queries(data["down"]),
        data["irreversible"],
        data["typeorm"],
        tuple(data["notes"]),
        dict(data["imports"]),
    )


def _queries(data: list[dict[str, Any]] | None) -> tuple[Query, ...] | None:
    if data is None:
        return None
    return tuple(
        Query(each["sql"], tuple(given) if (given := each.get("parameters")) is not None else None)
        for each in data
    )


def _broken(path: Path, why: str) -> InputError:
    return InputError(
        f"{FILE} cannot be read",
        where=str(path),
        why=why,
        todo="delete it, and record again: qb typeorm import --allow-execution",
        code="broken-file",
    )
