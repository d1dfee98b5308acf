"""Alembic: revisions as the SQL that they write in Alembic's own offline mode

Nothing is run to list them: what they are and what they follow is told from their text.
"""

from __future__ import annotations

import ast
import configparser
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from heapq import heapify, heappop, heappush
from pathlib import Path
from typing import Any

from qb_engine.errors import InputError, QbError
from qb_engine.migrations.formats.format import Format, Found, Seen
from qb_engine.migrations.listing import Entry
from qb_engine.migrations.model import Part, read_text
from qb_engine.sql import Source, Statement, read

INI, ENV = "alembic.ini", "env.py"
PROGRAM = Path(__file__).with_name("_alembic_offline.py")
RENDER_S = 300  # a project whose models take longer to import than this has another trouble
NAMES = ("revision", "down_revision", "depends_on", "branch_labels")
_OFFLINE = re.compile(r"\b(?:is_offline_mode|as_sql)\b")
_PATHS = re.compile(r"[,;:\s]+" if os.pathsep == ":" else r"[,;\s]+")


@dataclass(frozen=True)
class _Revision:
    """What a revision's file says of itself."""

    path: Path
    revision: str
    parents: tuple[str, ...]
    depends: tuple[str, ...]
    labels: tuple[str, ...]
    created: str
    lines: tuple[int, int]  # where upgrade and downgrade begin
    problem: QbError | None = None


class _Offline:
    """What a project's revisions write offline, asked once for all of them, when it is needed."""

    def __init__(self, ini: Path) -> None:
        self._ini = ini

    def of(self, revision: str) -> dict[str, Any] | None:
        """What one revision writes. Raise InputError when alembic cannot read them at all."""
        if isinstance(self._answer, QbError):
            raise self._answer
        return self._answer.get(revision)

    @cached_property
    def _answer(self) -> dict[str, Any] | QbError:
        try:
            return _rendered(self._ini)
        except QbError as error:
            return error


@dataclass(frozen=True, slots=True)
class _Listed(Entry):
    """A revision, and where its SQL comes from."""

    offline: _Offline | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class _Home:
    """A project's Alembic: its ini file, its script folder, and the folders of revisions."""

    ini: Path
    scripts: Path
    versions: tuple[Path, ...]


def signs(seen: Seen) -> str:
    if ENV in seen.files and "versions" in seen.folders:
        return f"{ENV} beside versions/"
    return INI if INI in seen.files else ""


def entries(folder: Path) -> Found:
    """The revisions, each behind all that it follows."""
    home = _home(folder)
    strange: list[Entry] = []
    revisions: dict[str, _Revision] = {}
    for path in sorted(p for place in home.versions for p in place.glob("*.py")):
        if path.name.startswith(("_", ".")):
            continue
        found = describe(path)
        if isinstance(found, QbError):
            strange.append(Entry(path, path.stem, "", path.stem, files=(path,), problem=found))
        elif found.revision in revisions:
            error = InputError(
                f"two files are revision {found.revision}",
                where=str(path),
                why=f"{revisions[found.revision].path.name} is, too",
                todo="give one of them an id of its own",
                code="broken-file",
            )
            strange.append(Entry(path, path.stem, "", path.stem, files=(path,), problem=error))
        else:
            revisions[found.revision] = found
    labels = {label: one.revision for one in revisions.values() for label in one.labels}
    named = (
        replace(r, depends=tuple(labels.get(d, d) for d in r.depends)) for r in revisions.values()
    )
    ordered = topological(named)
    ids = {each.revision: _id(each) for each in ordered}
    order = {name: at for at, name in enumerate(ids)}
    offline = _Offline(home.ini)
    listed = [_entry(each, offline, ids, order) for each in ordered]
    return Found((*_one_head(ordered, listed), *strange))


