"""sqitch: the changes of `sqitch.plan`, deployed and reverted by scripts of their names"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

from qb_engine.errors import InputError
from qb_engine.migrations.formats.format import Format, Found, Seen, is_sql
from qb_engine.migrations.listing import Entry
from qb_engine.migrations.model import Expectation, Part, read_text
from qb_engine.sql import Source, SqlError, Statement, read_framed

PLAN, CONF = "sqitch.plan", "sqitch.conf"
DIRECTORIES = ("deploy", "revert", "verify")
_SECTION = re.compile(r'\s*\[\s*([\w.-]+)(?:\s+"([^"]*)")?\s*\]')
_KEY = re.compile(r"\s*(\w+)\s*=\s*(.*?)\s*$")
_LINE = re.compile(
    r"\s*(?P<sign>[@+-]?)\s*(?P<name>[^\s\[\]#@:]+)"
    r"(?:\s+\[(?P<deps>[^\]]*)\])?"
    r"\s+(?P<at>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)\s+(?P<who>[^<]*<[^>]*>)\s*(?:#.*)?"
)


@dataclass
class _Change:
    """A line of the plan; `tags` are those between it and the line that reworks it."""

    name: str
    at: str
    line: int
    needs: tuple[str, ...]
    id: str = ""
    tags: list[str] = field(default_factory=list)
    reworked: bool = False


@dataclass(frozen=True, slots=True)
class _Scripts(Entry):
    """A change with its scripts; `path` is the one that deploys it."""

    revert: Path | None = None
    verify: Path | None = None


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the plan and the scripts are."""

    plan: Path
    directories: dict[str, Path]
    extension: str

    def script(self, kind: str, change: _Change) -> Path:
        """The script of a change; one that was reworked has a name with the tag before that."""
        names = [f"{change.name}@{tag}" for tag in change.tags] if change.reworked else []
        paths = [self.directories[kind] / f"{n}.{self.extension}" for n in names or [change.name]]
        return next((path for path in paths if path.is_file()), paths[0])


def signs(seen: Seen) -> str:
    return next((name for name in (PLAN, CONF) if name in seen.files), "")


def entries(folder: Path) -> Found:
    """The changes in the order of the plan."""
    layout = _layout(folder)
    if not layout.plan.is_file():
        raise InputError(
            "there is no sqitch.plan", where=str(layout.plan), todo="write one", code="broken-file"
        )
    changes = plan(read_text(layout.plan), layout.plan)
    known: dict[str, str] = {}
    found = []
    for change in changes:
        found.append(_entry(change, layout, known))
        known[change.name] = change.id
    taken = {path for entry in found for path in entry.files}
    notes = [
        f"{entry.verify.relative_to(folder)} is not asked: it does more than read"
        for entry in found
        if entry.verify is not None and not _asked(entry.verify)
    ]
    for kind in DIRECTORIES:
        for path in sorted(layout.directories[kind].rglob("*")):
            if is_sql(path.name) and path not in taken:
                notes.append(f"{path.relative_to(folder)} is not in the plan: nobody runs it")
    return Found(tuple(found), tuple(notes))


def plan(text: str, path: Path) -> list[_Change]:
    """The changes of a plan. Raise InputError with the line for one that sqitch would not take."""
    found: list[_Change] = []
    last: dict[str, _Change] = {}
    count: dict[str, int] = {}
    for line, said in enumerate(text.splitlines(), 1):
        if not said.strip() or said.lstrip().startswith(("#", "%")):
            continue
        named = _LINE.fullmatch(said)
        if named is None or named["sign"] == "-":
            raise InputError(
                "the line is no change and no tag",
                where=f"{path}:{line}",
                why=said.strip(),
                todo="write: name [needs] 2024-03-15T10:30:00Z Planner <mail>  # note",
                code="broken-file",
            )
        name = named["name"]
        if named["sign"] == "@":
            for each in last.values():
                each.tags.append(name)
            continue
        change = _Change(name, named["at"], line, tuple((named["deps"] or "").split()))
        if name in last:
            if not last[name].tags:
                raise InputError(
                    f"{name} stands twice without a tag between",
                    where=f"{path}:{line}",
                    why=f"the first is on line {last[name].line}: both would have one script",
                    todo="remove one of them, or tag the plan before it is reworked",
                    code="broken-file",
                )
            last[name].reworked = True
        count[name] = count.get(name, 0) + 1
        # the first keeps its name when it is reworked later, so that history still means it
        change.id = name if count[name] == 1 else f"{name}#{count[name]}"
        last[name] = change
        found.append(change)
    return found


