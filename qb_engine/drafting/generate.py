"""from a draft to a migration file, which is read back before anybody sees it"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import psycopg

from qb_engine.constraints import infer
from qb_engine.database.connect import server_error
from qb_engine.drafting import cell, foreign, python_text, sql_text
from qb_engine.drafting.derive import Derived, WayBack, derive
from qb_engine.drafting.store import Draft, PartName, checked_name, get, last
from qb_engine.errors import InputError
from qb_engine.migrations import LoadedMigration, Migrations, load_one, stamps
from qb_engine.migrations.filling import amounts_to
from qb_engine.migrations.folder import load_part
from qb_engine.migrations.python_file import load_backfill
from qb_engine.schema import Snapshot, snapshot
from qb_engine.sql import Source, SqlError, Statement, qualified, read
from qb_engine.sql.tree import equal

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.migrations import Backfill, Reader
    from qb_engine.migrations.formats import Format
    from qb_engine.project import Project

Kind = Literal["python", "sql"]
ORDER: tuple[PartName, ...] = ("pre", "migration", "post")


@dataclass(frozen=True)
class Generated:
    """A migration that was written: its file (or folder and files), and what was inferred."""

    id: str
    paths: tuple[Path, ...]
    text: str
    constraints: Mapping[str, Any]
    down: tuple[str, ...] = ()
    irreversible: str = ""
    loses: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    proven: bool = False  # the way back ran on a scratch and left the schema as it was


@dataclass(frozen=True)
class Piece:
    """One part on its way into a file: its statements, and what the user said of it."""

    part: PartName
    up: tuple[Statement, ...]
    text: str = ""
    cell: cell.Cell | None = None
    way: WayBack | None = None  # None: to be derived
    transaction: bool = True
    constraints: Mapping[str, Any] | None = None  # None: to be inferred


def generate(
    project: Project, name: str | None = None, *, sql: str | None = None, conn: Connection,
    scratch: Connection | None = None, kind: str = "python", stamp: str | None = None,
) -> Generated:  # fmt: skip
    """Write a draft (the last one when no name is given), or SQL, as a migration of the project.

    `conn` is an idle autocommit connection to the target, which is only read. `scratch` is one to
    a throw-away database with the target's schema: the statements run there, and back.
    In a folder of another tool's format it is written in that format, where qb can.
    Raise InputError for what cannot become a migration; no file is left then.
    """
    format = foreign.format_of(project)
    if sql is not None:
        if name is None:
            raise InputError(
                "the migration has no name",
                todo="write: qb generate add_user_email --sql FILE",
                code="bad-draft",
            )
        pieces, backfill_text = _of_sql(checked_name(name), sql), ""
    else:
        draft = get(project, name) if name is not None else last(project)
        name = draft.name
        pieces, backfill_text = _of_draft(draft, _reader(conn))
    stamp = stamp or next_stamp(project.migrations)
    if format is None:
        _refuse_taken(project, name)
    else:
        parts = [str(piece.part) for piece in pieces]
        foreign.refuse_parts(format, [*parts, *["backfill"] * bool(backfill_text)])
    start = snapshot(conn)
    derived = derive([piece.up for piece in pieces], start, scratch)
    ways = [piece.way or way for piece, way in zip(pieces, derived.parts)]
    constraints = infer(_in_order(pieces, _backfill(backfill_text), start), start, derived.uses)
    given = next((p.constraints for p in pieces if p.constraints is not None), None)
    constraints = constraints if given is None else dict(given)
    if format is not None:
        return _in_format(project, format, name, pieces[0], ways[0], derived)
    files = _files(name, pieces, ways, constraints, kind)
    if backfill_text:
        files["backfill.py"] = _backfill_file(backfill_text)
    paths = _write(project.migrations, f"{stamp}_{name}", files, bool(backfill_text))
    try:
        loaded = load_one(paths[0], _reader(conn))
        _compare(pieces, loaded)
    except BaseException:
        _remove(paths[0])
        raise
    return Generated(
        id=loaded.id,
        paths=paths,
        text=next(iter(files.values())),
        constraints=constraints,
        down=tuple(s.sql for s in loaded.down) if not loaded.irreversible else (),
        irreversible=loaded.irreversible,
        loses=tuple(dict.fromkeys(each for way in ways for each in way.loses)),
        notes=_notes(derived, ways),
        proven=derived.proven,
    )


def _in_format(
    project: Project, format: Format, name: str, piece: Piece, way: WayBack, derived: Derived
) -> Generated:
    """Write a migration as another tool has it; constraints have no place there."""
    text = piece.text if piece.cell is None else ""
    sql = text or python_text.joined(statement.sql for statement in piece.up)
    paths, loaded = foreign.write(project, format, name, sql, way, transaction=piece.transaction)
    try:
        _compare([piece], loaded)
    except BaseException:
        foreign.remove(paths)
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
        notes=(said, *_notes(derived, [way])),
        proven=derived.proven,
    )


def next_stamp(existing: Migrations | Path) -> str:
    """A stamp for now that is later than that of every migration there is."""
    folder = existing.folder if isinstance(existing, Migrations) else existing
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    found = [stamps.moment(split[0]) for n in names if (split := stamps.split(n.split(".")[0]))]
    return stamps.new(after=max(found, default=None))


# -- what the parts hold ---------------------------------------------------------------------------


def _of_sql(name: str, text: str) -> list[Piece]:
    if not read(text):
        raise SqlError(
            f"there is no statement for {name}", todo="give it some SQL", code="bad-draft"
        )
    return [_sql_piece("migration", text)]


def _of_draft(draft: Draft, reader: Reader) -> tuple[list[Piece], str]:
    pieces: list[Piece] = []
    for part in ORDER:
        if (kept := draft.cells.get(part)) is None:
            continue
        if kept.python:
            pieces.append(_python_piece(draft.name, part, kept.text, reader))
        else:
            pieces.append(_sql_piece(part, kept.text))
    backfill = draft.cells.get("backfill")
    if not pieces and backfill is None:
        raise InputError(
            f"the draft {draft.name} is empty", todo="write SQL into its cell", code="bad-draft"
        )
    return pieces, backfill.text if backfill else ""


def _sql_piece(part: PartName, text: str) -> Piece:
    """A part in SQL; sections (`-- qb:down`) say what is not to be derived."""
    if "-- qb:" not in text:
        return Piece(part, read(text), text)
    with _file(f"{part}.sql", text) as path:
        loaded, constraints, _ = load_part(path, "migration", None)
    way = None
    if loaded.down or loaded.irreversible:
        way = WayBack(tuple(s.sql for s in loaded.down), irreversible=loaded.irreversible)
    return Piece(
        part, loaded.up, python_text.joined(s.sql for s in loaded.up), way=way,
        transaction=loaded.transaction, constraints=constraints or None,
    )  # fmt: skip


def _python_piece(name: str, part: PartName, text: str, reader: Reader) -> Piece:
    found = cell.run(text)
    with _file("draft.py", python_text.from_cell(name, found, None, None)) as path:
        loaded, constraints, _ = load_part(path, "migration", reader)
    own = found.declares("down") or found.declares("irreversible")
    way = WayBack(tuple(s.sql for s in loaded.down), irreversible=loaded.irreversible)
    return Piece(
        part, loaded.up, cell=found, way=way if own else None,
        constraints=constraints if found.declares("constraints") else None,
    )  # fmt: skip


def _backfill(text: str) -> Backfill | None:
    if not text:
        return None
    with _file("backfill.py", _backfill_file(text)) as path:
        return load_backfill(path)[0]


def _backfill_file(text: str) -> str:
    lines = cell.imports(text, ())
    return ("\n".join(lines) + "\n\n\n" if lines else "") + text.strip("\n") + "\n"


def _in_order(
    pieces: Sequence[Piece], backfill: Backfill | None, schema: Snapshot
) -> Iterator[Statement]:
    """The statements in the order they run, a backfill as the statement that it amounts to."""
    for piece in pieces:
        if piece.part == "post" and backfill is not None:
            yield from _at_once(backfill, schema)
            backfill = None
        yield from piece.up
    if backfill is not None:
        yield from _at_once(backfill, schema)


def _at_once(backfill: Backfill, schema: Snapshot) -> tuple[Statement, ...]:
    found = schema.table(backfill.table)
    name = qualified(found.schema, found.name) if found else backfill.table
    return read(amounts_to(backfill, name), Source("backfill.py"))


# -- the files -------------------------------------------------------------------------------------


def _files(
    name: str, pieces: Sequence[Piece], ways: Sequence[WayBack], constraints: dict[str, Any],
    kind: str,
) -> dict[str, str]:  # fmt: skip
    """The text of each file; the constraints stand in the migration itself, or in the first."""
    parts = [piece.part for piece in pieces]
    home = "migration" if "migration" in parts else parts[0] if parts else ""
    files: dict[str, str] = {}
    for piece, way in zip(pieces, ways):
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
        raise _there_already(whole) from None
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
        raise _there_already(path) from None


def _there_already(path: Path) -> InputError:
    return InputError(
        "the file is there already",
        where=str(path),
        why="qb never writes over a file",
        todo="give the migration another name, or remove the file",
        code="file-exists",
    )


def _refuse_taken(project: Project, name: str) -> None:
    """Raise InputError when a migration of that name stands in the folder."""
    for path in sorted(project.migrations.iterdir()) if project.migrations.is_dir() else ():
        found = stamps.split(path.name.split(".")[0])
        if found is not None and found[1] == name:
            raise _there_already(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _compare(pieces: Sequence[Piece], loaded: LoadedMigration) -> None:
    """Raise InputError when the file says other statements than the draft."""
    written = {part.kind: part for part in loaded.parts}
    for piece in pieces:
        up = written[piece.part].up if piece.part in written else ()
        if len(up) != len(piece.up) or not all(
            equal(one.node, other.node) for one, other in zip(up, piece.up)
        ):
            raise InputError(
                f"the {piece.part} of {loaded.id} does not read back as it was drafted",
                where=str(loaded.path),
                why="the written file would run other statements than the draft",
                todo="write the migration by hand",
                code="bad-draft",
            )


def _notes(derived: Derived, ways: Iterable[WayBack]) -> tuple[str, ...]:
    lost = [f"down does not bring back {each}" for way in ways for each in way.loses]
    return (*derived.notes, *dict.fromkeys(lost))


# -- reading ---------------------------------------------------------------------------------------


def _reader(conn: Connection) -> Reader:
    """Runs a query of `up(self, q)` on the target, in a read-only transaction."""

    def rows(sql: str) -> list[tuple[Any, ...]]:
        try:
            with conn.transaction(force_rollback=True):
                conn.execute("SET TRANSACTION READ ONLY")
                return conn.execute(sql.encode()).fetchall()
        except psycopg.Error as error:
            raise server_error("reading for the migration", error) from error

    return rows


@contextmanager
def _file(name: str, text: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="qb-draft-") as folder:
        path = Path(folder) / name
        path.write_text(text, encoding="utf-8", newline="")
        yield path