def describe(path: Path) -> _Revision | QbError:
    """What a file says of its revision, without running it."""
    try:
        text = read_text(path)
        tree = ast.parse(text)
    except QbError as error:
        return error
    except SyntaxError as error:
        return InputError(
            error.msg,
            where=f"{path}:{error.lineno}",
            todo="mend the Python of the revision",
            code="broken-file",
        )
    said = {name: value for node in tree.body for name, value in _assigned(node)}
    if not isinstance(said.get("revision"), str):
        return InputError(
            "the file says no revision",
            where=str(path),
            why="Alembic takes only files that assign `revision`",
            todo="write it, or move the file away",
            code="broken-file",
        )
    lines = {n.name: n.lineno for n in tree.body if isinstance(n, ast.FunctionDef)}
    problem = None
    if forked := _OFFLINE.search(text):
        problem = InputError(
            "the revision does something else offline",
            where=f"{path}:{text.count(chr(10), 0, forked.start()) + 1}",
            why="what it would do on a database cannot be told from its offline SQL",
            todo="apply it with alembic, then: qb import-history --from alembic",
            code="broken-file",
        )
    created = re.search(r"(?m)^Create Date: (.*)$", ast.get_docstring(tree) or "")
    return _Revision(
        path,
        said["revision"],
        _many(said.get("down_revision")),
        _many(said.get("depends_on")),
        _many(said.get("branch_labels")),
        created[1] if created else "",
        (lines.get("upgrade", 1), lines.get("downgrade", 1)),
        problem,
    )


def topological(revisions: Iterable[_Revision]) -> list[_Revision]:
    """Revisions behind all that they follow; of several that may come next, the oldest."""
    left = {each.revision: each for each in revisions}
    waits = {r.revision: {*r.parents, *r.depends} & left.keys() for r in left.values()}
    children: dict[str, list[str]] = {}
    for name, needs in waits.items():
        for need in needs:
            children.setdefault(need, []).append(name)
    ready = [(r.created, r.revision) for r in left.values() if not waits[r.revision]]
    heapify(ready)
    found: list[_Revision] = []
    while ready:
        _, name = heappop(ready)
        found.append(left.pop(name))
        for child in children.get(name, ()):
            waits[child].discard(name)
            if not waits[child]:
                heappush(ready, (left[child].created, child))
    # what is left follows itself in a circle; each is told so
    return [*found, *sorted(left.values(), key=lambda r: r.revision)]


def _id(revision: _Revision) -> str:
    stem = revision.path.stem
    return stem if revision.revision in stem else f"{revision.revision}_{stem}"


def _entry(one: _Revision, offline: _Offline, ids: dict[str, str], order: dict[str, int]) -> Entry:
    name = one.path.stem.replace(one.revision, "").strip("_-") or one.revision
    follows = (*one.parents, *one.depends)
    requires = tuple(ids[each] for each in follows if each in ids)
    entry = _Listed(
        one.path, ids[one.revision], one.revision, name,
        files=(one.path,), requires=requires, problem=one.problem, offline=offline,
    )  # fmt: skip
    if missing := [each for each in follows if each not in ids]:
        error = InputError(
            f"{one.revision} follows {', '.join(missing)}",
            where=str(one.path),
            why="no file is that revision",
            todo="restore the file, or mend down_revision",
            code="broken-file",
        )
        return replace(entry, problem=entry.problem or error)
    if any(order[each] > order[one.revision] for each in follows):
        error = InputError(
            f"{one.revision} and what it follows stand in a circle",
            where=str(one.path),
            todo="mend down_revision",
            code="broken-file",
        )
        return replace(entry, problem=entry.problem or error)
    return entry


def _one_head(ordered: list[_Revision], listed: list[Entry]) -> list[Entry]:
    """Refuse a second head, as alembic does, unless branches are labelled and so meant."""
    followed = {each for one in ordered for each in (*one.parents, *one.depends)}
    heads = [one.revision for one in ordered if one.revision not in followed]
    if len(heads) < 2 or any(one.labels for one in ordered):
        return listed
    error = InputError(
        f"there are {len(heads)} heads: {', '.join(heads)}",
        where=str(listed[0].path.parent),
        why="two people wrote a revision that follows the same one",
        todo="alembic merge heads",
        code="two-heads",
    )
    return [replace(e, problem=e.problem or error) if e.stamp in heads[1:] else e for e in listed]


def read_revision(entry: Entry) -> tuple[Part, ...]:
    """A revision's offline SQL as a part; raise InputError with the reason when there is none."""
    assert isinstance(entry, _Listed), "entries of alembic know where their SQL comes from"
    assert entry.offline is not None, "entries of alembic know where their SQL comes from"
    said = entry.offline.of(entry.stamp)
    if said is None:
        raise InputError(
            f"alembic does not know revision {entry.stamp}",
            where=str(entry.path),
            todo="see: alembic history",
            code="broken-file",
        )
    found = describe(entry.path)
    assert isinstance(found, _Revision), "it was read when it was listed"
    (up, transaction), (down, back) = (
        _statements(said[way], entry.path, line)
        for way, line in zip(("upgrade", "downgrade"), found.lines)
    )
    part = Part(
        "migration", entry.path.name, up, down, transaction=transaction, down_transaction=back,
        irreversible=said["downgrade"].get("irreversible", ""),
    )  # fmt: skip
    return (part,)


