"""the parts of a draft as classes that TypeORM runs, written and read back"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from qb_engine.drafting import pieces, typescript_text
from qb_engine.drafting.derive import Derived, WayBack
from qb_engine.drafting.new_files import remove
from qb_engine.drafting.outcome import Generated, compare, notes
from qb_engine.drafting.pieces import Piece
from qb_engine.drafting.typescript_files import Place, write_new
from qb_engine.drafting.typescript_text import Call, MigrationText
from qb_engine.errors import InputError
from qb_engine.migrations import LoadedMigration, stamps
from qb_engine.migrations.filling import words
from qb_engine.migrations.typescript_backfill import (
    backfill_of,
    constants_of,
    in_python,
    read_constants,
)
from qb_engine.sql import Statement, read
from qb_engine.sql.tree import pb, walk

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.migrations import Backfill
    from qb_engine.project import Project

UNFILLED = (
    "This counts on the backfill, which TypeORM does not run: let qb run this migration,",
    "or see first that the backfill is completed: qb backfill status",
)
_SECTION = re.compile(r"(?m)^[ \t]*--[ \t]*qb:.*$")
_COMMENT = re.compile(r"--([^\n]*)|/\*(.*?)\*/", re.DOTALL)


@dataclass(frozen=True)
class Whole:
    """A migration on its way into files: its parts, the way back of each, and its backfill."""

    name: str
    pieces: Sequence[Piece]
    ways: Sequence[WayBack]
    constraints: Mapping[str, Any]
    backfill_text: str = ""
    backfill: Backfill | None = None

    @property
    def single(self) -> bool:
        """True when it is no more than one file."""
        return [each.part for each in self.pieces] == ["migration"] and self.backfill is None


def write(
    project: Project, place: Place, whole: Whole, derived: Derived, conn: Connection,
    stamp: str | None = None, later_than: int = 0, said: Sequence[str] = (),
) -> Generated:  # fmt: skip
    """Write a migration as TypeORM has it. Raise InputError, and leave no file, when it cannot be.

    The first class has the stamp of the migration in milliseconds; each is later than the one
    before it, than every class of the project, and than `later_than`.
    """
    latest = max(place.latest, later_than)
    stamp = stamp or _stamp(project, place, latest)
    first = max(stamps.to_ms(stamp), latest + 1)
    classes = [
        _class(whole, piece, way, first + number)
        for number, (piece, way) in enumerate(zip(whole.pieces, whole.ways))
    ]
    id = f"{stamp}_{whole.name}"
    files = _files(place, whole, classes, id)
    if whole.single:
        file = f"{id}{place.suffix}"
        if place.format is not None:
            _refuse_taken(place, whole.name)
            file = place.file(first, whole.name)
        paths = write_new(place.folder, {file: next(iter(files.values()))})
    else:
        folder = place.folder / id
        paths = (folder, *write_new(folder, files, fresh=True))
    try:
        loaded = place.load(paths[0], pieces.reader(conn), project)
        compare(whole.pieces, loaded)
        _compare(whole, classes, loaded)
    except BaseException:
        remove(paths)
        raise
    ways = whole.ways
    irreversible = [_irreversible(piece, way) for piece, way in zip(whole.pieces, ways)]
    return Generated(
        id=loaded.id,
        paths=paths,
        text=next(iter(files.values())),
        constraints=whole.constraints,
        down=tuple(s.sql for s in loaded.down) if not loaded.irreversible else (),
        irreversible=next((why for why in reversed(irreversible) if why), ""),
        loses=tuple(dict.fromkeys(each for way in ways for each in way.loses)),
        notes=(*_notes(place, whole, classes), *said, *notes(derived, ways)),
        proven=derived.proven,
    )


def _stamp(project: Project, place: Place, latest: int) -> str:
    """A stamp of 14 digits for now, later than all classes, and in qb's folder than all names."""
    found = [stamps.moment(str(latest))] if latest else []
    if project.migrations.is_dir():
        names = [stamps.split(path.name.split(".")[0]) for path in project.migrations.iterdir()]
        found += [stamps.moment(each[0]) for each in names if each]
    return stamps.new(after=max(found, default=None))


def _class(whole: Whole, piece: Piece, way: WayBack, ms: int) -> MigrationText:
    other = "" if piece.part == "migration" else f"_{piece.part}"
    refused = next((s.refuses_transaction for s in piece.up if s.refuses_transaction), "")
    if not refused and not piece.transaction:
        refused = "its draft says so"
    down = tuple(Call(each.sql) for sql in way.down for each in read(sql))
    back = [f"This does not bring back {each}." for each in way.loses]
    if not refused and any(each.refuses_transaction for sql in way.down for each in read(sql)):
        back.append("It needs to run without a transaction: migration:revert --transaction none")
    up = list(calls(piece.up, piece.said))
    if up and piece.part == "post" and whole.backfill is not None:
        up[0] = replace(up[0], comments=(*UNFILLED, *up[0].comments))
    return MigrationText(
        name=typescript_text.class_name(f"{whole.name}{other}", ms),
        up=tuple(up),
        down=down,
        irreversible=_irreversible(piece, way),
        constraints=whole.constraints if piece.part == pieces.home(whole.pieces) else None,
        alone=refused,
        back=tuple(back),
    )


