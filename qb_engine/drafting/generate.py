"""from a draft to a migration file, which is read back before anybody sees it"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from qb_engine.constraints import infer
from qb_engine.drafting import foreign, naming, pieces, python_text, sql_text
from qb_engine.drafting.derive import Derived, WayBack, derive
from qb_engine.drafting.new_files import remove, there_already
from qb_engine.drafting.outcome import Generated, compare, notes
from qb_engine.drafting.pieces import Piece
from qb_engine.drafting.store import checked_name, get, last
from qb_engine.drafting.typeorm_names import Names, follows, names_in
from qb_engine.drafting.typescript_files import NAME, Place, plain_name
from qb_engine.errors import InputError
from qb_engine.migrations import Migrations, load_one, stamps
from qb_engine.schema import Snapshot, snapshot

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.migrations.formats import Format
    from qb_engine.project import Project

Kind = Literal["python", "sql", "typeorm"]


def generate(
    project: Project, name: str | None = None, *, sql: str | None = None, conn: Connection,
    scratch: Connection | None = None, kind: str = "python", stamp: str | None = None,
    later_than: int = 0,
) -> Generated:  # fmt: skip
    """Write a draft (the last one when no name is given), or SQL, as a migration of the project.

    `conn` is an idle autocommit connection to the target, which is only read. `scratch` is one to
    a throw-away database with the target's schema: the statements run there, and back.
    In a folder of another tool's format it is written in that format, where qb can. For TypeORM
    (`kind` "typeorm", or a folder of its) `later_than` is the latest stamp of its own history.
    Raise InputError for what cannot become a migration; no file is left then.
    """
    format = foreign.format_of(project, kind)
    typeorm = kind == NAME or (format is not None and format.name == NAME)
    place = Place.of(project, format) if typeorm else None
    if sql is not None:
        if name is None:
            raise InputError(
                "the migration has no name",
                todo="write: qb generate add_user_email --sql FILE",
                code="bad-draft",
            )
        name = plain_name(name) if typeorm else checked_name(name)
        parts, backfill_text = pieces.of_sql(name, sql), ""
    else:
        draft = get(project, name) if name is not None else last(project)
        name = draft.name
        parts, backfill_text = pieces.of_draft(draft, pieces.reader(conn))
    if format is None:
        _refuse_taken(project, name)
    elif not typeorm:
        foreign.refuse_parts(
            format, [*(str(each.part) for each in parts), *["backfill"] * bool(backfill_text)]
        )
    start = snapshot(conn)
    said: tuple[str, ...] = ()
    if place is not None and follows(start, project.config.typeorm.naming):
        parts, said = _named(parts, start, names_in(place.folder))
    derived = derive([piece.up for piece in parts], start, scratch)
    ways = [piece.way or way for piece, way in zip(parts, derived.parts)]
    backfill = pieces.backfill(backfill_text)
    constraints = infer(pieces.in_order(parts, backfill, start), start, derived.uses)
    given = next((p.constraints for p in parts if p.constraints is not None), None)
    constraints = constraints if given is None else dict(given)
    if place is not None:
        from qb_engine.drafting.for_typeorm import Whole, write

        whole = Whole(name, parts, ways, constraints, backfill_text, backfill)
        return write(project, place, whole, derived, conn, stamp, later_than, said)
    if format is not None:
        return _in_format(project, format, name, parts[0], ways[0], derived)
    files = _files(name, parts, ways, constraints, kind)
    if backfill_text:
        files["backfill.py"] = pieces.backfill_file(backfill_text)
    stamp = stamp or next_stamp(project.migrations)
    paths = _write(project.migrations, f"{stamp}_{name}", files, bool(backfill_text))
    try:
        loaded = load_one(paths[0], pieces.reader(conn))
        compare(parts, loaded)
    except BaseException:
        remove(paths[:1])
        raise
    return Generated(
        id=loaded.id,
        paths=paths,
        text=next(iter(files.values())),
        constraints=constraints,
        down=tuple(s.sql for s in loaded.down) if not loaded.irreversible else (),
        irreversible=loaded.irreversible,
        loses=tuple(dict.fromkeys(each for way in ways for each in way.loses)),
        notes=(*_lost(parts), *notes(derived, ways)),
        proven=derived.proven,
    )


def _lost(parts: Sequence[Piece]) -> list[str]:
    """What sections of a draft in SQL say that its file does not; a cell is kept whole."""
    return [
        f"the {piece.part} does not keep {each}: write them into the file"
        for piece in parts
        if piece.cell is None
        for each in piece.held
    ]


def _named(
    parts: Sequence[Piece], start: Snapshot, names: Names
) -> tuple[list[Piece], tuple[str, ...]]:
    """The parts with TypeORM's names for what they leave unnamed, and what is to be said of it."""
    ups = [statement for piece in parts for statement in piece.up]
    ways = [sql for piece in parts if piece.way is not None for sql in piece.way.down]
    found = naming.named(ups, start, ways, names)
    rest = iter(found.statements)
    return [replace(p, up=tuple(islice(rest, len(p.up)))) for p in parts], found.notes


