"""what another tool recorded, mapped to the project's migrations"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from qb_engine.errors import InputError, RefusedError
from qb_engine.ledger import typeorm
from qb_engine.ledger.foreign import TOOLS, Record, Tool, read
from qb_engine.migrations import stamps
from qb_engine.migrations.formats import flyway

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.migrations import Entry, Migrations


@dataclass(frozen=True, slots=True)
class Taken:
    """A migration that counts as applied, and the record that says so (its own, or a later one)."""

    entry: Entry
    record: Record | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Import:
    """What would be taken over: `taken` in order, `gaps` that stay pending, `unknown` versions.

    `edited` are migrations whose files are not those that were applied.
    """

    tool: str
    table: str
    taken: tuple[Taken, ...]
    gaps: tuple[Entry, ...] = ()
    unknown: tuple[str, ...] = ()
    edited: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.unknown and not self.edited


def tool_named(name: str | None, migrations: Migrations) -> Tool:
    """A tool by name; without one, that of the folder's format. Raise InputError."""
    name = name or migrations.format
    if name not in TOOLS:
        raise InputError(
            f"{name!r} is no tool whose history qb reads",
            where=str(migrations.folder),
            why=f"it reads those of {', '.join(TOOLS)}",
            todo="name it: qb import-history --from TOOL",
            code="unknown-format",
        )
    return TOOLS[name]


def proposed(
    conn: Connection, tool: Tool, migrations: Migrations, table: str | None = None
) -> Import:
    """What a tool recorded here, as the project's migrations. Nothing is written.

    Raise RefusedError for a migration that did not end well.
    """
    if tool.name == "typeorm" and table is None:
        table = ".".join(filter(None, typeorm.named(migrations.project.config.typeorm)))
    records = read(conn, tool, table)
    for record in records:
        if not record.whole:
            raise _dirty(tool, record)
    names: dict[str, Entry] = {}
    if tool.name == "typeorm":
        for entry in migrations.entries:
            names |= dict.fromkeys(migrations.names_in_history(entry).values(), entry)
    return matched(tool.name, table or tool.table, records, migrations.entries, names)


def matched(
    tool: str,
    table: str,
    records: Sequence[Record],
    entries: Sequence[Entry],
    names: Mapping[str, Entry] = MappingProxyType({}),
) -> Import:
    """Records as entries; pure but for the bytes that Flyway's checksums are of.

    `names` are what the tool itself calls migrations, where that is all it goes by: another one
    with the same version is not the same migration.
    """
    stands = [entry for entry in entries if entry.stamp or entry.repeatable]
    by_key: dict[object, Entry] = {}
    called = set(names.values())
    for entry in reversed(stands):
        if entry not in called:
            by_key[_of_entry(tool, entry)] = entry
    found: dict[str, Taken] = {}
    unknown: list[str] = []
    edited: list[str] = []
    for record in records:
        named = names.get(record.name) or by_key.get(_of_record(tool, record))
        if named is not None:
            changed = _changed(tool, named, record)
            if changed and named.repeatable:
                continue  # as it is now it did not run yet
            if changed:
                edited.append(named.id)
            found[named.id] = Taken(named, record, "its file was edited since" if changed else "")
        elif not (record.kind == "head" and tool == "flyway"):  # a baseline needs no file
            name = f"{record.name} ({record.version})" if record.name else record.version
            unknown.append(name)
        if record.kind == "head":
            for each in _before(tool, record, named, stands):
                found.setdefault(each.id, Taken(each, note=f"comes before {record.version}"))
    taken = tuple(found[entry.id] for entry in stands if entry.id in found)
    last = max((at for at, e in enumerate(stands) if e.id in found and not e.repeatable), default=0)
    gaps = tuple(e for e in stands[:last] if e.id not in found and not e.repeatable)
    return Import(tool, table, taken, gaps, tuple(unknown), tuple(edited))


