"""Flyway: `V1_2__name.sql`, undone by `U1_2__name.sql`; `R__name.sql` runs whenever it changes

A baseline `B10__name.sql` stands for every version up to its own: it is run where none of these is
in the folder, and left out where they are, because running them makes the same schema.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from qb_engine.errors import InputError
from qb_engine.migrations import stamps
from qb_engine.migrations.formats.format import Format, Found, Seen, in_order, is_sql, stranger
from qb_engine.migrations.listing import Entry
from qb_engine.migrations.model import Part, read_text
from qb_engine.sql import Source, Statement, read

_NAME = re.compile(r"([VUB])(\d+(?:[._]\d+)*)__(.+)\.sql")
_REPEATABLE = re.compile(r"R__(.+)\.sql")
_SIGN = re.compile(r"^(?:[VUB]\d[\d._]*|R)__.*\.sql$")
_PLACEHOLDER = re.compile(r"\$\{[^}\n]*\}")
_SETTING = re.compile(r"^\s*(?:flyway\.)?(\w+)\s*=\s*(.*?)\s*$", re.MULTILINE)
_CALLBACK = re.compile(
    r"(?:before|after)(?:Each)?(?:Migrate|Versioned|Repeatables|Undo|Clean|Info|Validate|Baseline"
    r"|Repair|Connect|Deploy)\w*|createSchema|beforeCreateSchema"
)
CONF = ".conf"


@dataclass(frozen=True, slots=True)
class _Scripts:
    """The files of a folder by what their names say they are."""

    versioned: list[Entry]
    undo: list[Entry]
    baselines: list[Entry]
    repeatable: list[Entry]
    strange: list[Entry]
    notes: list[str]


def signs(seen: Seen) -> str:
    if name := seen.named(_SIGN):
        return name
    folders = (name for name in seen.folders if stamps.split(name) is None)
    below = (p for name in folders for p in sorted((seen.folder / name).rglob("*.sql")))
    return next((str(p.relative_to(seen.folder)) for p in below if _SIGN.match(p.name)), "")


def entries(folder: Path) -> Found:
    """Versioned ones by number, then the repeatable ones by name; folders below count, too."""
    scripts = _scripts(folder)
    versioned = in_order("Flyway", [*scripts.versioned, *_baseline(scripts)], _version)
    undo = {_version(entry): entry for entry in scripts.undo}
    found = [_with_undo(entry, undo) for entry in versioned]
    for entry in undo.values():
        why = "there is no V script of that version, so there is nothing to undo"
        found.append(stranger(entry.path, why, "write the way up, or remove the file"))
    repeatable = sorted(scripts.repeatable, key=lambda e: e.name)
    return Found((*found, *repeatable, *scripts.strange), tuple(scripts.notes))


def number(version: str) -> tuple[int, ...]:
    """A version as numbers; zeros at its end do not count."""
    parts = [int(part) for part in re.split(r"[._]", version)]
    while len(parts) > 1 and not parts[-1]:
        parts.pop()
    return tuple(parts)


def _version(entry: Entry) -> tuple[int, ...]:
    return number(entry.stamp)


def _scripts(folder: Path) -> _Scripts:
    found = _Scripts([], [], [], [], [], [])
    kinds = {"V": found.versioned, "U": found.undo, "B": found.baselines}
    for path in sorted(folder.rglob("*")):
        shown = path.relative_to(folder)
        if not is_sql(path.name) or any(part.startswith(".") for part in shown.parts):
            continue
        conf = path.with_name(path.name + CONF)
        files = (path, conf) if conf.is_file() else (path,)
        if named := _NAME.fullmatch(path.name):
            version = named[2].replace("_", ".")
            kinds[named[1]].append(Entry(path, path.stem, version, named[3], files=files))
        elif named := _REPEATABLE.fullmatch(path.name):
            entry = Entry(path, path.stem, "", named[1], files=files, repeatable=True)
            found.repeatable.append(entry)
        elif _CALLBACK.fullmatch(path.stem.partition("__")[0]):
            found.notes.append(f"{shown} is a callback of Flyway: qb does not run it")
        else:
            why = "Flyway takes V1__name.sql, U1__name.sql, R__name.sql: it overlooks this name"
            found.strange.append(stranger(path, why, "rename it; two underscores before the name"))
    return found


def _baseline(scripts: _Scripts) -> list[Entry]:
    """The last baseline, when the versions that it stands for are not there to be run."""
    if not scripts.baselines:
        return []
    *older, last = in_order("Flyway", scripts.baselines, _version)
    scripts.notes.extend(f"{e.path.name} is an older baseline: qb does not run it" for e in older)
    covered = [e for e in scripts.versioned if _version(e) <= _version(last)]
    if not covered:
        return [last]
    scripts.notes.append(
        f"{last.path.name} is a baseline: qb runs the versions that it stands for instead"
    )
    return []


def _with_undo(entry: Entry, undo: dict[tuple[int, ...], Entry]) -> Entry:
    found = undo.pop(_version(entry), None) if entry.problem is None else None
    return replace(entry, files=(*entry.files, *found.files)) if found else entry


def read_files(entry: Entry) -> tuple[Part, ...]:
    scripts = [path for path in entry.files if path.suffix != CONF]
    (up, transaction), *undo = (_read(path, entry) for path in scripts)
    down, back = undo[0] if undo else ((), None)
    part = Part(
        "migration", entry.path.name, up, down, transaction=transaction, down_transaction=back
    )
    return (part,)


def _read(path: Path, entry: Entry) -> tuple[tuple[Statement, ...], bool]:
    """A script's statements, and whether they run in a transaction."""
    conf = path.with_name(path.name + CONF)
    said = dict(_SETTING.findall(read_text(conf))) if conf in entry.files else {}
    text = read_text(path)
    if said.get("placeholderReplacement", "true").lower() != "false":
        _refuse_placeholders(text, path)
    return read(text, Source(str(path))), said.get("executeInTransaction", "").lower() != "false"


def _refuse_placeholders(text: str, path: Path) -> None:
    found = _PLACEHOLDER.search(text)
    if found is not None:
        raise InputError(
            f"{found[0]} is a placeholder",
            where=f"{path}:{text.count(chr(10), 0, found.start()) + 1}",
            why="Flyway puts a value of its configuration there, which qb does not read",
            todo="write the value into the SQL",
            code="broken-file",
        )


FORMAT = Format(
    name="flyway",
    form="V1_2__name.sql, undone by U1_2__name.sql; R__name.sql",
    signs=signs,
    entries=entries,
    read=read_files,
    table="flyway_schema_history",
)