def _in_format(
    project: Project, format: Format, name: str, piece: Piece, way: WayBack, derived: Derived
) -> Generated:
    """Write a migration as another tool has it; constraints have no place there."""
    text = piece.text if piece.cell is None else ""
    sql = text or python_text.joined(statement.sql for statement in piece.up)
    paths, loaded = foreign.write(project, format, name, sql, way, transaction=piece.transaction)
    try:
        compare([piece], loaded)
    except BaseException:
        remove(paths)
        raise
    said = f"written as {format.name} has it: its files have no place for constraints"
    return Generated(
        id=loaded.id,
        paths=paths,
        text=paths[0].read_text(encoding="utf-8"),
        constraints={},
        down=tuple(s.sql for s in loaded.down),
        irreversible=way.irreversible or loaded.irreversible,
        loses=way.loses,
        notes=(said, *notes(derived, [way])),
        proven=derived.proven,
    )


def next_stamp(existing: Migrations | Path) -> str:
    """A stamp for now that is later than that of every migration there is."""
    folder = existing.folder if isinstance(existing, Migrations) else existing
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    found = [stamps.moment(split[0]) for n in names if (split := stamps.split(n.split(".")[0]))]
    return stamps.new(after=max(found, default=None))


# -- the files -------------------------------------------------------------------------------------


def _files(
    name: str, parts: Sequence[Piece], ways: Sequence[WayBack], constraints: dict[str, Any],
    kind: str,
) -> dict[str, str]:  # fmt: skip
    """The text of each file; the constraints stand in the migration itself, or in the first."""
    home = pieces.home(parts)
    files: dict[str, str] = {}
    for piece, way in zip(parts, ways):
        own = constraints if piece.part == home else {}
        if piece.cell is not None:
            files[f"{piece.part}.py"] = python_text.from_cell(name, piece.cell, own, way)
        elif piece.part != "migration" or kind == "sql" or not piece.transaction:
            text = sql_text.from_sql(piece.text, own, way, transaction=piece.transaction)
            files[f"{piece.part}.sql"] = text
        else:
            files["migration.py"] = python_text.from_sql(name, piece.text, own, way)
    return files


def _write(folder: Path, id: str, files: dict[str, str], backfill: bool) -> tuple[Path, ...]:
    """Write the files without ever writing over one; the migration's own path comes first."""
    folder.mkdir(parents=True, exist_ok=True)
    if list(files) in (["migration.py"], ["migration.sql"]) and not backfill:
        ((file, text),) = files.items()
        path = folder / f"{id}{Path(file).suffix}"
        _write_new(path, text)
        return (path,)
    whole = folder / id
    try:
        whole.mkdir()
    except FileExistsError:
        raise there_already(whole) from None
    written = []
    for file, text in files.items():
        _write_new(whole / file, text)
        written.append(whole / file)
    return (whole, *written)


def _write_new(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8", newline="") as file:
            file.write(text)
    except FileExistsError:
        raise there_already(path) from None


def _refuse_taken(project: Project, name: str) -> None:
    """Raise InputError when a migration of that name stands in the folder."""
    for path in sorted(project.migrations.iterdir()) if project.migrations.is_dir() else ():
        found = stamps.split(path.name.split(".")[0])
        if found is not None and found[1] == name:
            raise there_already(path)