def _irreversible(piece: Piece, way: WayBack) -> str:
    """Why a part has no way back; a down that the user left empty is none."""
    if piece.way is not None and not way.down and not way.irreversible:
        return "because its draft gives no down"
    return way.irreversible


def calls(statements: Sequence[Statement], text: str) -> Iterator[Call]:
    """Statements as calls, each with the comments that stand before it in the text it is from."""
    lines = text.split("\n")
    before = 0
    for statement in statements:
        line = statement.source.line
        above = "\n".join(lines[before : line - 1]) if text else ""
        above = _SECTION.split(above)[-1]
        found = [(a or b).strip() for a, b in _COMMENT.findall(above)]
        yield Call(statement.sql, comments=tuple(each for each in found if each))
        before = line - 1 + statement.sql.count("\n") + 1


def _files(place: Place, whole: Whole, classes: Sequence[MigrationText], id: str) -> dict[str, str]:
    files = {
        f"{piece.part}{place.suffix}": typescript_text.migration(
            found, place.style, types=place.types
        )
        for piece, found in zip(whole.pieces, classes)
    }
    if whole.backfill is not None:
        files["backfill.py"] = pieces.backfill_file(whole.backfill_text)
        files["backfill.ts"] = typescript_text.backfill(
            constants_of(whole.backfill), id, words(whole.backfill)
        )
    return files


def _refuse_taken(place: Place, name: str) -> None:
    if (pascal := typescript_text.pascal(name)) in place.names:
        raise InputError(
            f"there is a migration {pascal} already",
            where=str(place.folder),
            why="the stamp alone would tell them apart",
            todo="give the new one another name",
            code="file-exists",
        )


def _compare(whole: Whole, classes: Sequence[MigrationText], loaded: LoadedMigration) -> None:
    """Raise InputError when a file says anything else than it was written to say."""
    read_back = {part.kind: part for part in loaded.parts}
    for piece, found in zip(whole.pieces, classes):
        part = read_back[piece.part]  # type: ignore[index]  # a backfill is no piece
        down = [each.sql for each in found.down] or ["SELECT 1"]
        throws = typescript_text.thrown(found.irreversible) if found.irreversible else ""
        same = (
            [each.sql for each in part.up] == [each.sql for each in found.up]
            and [each.sql for each in part.down] == ([] if throws else down)
            and part.irreversible == throws
            and part.history_name == found.name
            and part.transaction is not bool(found.alone)
        )
        if not same:
            raise _differs(loaded, part.file)
    if dict(loaded.constraints) != dict(whole.constraints):
        raise _differs(loaded, "static constraints")
    if whole.backfill is not None:
        path = loaded.path / "backfill.ts"
        held = read_constants(path)
        if dict(held) != constants_of(whole.backfill):
            raise _differs(loaded, path.name)
        if not in_python(held):
            backfill_of(held, path)


def _differs(loaded: LoadedMigration, what: str) -> InputError:
    return InputError(
        f"{what} of {loaded.id} does not read back as it was written",
        where=str(loaded.path),
        why="the written file would do something else than the draft",
        todo="write the migration by hand",
        code="bad-draft",
    )


def _notes(place: Place, whole: Whole, classes: Sequence[MigrationText]) -> Iterator[str]:
    yield (
        f"TypeORM knows it as {', '.join(each.name for each in classes)}"
        if classes
        else ("TypeORM has nothing to run in it: the backfill is qb's")
    )
    if any(each.alone for each in classes):
        yield "it runs without a transaction: TypeORM needs --transaction each (or none)"
        if any(found.alone and len(found.up) > 1 for found in classes):
            yield (
                "what ran before a failure stays: give what refuses a transaction a migration of"
                " its own"
            )
    if not whole.single:
        yield (
            f"the globs of the data source have to match {place.folder.name}/*/*{place.suffix};"
            " backfill.ts, which exports constants only, may match, too"
        )
    if whole.backfill is not None:
        methods = in_python(constants_of(whole.backfill))
        yield "TypeORM does not run the backfill, and would go on without it: let qb run this one"
        if methods:
            yield f"backfill.ts cannot hold {' and '.join(methods)}: backfill.py has it"
    if any(_in_metadata(each) for piece in whole.pieces for each in piece.up):
        yield (
            "TypeORM keeps the text of an entity's views and generated columns in typeorm_metadata:"
            " when one of an entity is made here, add the row that migration:generate would add"
        )
    for piece in whole.pieces:
        for each in piece.held:
            yield f"the {piece.part} cannot hold {each}"


def _in_metadata(statement: Statement) -> bool:
    """True for what TypeORM would look up in a table of its own."""
    node = statement.node
    if isinstance(node, pb.ViewStmt):
        return True
    if isinstance(node, pb.CreateTableAsStmt):
        return bool(node.objtype == pb.OBJECT_MATVIEW)
    return isinstance(node, pb.CreateStmt | pb.AlterTableStmt) and any(
        isinstance(each, pb.Constraint) and each.contype == pb.CONSTR_GENERATED
        for each in walk(node)
    )