def _statements(said: dict[str, Any], path: Path, line: int) -> tuple[tuple[Statement, ...], bool]:
    """One direction's statements, and whether they run in one transaction."""
    if said.get("error"):
        raise InputError(
            "the revision cannot be written as SQL without a database",
            where=f"{said.get('file') or path}:{said.get('line') or line}",
            why=said["error"],
            todo="write what it does as SQL (op.execute); or apply it with alembic, then:"
            " qb import-history --from alembic",
            code="broken-file",
        )
    place = Source(str(path), line)
    texts: list[tuple[str, bool]] = said.get("sql", [])
    found = [replace(s, source=place) for text, _ in texts for s in read(text, place)]
    # statements of an autocommit_block, and so those around it, are committed one by one
    return tuple(found), all(together for _, together in texts)


def _rendered(ini: Path) -> dict[str, Any]:
    """All revisions as SQL, by a process of its own: env.py and the models are the project's."""
    with tempfile.TemporaryDirectory(prefix="qb-alembic-") as folder:
        answer = Path(folder) / "answer.json"
        try:
            done = subprocess.run(
                [sys.executable, "-P", str(PROGRAM), str(ini), str(answer)],
                cwd=ini.parent, capture_output=True, text=True, timeout=RENDER_S, check=False,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise InputError(
                "alembic did not write its SQL",
                where=str(ini),
                why=f"it took more than {RENDER_S} s",
                todo="see what env.py does: alembic upgrade head --sql",
                code="broken-file",
            ) from None
        if done.returncode or not answer.is_file():
            raise InputError(
                "alembic cannot read the project's revisions",
                where=str(ini),
                why=done.stderr.strip().rpartition("\n")[2],
                todo="see the whole of it: alembic upgrade head --sql",
                code="broken-file",
            )
        found: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
        return found


def _home(folder: Path) -> _Home:
    """The ini file in the folder, or above it, and what it says. Raise InputError without one."""
    for place in (folder, *folder.parents):
        ini = place / INI
        if ini.is_file():
            break
        if (place / ".git").exists() or (place / "qb.toml").is_file():
            ini = folder / INI
            break
    if not ini.is_file():
        raise InputError(
            "there is no alembic.ini",
            where=str(folder),
            why="alembic writes the SQL of its revisions, and needs its configuration for that",
            todo="put it beside the folder, or above it",
            code="broken-file",
        )
    # alembic's own interpolation; what it does not know of the file is left as it is
    settings = configparser.ConfigParser({"here": str(ini.parent)}, interpolation=None)
    try:
        settings.read_string(read_text(ini))
    except configparser.Error as error:
        raise InputError(
            "alembic.ini cannot be read",
            where=str(ini),
            why=str(error),
            todo="mend the line",
            code="broken-file",
        ) from None

    def said(key: str) -> str:
        value = settings.get("alembic", key, fallback="")
        return value.replace("%(here)s", str(ini.parent)).replace("%%", "%")

    scripts = ini.parent / (said("script_location") or "alembic")
    named = [each for each in _PATHS.split(said("version_locations")) if each]
    versions = tuple(ini.parent / each for each in named) or (scripts / "versions",)
    return _Home(ini, scripts, versions)


def _assigned(node: ast.stmt) -> list[tuple[str, Any]]:
    """Names that a statement gives a constant value."""
    if isinstance(node, ast.AnnAssign):
        targets, value = [node.target], node.value
    elif isinstance(node, ast.Assign):
        targets, value = list(node.targets), node.value  # type: ignore[arg-type]
    else:
        return []
    try:
        constant = ast.literal_eval(value) if value is not None else None
    except ValueError:
        return []
    return [(t.id, constant) for t in targets if isinstance(t, ast.Name) and t.id in NAMES]


def _many(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(value)


FORMAT = Format(
    name="alembic",
    form="the folder of env.py and versions/, with alembic.ini above it",
    signs=signs,
    entries=entries,
    read=read_revision,
    table="alembic_version",
)