def _entry(change: _Change, layout: _Layout, known: dict[str, str]) -> _Scripts:
    deploy, revert, verify = (layout.script(kind, change) for kind in DIRECTORIES)
    files = tuple(path for path in (deploy, revert, verify) if path.is_file())
    entry = _Scripts(
        deploy, change.id, change.at, change.name, files=files,
        revert=revert if revert in files else None, verify=verify if verify in files else None,
    )  # fmt: skip
    requires, unknown = [], []
    for need in change.needs:
        name = need.partition("@")[0]
        if need.startswith("!") or ":" in need or not name:
            continue  # a conflict, another project's change, a tag: nothing to wait for in here
        if name in known:
            requires.append(known[name])
        else:
            unknown.append(name)
    if unknown:
        error = InputError(
            f"{change.name} needs {', '.join(unknown)}",
            where=f"{layout.plan}:{change.line}",
            why="the plan holds it later, or not at all",
            todo="mend the order of the plan",
            code="broken-file",
        )
        return replace(entry, problem=error)
    if deploy not in files:
        error = InputError(
            f"{change.name} has no deploy script",
            where=str(deploy),
            why=f"{layout.plan.name}:{change.line} names it",
            todo="write the script, or remove the line",
            code="broken-file",
        )
        return replace(entry, problem=error)
    return replace(entry, requires=tuple(requires))


def _layout(folder: Path) -> _Layout:
    said = _configured(folder / CONF) if (folder / CONF).is_file() else {}
    top = folder / said.get("top_dir", ".")
    directories = {
        kind: folder / said[f"{kind}_dir"] if f"{kind}_dir" in said else top / kind
        for kind in DIRECTORIES
    }
    plan = folder / said["plan_file"] if "plan_file" in said else top / PLAN
    return _Layout(plan, directories, said.get("extension", "sql"))


def _configured(path: Path) -> dict[str, str]:
    """What sqitch.conf says of PostgreSQL's engine, else of the core."""
    core: dict[str, str] = {}
    engine: dict[str, str] = {}
    section = ""
    for line in read_text(path).splitlines():
        if line.lstrip().startswith(("#", ";")):
            continue
        if named := _SECTION.match(line):
            section = f"{named[1]} {named[2]}" if named[2] else named[1]
        elif said := _KEY.match(line):
            kept = {"core": core, "engine pg": engine, "core pg": engine}.get(section)
            if kept is not None:
                kept[said[1]] = said[2].strip('"')
    return {**core, **engine}


def read_scripts(entry: Entry) -> tuple[Part, ...]:
    """The scripts; without a BEGIN and COMMIT around one, psql commits every statement alone.

    The queries of the verify script are expected to work, in the migration's own transaction.
    """
    assert isinstance(entry, _Scripts), "entries of sqitch know their scripts"
    up, framed = _read(entry.path)
    down, back = _read(entry.revert) if entry.revert else ((), framed)
    expect = _asked(entry.verify) if entry.verify else ()
    part = Part(
        "migration", entry.path.name, up, down,
        transaction=framed, down_transaction=back, expect=expect,
    )  # fmt: skip
    return (part,)


def _asked(path: Path) -> tuple[Expectation, ...]:
    """The queries of a verify script; none when it does more than read."""
    try:
        found, _ = read_framed(read_text(path), Source(str(path)), ("commit", "rollback"))
    except SqlError:
        return ()
    if any(statement.kind != "select" for statement in found):
        return ()
    return tuple(Expectation({"works": each.sql}, each.source) for each in found)


def _read(path: Path) -> tuple[tuple[Statement, ...], bool]:
    return read_framed(read_text(path), Source(str(path)))


FORMAT = Format(
    name="sqitch",
    form="sqitch.plan with deploy/name.sql and revert/name.sql",
    signs=signs,
    entries=entries,
    read=read_scripts,
    table="sqitch.changes",
)
