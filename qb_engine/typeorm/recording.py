"""running migrations that cannot be read on a scratch database, to hear what they send

Never on the target: the project's code gets a database on the server of shadows, made for it and
dropped afterwards, and it can reach no other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from qb_engine.migrations.typescript.recordings import Recording, digest, imports_of
from qb_engine.migrations.typescript.values import Query
from qb_engine.sql import ident
from qb_engine.typeorm import node as running
from qb_engine.typeorm.judging import judged

if TYPE_CHECKING:
    from qb_engine.shadow import Shadow

MIGRATION_S = 60.0  # one migration on an empty database; what takes longer waits for something

# what TypeORM's driver makes when it connects, by what the SQL of migrations says
EXTENSIONS = {
    "uuid-ossp": re.compile(r"(?i)\buuid_generate_v\d"),
    "citext": re.compile(r"(?i)\bcitext\b"),
    "hstore": re.compile(r"(?i)\bhstore\b"),
    "ltree": re.compile(r"(?i)\bltree\b"),
    "pgcrypto": re.compile(r"(?i)\b(?:gen_salt|crypt|pgp_sym_\w+)\s*\("),
    "pg_trgm": re.compile(r"(?i)\bgin_trgm_ops|gist_trgm_ops"),
    "btree_gist": re.compile(r"(?i)\busing\s+gist\b.*\bwith\s+="),
    "postgis": re.compile(r"(?i)\b(?:geometry|geography)\s*\("),
    "vector": re.compile(r"(?i)\b(?:vector|halfvec)\s*\(\d+\)"),
}


METADATA = (
    '"type" varchar NOT NULL, "database" varchar, "schema" varchar, "table" varchar,'
    ' "name" varchar, "value" text'
)


OTHERWISE = "it looks at the schema, and on the target's it sends something else"


@dataclass(frozen=True, slots=True)
class Step:
    """A migration on the way: `queries` where it is read, `record` what of it has to be run."""

    name: str
    path: Path
    class_name: str
    queries: tuple[Query, ...] = ()
    record: Literal["", "both", "down"] = ""
    transaction: bool | None = None
    applied: bool = False
    swallows: bool = False  # errors: it would go on where a recording ends


@dataclass(frozen=True, slots=True)
class Recorded:
    """What came of it: recordings, and why there is none for the others, by class.

    `stopped` is the migration at which the way ended, and `why`; empty when it was gone to the end.
    """

    recordings: Mapping[str, Recording]
    refused: Mapping[str, str]
    stopped: str = ""
    why: str = ""
    notes: tuple[str, ...] = ()


Making = Callable[[], AbstractContextManager["Shadow"]]


def record(
    root: Path,
    folder: Path,
    steps: Sequence[Step],
    empty: Making,
    full: Making | None = None,
    *,
    data_source: Path | None = None,
    each_s: float = MIGRATION_S,
    tell: Callable[[str], None] = lambda text: None,
) -> Recorded:
    """Record the steps that ask for it: all in order on an empty database.

    Those that are pending go once more over one with the target's schema (`full`): where the way
    ended before them, and where they looked at the schema and might have seen something else.
    Raise InputError where no code of the project can be run at all.
    """
    ways = running.found(root)
    first = _recorded(ways, root, folder, steps, empty, data_source, each_s, tell)
    pending = [step for step in steps if not step.applied]
    if full is None or not any(_asks_again(step, first) for step in pending):
        return _with_rest(first, steps)
    tell("once more on the schema of the target: what is pending")
    second = _recorded(ways, root, folder, pending, full, data_source, each_s, tell)
    return _both(first, second, steps)


def _asks_again(step: Step, found: Recorded) -> bool:
    """True for one that the empty database told too little of."""
    made = found.recordings.get(step.name)
    if made is None:
        return bool(step.record and found.stopped)
    return bool(made.notes)


def _both(first: Recorded, second: Recorded, steps: Sequence[Step]) -> Recorded:
    """What two ways told together; of what they tell otherwise nothing is known."""
    made = {**second.recordings, **first.recordings}
    differs: dict[str, str] = {}
    for name, one in first.recordings.items():
        other = second.recordings.get(name)
        if other is None or not one.notes:
            continue
        if (one.up, one.down) == (other.up, other.down):
            made[name] = replace(one, notes=(*one.notes, "the same on the target's schema"))
        else:
            del made[name]
            differs[name] = f"{OTHERWISE}: {'; '.join(other.notes)}"
    note = f"on an empty database {first.stopped} fails: {first.why}" if first.stopped else ""
    gone = _with_rest(first, [step for step in steps if step.applied]).refused
    rest = _with_rest(second, [step for step in steps if not step.applied]).refused
    refused = {name: why for name, why in {**gone, **rest}.items() if name not in made}
    notes = [*first.notes, *(n for n in second.notes if n not in first.notes), note]
    return Recorded(
        made,
        {**refused, **differs},
        second.stopped,
        second.why,
        tuple(filter(None, notes)),
    )


def extensions(sql: Sequence[str]) -> tuple[str, ...]:
    """The extensions that TypeORM would make when it connects, as far as the SQL tells."""
    made = {name for text in sql for name in _made(text)}
    text = "\n".join(sql)
    return tuple(n for n, sign in EXTENSIONS.items() if n not in made and sign.search(text))


def found_there(sql: Sequence[str], schema: str | None = None) -> str:
    """What TypeORM has made before the first migration runs, as SQL: extensions, and the table of
    views and generated columns where migrations write to it.
    """
    needed = [f"CREATE EXTENSION IF NOT EXISTS {ident(name)};" for name in extensions(sql)]
    if any("typeorm_metadata" in text for text in sql):
        table = ident("typeorm_metadata")
        if schema:
            needed.append(f"CREATE SCHEMA IF NOT EXISTS {ident(schema)};")
            table = f"{ident(schema)}.{table}"
        needed.append(f"CREATE TABLE {table} ({METADATA});")
    return "\n".join(needed)


def _made(text: str) -> list[str]:
    return re.findall(r'(?i)create\s+extension\s+(?:if\s+not\s+exists\s+)?"?([\w-]+)', text)


def _recorded(
    ways: Sequence[running.Node],
    root: Path,
    folder: Path,
    steps: Sequence[Step],
    making: Making,
    data_source: Path | None,
    each_s: float,
    tell: Callable[[str], None],
) -> Recorded:
    """One way through the steps, with the first loader that can load what there is to load."""
    last = max((n for n, step in enumerate(steps) if step.record), default=-1)
    steps = steps[: last + 1]
    first: Recorded | None = None
    for strict in (True, False) if data_source else (True,):
        for way in ways:
            why = _not_compiled(root, steps) if way.loader == "compiled" else ""
            if why:
                found = Recorded({}, {}, LOADING, why)
            else:
                source = None if data_source is None else (data_source, strict)
                with making() as shadow:
                    found = _run(way, root, folder, steps, shadow, source, each_s, tell)
            if found.stopped != LOADING:
                return found
            first = first or found
    assert first is not None, "there is always a way"
    return first


LOADING = "loading"


def _run(
    way: running.Node,
    root: Path,
    folder: Path,
    steps: Sequence[Step],
    shadow: Shadow,
    source: tuple[Path, bool] | None,
    each_s: float,
    tell: Callable[[str], None],
) -> Recorded:
    plan = {
        "connection": connection(shadow),
        "dataSource": None if source is None else str(_loadable(way, root, source[0])),
        "strict": source is not None and source[1],
        "steps": [_planned(way, root, step) for step in steps],
    }
    by_name = {step.name: step for step in steps}
    recordings: dict[str, Recording] = {}
    refused: dict[str, str] = {}
    notes: list[str] = []
    at, version = LOADING, running.version_of(root)
    try:
        for event in running.events(way, "recorder.cjs", root, plan, each_s=each_s):
            kind = event["event"]
            if kind == "without":
                notes.append(f"recorded without the data source: {event['message']}")
            elif kind == "begin":
                at = event["name"]
                if by_name[at].record:
                    tell(f"recording {at}")
            elif kind == "recorded":
                step = by_name[event["name"]]
                made = _made_of(step, event, folder, version)
                if isinstance(made, str):
                    refused[step.name] = made
                else:
                    recordings[step.name] = made
            elif kind == "failed":
                name = event["name"] or LOADING
                recordings.pop(name, None)  # one that goes on after it has ended
                return Recorded(recordings, refused, name, event["message"], tuple(notes))
    except running.Ended as ended:
        return Recorded(recordings, refused, at, str(ended), tuple(notes))
    return Recorded(recordings, refused, notes=tuple(notes))


def _made_of(step: Step, event: Mapping[str, Any], folder: Path, version: str) -> Recording | str:
    """The recording that an event tells of; why there is none."""
    notes = ["an error that it would catch ends it here"] if step.swallows else []
    up: tuple[Query, ...] | None = None
    if step.record == "both":
        way = judged(event)
        if way.refused:
            return way.refused
        up = way.queries
        notes += way.looks
    down: tuple[Query, ...] | None = None
    why = event.get("downFailed", "")
    if event.get("down"):
        back = judged(event, "down")
        why = back.refused
        if not why:
            down = back.queries
            notes += [f"down: {look}" for look in back.looks]
            why = "" if down else "down does nothing"
            down = down or None
    if up is None and down is None:
        return f"its down: {why}"
    return Recording(
        step.name,
        _below(folder, step.path),
        digest(step.path),
        up,
        down,
        why if down is None else "",
        version,
        tuple(dict.fromkeys(notes)),
        imports_of(step.path),
    )


def _with_rest(found: Recorded, steps: Sequence[Step]) -> Recorded:
    """The same, with a reason for each that was to be recorded and was not reached."""
    refused = dict(found.refused)
    stopped, why = found.stopped, found.why
    for step in steps:
        if not step.record or step.name in found.recordings or step.name in refused:
            continue
        if step.name == stopped:
            refused[step.name] = f"it fails when it is run on a scratch database: {why}"
        elif stopped == LOADING:
            refused[step.name] = f"the project's code cannot be loaded: {why}"
        elif stopped:
            refused[step.name] = f"{stopped} before it fails on a scratch database: {why}"
        else:
            refused[step.name] = "it was not reached"
    return replace(found, refused=refused)


def connection(shadow: Shadow) -> dict[str, Any]:
    """How node reaches a scratch database: what our own connection found out."""
    from qb_engine.database.connect import connect

    with connect(shadow.target, application_name="qb recording") as conn:
        info = conn.info
        told = info.get_parameters()
        mode = told.get("sslmode", "")
        ssl: bool | dict[str, Any] = False
        if mode.startswith(("require", "verify")):
            ssl = {"rejectUnauthorized": mode.startswith("verify")}
            if (file := told.get("sslrootcert")) and Path(file).is_file():
                ssl["ca"] = Path(file).read_text(encoding="utf-8")
        return {
            "host": info.host,
            "port": info.port,
            "user": info.user,
            "password": info.password or None,
            "database": info.dbname,
            "ssl": ssl,
        }


def _planned(way: running.Node, root: Path, step: Step) -> dict[str, Any]:
    return {
        "name": step.name,
        "file": str(_loadable(way, root, step.path)),
        "class": step.class_name,
        "record": step.record,
        "transaction": step.transaction,
        "queries": [
            {"sql": q.sql, "parameters": None if q.parameters is None else list(q.parameters)}
            for q in step.queries
        ]
        if step.record != "both"
        else [],
    }


def _loadable(way: running.Node, root: Path, path: Path) -> Path:
    """The file that node can load: what the compiler made of it, where there is no loader."""
    from qb_engine.typeorm.finding import compiled_of

    return compiled_of(root, path) if way.loader == "compiled" else path


def _not_compiled(root: Path, steps: Sequence[Step]) -> str:
    """Why what the compiler made of the sources is not to be run; empty when it may be."""
    for path in (step.path for step in steps if step.record):
        built = _loadable(running.Node("", "compiled"), root, path)
        if built == path and path.suffix not in (".js", ".mjs", ".cjs"):
            return "neither tsx nor ts-node is installed in the project, and nothing is compiled"
        if built != path and built.stat().st_mtime < path.stat().st_mtime:
            return f"{_below(root, built)} is older than its source: compile the project first"
    return ""


def _below(folder: Path, path: Path) -> str:
    try:
        return path.resolve().relative_to(folder.resolve()).as_posix()
    except ValueError:
        return path.name
