"""diesel: a folder per migration with `up.sql`, `down.sql` and, seldom, `metadata.toml`"""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

from qb_engine.errors import InputError
from qb_engine.migrations.formats.format import (
    SAMPLED,
    Format,
    Found,
    Seen,
    in_order,
    is_sql,
    stranger,
)
from qb_engine.migrations.listing import Entry
from qb_engine.migrations.model import Part, read_text
from qb_engine.project import line_of
from qb_engine.sql import Source, read

UP, DOWN, METADATA = "up.sql", "down.sql", "metadata.toml"


def signs(seen: Seen) -> str:
    names = seen.folders[:SAMPLED]
    return next((f"{name}/{UP}" for name in names if (seen.folder / name / UP).is_file()), "")


def entries(folder: Path) -> Found:
    """The folders in the order of their versions, in which dashes do not count."""
    seen = Seen.of(folder)
    found, notes = [], []
    for name in seen.folders:
        version, _, short = name.partition("_")
        path = folder / name
        files = [path / each for each in (UP, DOWN, METADATA) if (path / each).is_file()]
        entry = Entry(path, name, version.replace("-", ""), short or version, True, tuple(files))
        others = [each.name for each in sorted(path.iterdir()) if is_sql(each.name)]
        others = [each for each in others if each not in (UP, DOWN)]
        if UP not in [each.name for each in files]:
            entry = replace(entry, problem=_without_up(path, others))
        elif others:
            notes.append(f"{name}: diesel does not run {', '.join(others)}, nor does qb")
        found.append(entry)
    why = "diesel takes only folders that hold an up.sql: it overlooks this file"
    todo = "put it into a folder of its own as up.sql, or move it away"
    strange = (stranger(folder / name, why, todo) for name in seen.files if is_sql(name))
    return Found((*in_order("diesel", found, lambda e: e.stamp), *strange), tuple(notes))


def _without_up(path: Path, others: list[str]) -> InputError:
    return InputError(
        "the folder holds no up.sql",
        where=str(path),
        why=f"it holds {', '.join(others)}, which diesel does not run" if others else "",
        todo=f"rename {others[0]} to up.sql" if len(others) == 1 else "write one, or remove it",
        code="broken-file",
    )


def read_folder(entry: Entry) -> tuple[Part, ...]:
    path = entry.path
    up = read(read_text(path / UP), Source(str(path / UP)))
    if not up:
        raise InputError(
            "up.sql holds no statement", where=str(path / UP), todo="write one", code="broken-file"
        )
    down = path / DOWN
    back = read(read_text(down), Source(str(down))) if down in entry.files else ()
    metadata = path / METADATA
    transaction = _transaction(metadata) if metadata in entry.files else True
    return (Part("migration", UP, up, back, transaction=transaction),)


def _transaction(path: Path) -> bool:
    text = read_text(path)
    try:
        said = tomllib.loads(text).get("run_in_transaction", True)
    except tomllib.TOMLDecodeError as error:
        raise InputError(
            "the file is not valid TOML",
            where=str(path),
            why=str(error),
            todo="mend the line",
            code="broken-file",
        ) from None
    if not isinstance(said, bool):
        line = line_of(text, "run_in_transaction")
        raise InputError(
            f"run_in_transaction is {said!r}",
            where=f"{path}:{line}",
            todo="write true or false",
            code="broken-file",
        )
    return said


FORMAT = Format(
    name="diesel",
    form="2024-03-15-103000_name/ with up.sql and down.sql",
    signs=signs,
    entries=entries,
    read=read_folder,
    table="__diesel_schema_migrations",
)