def _before(tool: str, record: Record, head: Entry | None, stands: Sequence[Entry]) -> list[Entry]:
    """What a head stands for besides itself."""
    if tool == "alembic":
        return _ancestors(head, stands) if head is not None else []
    if tool == "flyway":
        limit = flyway.number(record.version)
        return [e for e in stands if e.stamp and flyway.number(e.stamp) <= limit]
    return [e for e in stands if e.stamp.isdigit() and int(e.stamp) <= int(record.version)]


def _ancestors(head: Entry, stands: Sequence[Entry]) -> list[Entry]:
    known = {entry.id: entry for entry in stands}
    todo = list(head.requires)
    found: dict[str, Entry] = {}
    while todo:
        if (entry := known.get(todo.pop())) is not None and entry.id not in found:
            found[entry.id] = entry
            todo += entry.requires
    return list(found.values())


def _of_entry(tool: str, entry: Entry) -> object:
    """What identifies a migration to a tool."""
    if entry.repeatable:
        return entry.path.name
    if tool == "sqitch":
        return entry.name, entry.stamp
    return _version(tool, entry.stamp)


def _of_record(tool: str, record: Record) -> object:
    if record.kind == "repeatable":
        return record.version.rpartition("/")[2]
    if tool == "sqitch":
        return record.name, record.version
    return _version(tool, record.version)


def _version(tool: str, text: str) -> object:
    """A version as the tool compares it."""
    as_tool: dict[str, Callable[[str], object]] = {
        "flyway": flyway.number,
        "golang-migrate": int,
        "goose": int,
        "typeorm": stamps.moment,
        "diesel": lambda version: version.replace("-", ""),
    }
    try:
        return as_tool.get(tool, str)(text)
    except ValueError:
        return text


def _changed(tool: str, entry: Entry, record: Record) -> bool:
    """True when a file is not the one that Flyway applied; other tools keep no checksum."""
    if tool != "flyway" or record.checksum is None:
        return False
    return flyway_checksum(entry.path.read_bytes()) != record.checksum


def flyway_checksum(data: bytes) -> int:
    """The checksum that Flyway records: CRC32 of the lines without their ends, signed."""
    text = data.decode("utf-8", "replace").removeprefix("\ufeff")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    value = zlib.crc32("".join(lines).encode())
    return value - (1 << 32) if value >= 1 << 31 else value


def _dirty(tool: Tool, record: Record) -> RefusedError:
    settle = {
        "golang-migrate": f"migrate force {record.version}",
        "flyway": "flyway repair",
    }.get(tool.name, tool.name)
    return RefusedError(
        f"{tool.name} left version {record.version} dirty",
        where=tool.name,
        why="nobody knows how much of it is applied",
        todo=f"finish or undo its work, then say so: {settle}; then import again",
        code="foreign-history",
    )


def refuse_differences(found: Import, where: str) -> None:
    """Raise RefusedError for versions without a file, and for files that were edited."""
    if found.ok:
        return
    why = []
    if found.unknown:
        why.append(f"applied, and no file has the version: {', '.join(found.unknown)}")
    if found.edited:
        why.append(f"edited after they were applied: {', '.join(found.edited)}")
    raise RefusedError(
        f"what {found.tool} applied is not what the folder holds",
        where=where,
        why="\n".join(why),
        todo="bring the files back; or go on all the same with --accept-differences",
        code="foreign-history",
    )


def remarks(found: Import) -> list[str]:
    """What is to be known besides what is taken over."""
    said = [
        f"{version} was applied by {found.tool}, and no file has it" for version in found.unknown
    ]
    if found.gaps:
        names = ", ".join(entry.id for entry in found.gaps)
        said.append(
            f"not applied by {found.tool} although later ones are: {names}; they stay pending, and"
            " run only with --allow-out-of-order"
        )
    return said


def origin(taken: Taken) -> dict[str, Any]:
    """When, by whom and how long, as far as the tool knows."""
    record = taken.record
    if record is None:
        return {"note": taken.note}
    return {"at": record.at, "who": record.who, "seconds": record.seconds, "note": taken.note}
