"""how each migration of a TypeORM project stands: read, recorded, or opaque, and why"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from qb_engine.errors import QbError
from qb_engine.migrations import Broken
from qb_engine.migrations.listing import is_script
from qb_engine.migrations.typescript.recordings import (
    Recording,
    Refusal,
    digest,
    kept_of,
    recordings_of,
    refusals_of,
)
from qb_engine.migrations.typescript.values import Query
from qb_engine.typeorm.recording import Step
from qb_engine.typeorm.unparsed import unparsed

if TYPE_CHECKING:
    from qb_engine.migrations import Entry, LoadedMigration, Migrations

How = Literal["read", "recorded", "opaque", "broken"]
DYNAMIC = "dynamic-migration"


@dataclass(frozen=True, slots=True)
class Standing:
    """One migration: how qb knows what it does, and how much that is.

    `applied` is None when nobody could be asked. `reason` and `line` say why it is opaque or
    broken; of one that is read, why there is no way back. `record` says which of its methods could
    be recorded; `tried`: that was in vain.
    """

    name: str
    path: Path
    how: How
    up: int = 0
    down: int = 0
    applied: bool | None = None
    reason: str = ""
    line: int = 0
    record: Literal["", "both", "down"] = ""
    notes: str = ""
    tried: bool = False


def survey(migrations: Migrations, applied: Collection[str] | None) -> tuple[Standing, ...]:
    """Every migration in order. `applied` are the names in TypeORM's history, if it was read."""
    kept, refused = recordings_of(migrations.folder), refusals_of(migrations.folder)
    found = (_standing(migrations, entry, applied) for entry in migrations.entries)
    found = (_back_recorded(each, kept.get(each.name)) for each in found)
    root = migrations.project.root
    return tuple(_tried(each, refused.get(each.name), root) for each in found)


def _back_recorded(standing: Standing, recording: Recording | None) -> Standing:
    """The same; of one whose way back alone was recorded that is said."""
    if recording is None or standing.how != "read" or not recording.down or not standing.down:
        return standing
    if recording.up is not None or recording.stale(standing.path):
        return standing
    return replace(standing, notes=f"its down was {recording.said}")


def _tried(standing: Standing, refusal: Refusal | None, root: Path) -> Standing:
    """The same, where recording it was tried in vain and its file is still what it was."""
    if refusal is None or not standing.record or refusal.raw != digest(standing.path):
        return standing
    reason = standing.reason
    if standing.how != "opaque" or not kept_of(standing.path, standing.name, root).tried:
        reason = "\n".join(filter(None, [reason, refusal.said]))  # else its error says so
    return replace(standing, reason=reason, tried=True)


def steps(migrations: Migrations, found: Iterable[Standing]) -> tuple[Step, ...]:
    """What has to be run in order so that those that ask for it can be recorded."""
    made = []
    for entry, standing in zip(migrations.entries, found):
        if standing.how == "broken" or (standing.how == "opaque" and not standing.record):
            continue
        loaded = migrations.loaded(entry)
        read = () if isinstance(loaded, Broken) else tuple(Query(each.sql) for each in loaded.up)
        path, class_name, transaction = entry.path, standing.name, None
        if standing.record:
            path, class_name, transaction = _class_of(entry)
        elif not isinstance(loaded, Broken) and not all(p.transaction for p in loaded.parts):
            transaction = False
        made.append(
            Step(
                standing.name,
                path,
                class_name,
                read,
                standing.record,
                transaction,
                bool(standing.applied),
                bool(standing.record) and _swallows(entry.path),
            )
        )
    return tuple(made)


def history_names(migrations: Migrations, entry: Entry) -> tuple[str, ...]:
    """What TypeORM calls a migration (the parts of a folder are several); none without a name."""
    loaded = migrations.loaded(entry)
    if not isinstance(loaded, Broken):
        return tuple(p.history_name for p in loaded.parts if p.history_name)
    from qb_engine.migrations.typescript_file import history_names as named

    try:
        return named(entry.path)
    except OSError:
        return ()


def _standing(migrations: Migrations, entry: Entry, applied: Collection[str] | None) -> Standing:
    loaded = migrations.loaded(entry)
    names = history_names(migrations, entry)
    there = None if applied is None else bool(names) and all(name in applied for name in names)
    name = names[0] if len(names) == 1 else entry.id
    if isinstance(loaded, Broken):
        return _unread(name, entry, loaded, there)
    recorded = "; ".join(dict.fromkeys(part.recorded for part in loaded.parts if part.recorded))
    reason = loaded.irreversible
    line = 0
    dynamic = False
    if reason and not entry.folder and is_script(entry.path.name):
        dynamic, line = _down_dynamic(entry, loaded)
    return Standing(
        name,
        entry.path,
        "recorded" if recorded else "read",
        len(loaded.up),
        len(loaded.down),
        there,
        f"no way back: {reason}" if reason else "",
        line,
        _again(entry, loaded) or ("down" if dynamic and not recorded else ""),
        recorded,
    )


def _again(entry: Entry, loaded: LoadedMigration) -> Literal["", "both"]:
    """What has to be recorded once more, since a file that it imports was edited."""
    outdated = any(part.outdated for part in loaded.parts)
    return "both" if outdated and not entry.folder else ""


def _unread(name: str, entry: Entry, broken: Broken, there: bool | None) -> Standing:
    error: QbError = broken.error
    last = error.where.rpartition(":")[2]
    line = int(last) if last.isdigit() else 0
    if error.code == DYNAMIC and not entry.folder:
        return Standing(
            name,
            entry.path,
            "opaque",
            applied=there,
            reason=error.why,
            line=line,
            record="both",
        )
    reason = _place(error) or (f"{error.what}: {error.why}" if error.why else error.what)
    how: How = "opaque" if error.code == DYNAMIC else "broken"
    return Standing(name, entry.path, how, applied=there, reason=reason, line=line)


def _place(error: QbError) -> str:
    """Where in its line a script does not parse, as a sentence; empty for any other error."""
    file, _, line = error.where.rpartition(":")
    if not line.isdigit() or not is_script(Path(file).name) or not Path(file).is_file():
        return ""
    place = unparsed(Path(file))
    if place is None or place.line != int(line):
        return ""
    shown = f' of "{place.text}"' if place.text else ""
    return f"the file does not parse, at column {place.column}{shown}"


def _down_dynamic(entry: Entry, loaded: LoadedMigration) -> tuple[bool, int]:
    """Whether the way back is there and cannot be read, and the line that makes it so."""
    from qb_engine.migrations.typescript import methods

    down = methods(entry.path, None, text=loaded.text, strict=False).down
    if down is None or down.unread is None:
        return False, 0
    return True, down.unread.line


def _swallows(path: Path) -> bool:
    """True when a method goes on where a statement fails."""
    from qb_engine.migrations.typescript import methods

    found = methods(path, strict=False)
    both = [each for each in (found.up, found.down) if each is not None]
    return any(each.unread is not None and each.unread.cause == "swallowed" for each in both)


def _class_of(entry: Entry) -> tuple[Path, str, bool | None]:
    from qb_engine.migrations.model import read_text
    from qb_engine.migrations.typescript import describe
    from qb_engine.migrations.typescript_file import the_class

    declared = the_class(describe(entry.path, read_text(entry.path)), entry.path)
    return entry.path, declared.class_name, declared.transaction
