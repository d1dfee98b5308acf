"""the parts of a draft on their way into files: their statements, and what the user said of them"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from qb_engine.database.connect import server_error
from qb_engine.drafting import cell, python_text
from qb_engine.drafting.derive import WayBack
from qb_engine.drafting.store import Draft, PartName
from qb_engine.errors import InputError
from qb_engine.migrations.filling import amounts_to
from qb_engine.migrations.folder import load_part
from qb_engine.migrations.python_file import load_backfill
from qb_engine.schema import Snapshot
from qb_engine.sql import Source, SqlError, Statement, qualified, read

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.migrations import Backfill, Reader

ORDER: tuple[PartName, ...] = ("pre", "migration", "post")


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
    held: tuple[str, ...] = ()  # what only a file in Python or SQL has a place for, in words
    said: str = ""  # the SQL in which its statements have their places, comments and all


def of_sql(name: str, text: str) -> list[Piece]:
    if not read(text):
        raise SqlError(
            f"there is no statement for {name}", todo="give it some SQL", code="bad-draft"
        )
    return [_sql_piece("migration", text)]


def of_draft(draft: Draft, reader: Reader) -> tuple[list[Piece], str]:
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
        return Piece(part, read(text), text, said=text)
    with file(f"{part}.sql", text) as path:
        loaded, constraints, _ = load_part(path, "migration", None)
    way = None
    if loaded.down or loaded.irreversible:
        way = WayBack(tuple(s.sql for s in loaded.down), irreversible=loaded.irreversible)
    return Piece(
        part, loaded.up, python_text.joined(s.sql for s in loaded.up), way=way,
        transaction=loaded.transaction, constraints=constraints or None,
        held=("the rules of expect",) * bool(loaded.expect), said=text,
    )  # fmt: skip


def _python_piece(name: str, part: PartName, text: str, reader: Reader) -> Piece:
    found = cell.run(text)
    with file("draft.py", python_text.from_cell(name, found, None, None)) as path:
        loaded, constraints, _ = load_part(path, "migration", reader)
    own = found.declares("down") or found.declares("irreversible")
    way = WayBack(tuple(s.sql for s in loaded.down), irreversible=loaded.irreversible)
    held = [*["the rules of expect"] * bool(loaded.expect)]
    if loaded.dynamic:
        held.append("Python that looks at the target: its SQL is what it gave for this target")
    return Piece(
        part, loaded.up, cell=found, way=way if own else None, transaction=loaded.transaction,
        constraints=constraints if found.declares("constraints") else None, held=tuple(held),
    )  # fmt: skip


def backfill(text: str) -> Backfill | None:
    if not text:
        return None
    with file("backfill.py", backfill_file(text)) as path:
        return load_backfill(path)[0]


def backfill_file(text: str) -> str:
    lines = cell.imports(text, ())
    return ("\n".join(lines) + "\n\n\n" if lines else "") + text.strip("\n") + "\n"


def home(pieces: Sequence[Piece]) -> str:
    """The part in which the constraints stand: the migration itself, or the first there is."""
    parts = [str(piece.part) for piece in pieces]
    return "migration" if "migration" in parts else parts[0] if parts else ""


def in_order(
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


# -- reading ---------------------------------------------------------------------------------------


def reader(conn: Connection) -> Reader:
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
def file(name: str, text: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="qb-draft-") as folder:
        path = Path(folder) / name
        path.write_text(text, encoding="utf-8", newline="")
        yield path
