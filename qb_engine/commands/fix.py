"""`qb fix`: an unsafe migration becomes a safe folder migration, proved, shown, written"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import click

from qb_engine.commands import Session, qb_command
from qb_engine.commands._findings import counted
from qb_engine.errors import InputError, RefusedError, nearby
from qb_engine.report import Column, Report, Table

if TYPE_CHECKING:
    from qb_engine.analysis.fixing import Fixed, Ground
    from qb_engine.migrations import LoadedMigration

FOLDER = "migrations"


@dataclass(frozen=True)
class FixReport(Report):
    """The safe form of a migration: what was there, the parts, the proof, and what was written."""

    name: ClassVar[str] = "fix"
    fixed: Fixed
    old: str
    against: str
    folder: Path | None = None
    write_with: str = ""  # the command that writes it
    missing: tuple[str, ...] = ()
    asked: bool = False  # the difference was shown already, and agreed to

    @property
    def ok(self) -> bool:
        return self.fixed.ok and bool(self.fixed.files or not self._left())

    def headline(self) -> str:
        id = self.fixed.migration.id
        if not self.fixed.ok:
            return f"{id} was not fixed: {self.fixed.proof.why}"
        if not self.fixed.files:
            return (
                f"{id} is not safe, and was not fixed" if self._left() else f"{id} is safe as it is"
            )
        before = counted(self.fixed.proof.before) or "none"
        after = counted((*self.fixed.proof.after, *self.fixed.proof.left)) or "none"
        done = nearby(f"written to {self.folder}") if self.folder else "proved, not written"
        return f"{id} in {len(self.fixed.files)} parts; hazards: {before}, then {after}; {done}"

    def tables(self) -> Sequence[Table]:
        found = []
        if self.fixed.files:
            parts = (Column("part", "code"), Column("what it is for"), Column("transaction"))
            found.append(Table("parts", parts, tuple(self._parts())))
            if not self.asked:
                found.append(Table("difference", (Column("text", "code"),), ((self.diff(),),)))
        if self._hazards():
            hazards = (
                Column("hazard"),
                Column("severity"),
                Column("statement", "code"),
                Column("now"),
            )
            found.append(Table("hazards", hazards, tuple(self._hazards())))
        if self._left():
            stays = (Column("statement", "code"), Column("why"), Column("instead"))
            found.append(Table("what stays as it is", stays, tuple(self._left())))
        return found

    def diff(self) -> str:
        """The old text against the new files, as a unified diff."""
        old = self.old.rstrip().splitlines()
        migration = self.fixed.migration
        lines = list(
            difflib.unified_diff(old, [], migration.path.name, "(replaced)", lineterm="", n=1)
        )
        for name, text in self.fixed.files.items():
            new = text.rstrip().splitlines()
            lines += difflib.unified_diff([], new, "(new)", f"{migration.id}/{name}", lineterm="")
        return "\n".join(lines)

    def notes(self) -> Sequence[str]:
        proof = self.fixed.proof
        found = []
        if self.fixed.files and proof.ok:
            found.append(
                "proved on copies of a shadow: original and safe form end in the same schema"
                + (", but for what is said here" if proof.explained else "")
            )
        found += proof.explained
        found += self.fixed.notes
        if self.fixed.irreversible:
            found.append(f"no way back: {self.fixed.irreversible}")
        elif self.fixed.files and proof.ok:
            found.append("its way back was run on the shadow, and leads back")
        found += [f"accepted: {f.hazard}: {f.accepted}" for f in proof.after if f.accepted]
        found += [f"the shadow lacks: {text}" for text in self.missing]
        found.append(self.against)
        if self.fixed.files and proof.ok and self.folder is None:
            found.append(f"nothing was written; write it with: {self.write_with}")
        return list(dict.fromkeys(found))

    def as_dict(self) -> dict[str, Any]:
        fixed, proof = self.fixed, self.fixed.proof
        return {
            "migration": fixed.migration.id,
            "files": dict(fixed.files),
            "written": str(self.folder) if self.folder else None,
            "proof": {
                "ok": proof.ok,
                "why": proof.why,
                "differs": list(proof.differs),
                "explained": list(proof.explained),
                "before": [f.as_dict() for f in proof.before],
                "after": [f.as_dict() for f in (*proof.after, *proof.left)],
            },
            "open": list(fixed.open),
            "irreversible": fixed.irreversible,
            "left": [
                {"statement": each.statement, "why": each.reason, "instead": each.todo}
                for each in fixed.left
            ],
            "notes": list(fixed.notes),
        }

    def _parts(self) -> Iterator[tuple[str, str, str]]:
        for name, text in self.fixed.files.items():
            if name == "backfill.py":
                yield name, text.split('"""')[1], "one for each batch"
                continue
            comments = [line[3:] for line in _up(text) if line.startswith("-- ")]
            whys = [line for line in comments if not line.startswith("qb:")]
            alone = "-- qb:transaction false" in text
            yield name, "\n".join(whys) or "as it was", "one for each statement" if alone else "one"

    def _hazards(self) -> Iterator[tuple[str, str, str, str]]:
        proof = self.fixed.proof
        still = {(f.hazard, f.relation) for f in (*proof.after, *proof.left) if not f.accepted}
        known = {(f.hazard, f.relation) for f in proof.before}
        for f in proof.before:
            gone = self.fixed.files and (f.hazard, f.relation) not in still
            now = "accepted" if f.accepted else "gone" if gone else "stays"
            yield f.hazard, str(f.severity), f.statement, now
        for f in proof.after:
            if (f.hazard, f.relation) not in known and not f.accepted:
                yield f.hazard, str(f.severity), f.statement, "new"

    def _left(self) -> list[tuple[str, str, str]]:
        """What is not made safe: what recipes say of it, and hazards that stay, once each."""
        found = [(each.statement, each.reason, each.todo) for each in self.fixed.left]
        said = {statement for statement, _, _ in found}
        stays = self.fixed.proof.left if self.fixed.files else self.fixed.proof.before
        return found + [
            (f.statement, f.message, f.fix)
            for f in stays
            if f.statement not in said and not f.accepted
        ]


def _up(text: str) -> list[str]:
    """The lines of the section up."""
    return re.split(r"\n-- qb:(?!accept)", text.partition("-- qb:up\n")[2])[0].splitlines()


@qb_command("fix", short_help="Turn an unsafe migration into a safe one, and prove it.")
@click.argument("migration")
@click.option("--write", is_flag=True, help="Write it: the folder takes the place of the file.")
@click.option("--yes", "write", is_flag=True, hidden=True)
@click.option("--out", type=click.Path(), metavar="FOLDER", help="Write it there instead.")
@click.option(
    "--default",
    "defaults",
    multiple=True,
    metavar="COLUMN=SQL",
    help="What rows that are there get in a column without a default; may be repeated.",
)
@click.option("--schema", "schema", metavar="FILE", help="The schema it runs on, without a target.")
@click.option("--scratch", metavar="URL", help="A server for the shadow, instead of the embedded.")
def command(
    session: Session,
    migration: str,
    write: bool,
    out: str | None,
    defaults: tuple[str, ...],
    schema: str | None,
    scratch: str | None,
) -> Report:
    """Rewrite MIGRATION (id, name, part, or a .sql file) so that it blocks nobody for long.

    What it becomes is a folder: migration.sql makes room, backfill.py writes rows in batches,
    post_*.sql proves and cleans up. Both forms are run on copies of a shadow and must end in the
    same schema; the safe form must not have the hazards. Nothing is written that is not proved.
    """
    from qb_engine.analysis.fixing import fix

    chosen = session.migration(migration, allow_path=True)
    values = _values(defaults)
    _refuse_applied(session, chosen, schema)
    with session.face.progress("making it safe"), _ground(session, chosen, schema, scratch) as at:
        ground, against = at
        fixed = fix(chosen, ground, values=values)
        missing = ground.base.missing
    again = f"qb fix {migration} --write"
    report = FixReport(fixed, _text(chosen), against, None, again, missing)
    if not fixed.files or not fixed.ok:
        return report
    folder = Path(out) if out else chosen.path.parent / chosen.id
    if not out and not chosen.stamp:
        return replace(report, write_with=f"qb fix {migration} --out FOLDER")
    asked = not (write or out)
    if asked and not _agreed(session, report):
        return report
    _write(folder, fixed, None if out else chosen.path)
    return replace(report, folder=folder, asked=asked)


def _text(migration: LoadedMigration) -> str:
    if migration.path.is_dir():
        return migration.text
    return migration.path.read_text(encoding="utf-8-sig")


def _values(defaults: Sequence[str]) -> dict[str, str]:
    """`COLUMN=SQL` options as a mapping. Raise InputError for what is no expression."""
    from qb_engine.sql.tree import expression

    found = {}
    for each in defaults:
        column, equals, sql = each.partition("=")
        if not equals or not column.strip() or not sql.strip():
            raise InputError(
                f"--default {each} does not say a column and a value",
                todo="write it as --default email=\"''\", or users.email=...",
                code="bad-option",
            )
        found[column.strip()] = expression(sql.strip())
    return found


def _refuse_applied(session: Session, migration: LoadedMigration, schema: str | None) -> None:
    """Raise RefusedError for a migration of the project that has run, or has begun to."""
    if schema or not migration.stamp:
        return
    from qb_engine import ledger

    with session.connect(application_name="qb fix") as conn:
        if not ledger.exists(conn):
            return
        standing = ledger.standing(conn).get(migration.id)
    if standing is None or standing.status == "rolled back":
        return
    raise RefusedError(
        f"{migration.id} is {standing.status} on {session.target.name} already",
        where=str(migration.path),
        why="what has run stays as it ran; the safe form would never run here",
        todo="write what is still wanted as a new migration, and fix that",
        code="edited-migration",
    )


@contextmanager
def _ground(
    session: Session, migration: LoadedMigration, schema: str | None, scratch_url: str | None
) -> Iterator[tuple[Ground, str]]:
    """A shadow just before the migration: like the target, or as a file says."""
    from qb_engine.analysis.fixing import Ground
    from qb_engine.analysis.fixing.ground import advance
    from qb_engine.analysis.hazards import Circumstances
    from qb_engine.shadow import from_sql, like, scratch

    server = scratch(session.project, scratch_url, session.watch)
    if schema is not None:
        path = Path(schema)
        if not path.is_file():
            raise InputError("there is no such file", where=schema, code="missing-file")
        text = path.read_text(encoding="utf-8-sig")
        with from_sql(server, text, schema) as shadow:
            said = f"seen on a shadow made by {nearby(schema)}; every table counts as big"
            yield Ground(shadow, Circumstances()), said
        return
    from qb_engine.analysis.figures import circumstances, expected_rows, figures

    earlier = _earlier(session, migration)
    with like(server, session.target) as shadow, session.connect(application_name="qb fix") as conn:
        advance(shadow, earlier)
        known = circumstances(conn, production=session.target.production)
        said = f"seen on an empty copy of {session.target.name}; the target was only read"
        ground = Ground(
            shadow,
            known,
            lambda names: figures(conn, names),
            lambda statement: expected_rows(conn, [(0, statement)]).get(0),
        )
        yield ground, said


def _earlier(session: Session, migration: LoadedMigration) -> list[LoadedMigration]:
    """The pending migrations that run before this one."""
    from qb_engine.commands._place import pending

    if not migration.stamp or not session.project.migrations.is_dir():
        return []
    _, todo, _ = pending(session)
    ids = [each.id for each in todo]
    return list(todo[: ids.index(migration.id)]) if migration.id in ids else []


def _agreed(session: Session, report: FixReport) -> bool:
    """Show it to who can be asked, and ask."""
    if not session.face.interactive or session.json:
        return False
    session.face.say(str(report))
    answer = session.face.ask("Write it? The folder takes the place of the file. [y/N] ")
    return (answer or "").strip().lower() in ("y", "yes")


def _write(folder: Path, fixed: Fixed, old: Path | None) -> None:
    """Write the folder, whole or not at all; the old file is kept in it, out of what runs."""
    import os
    import shutil

    beside = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(beside, ignore_errors=True)
    if folder.exists() and folder != old:
        raise InputError(
            "the folder is there already",
            where=str(folder),
            why="qb never writes over what it did not make",
            todo="name another folder, or remove it",
            code="file-exists",
        )
    beside.mkdir(parents=True)
    for name, text in fixed.files.items():
        (beside / name).write_text(text, encoding="utf-8", newline="")
    if old is None:
        os.replace(beside, folder)
    elif old.is_dir():
        for file in sorted(each for each in old.iterdir() if each.is_file()):
            kept = file.name if file.name.startswith(("_", "README")) else f"_original_{file.name}"
            shutil.copyfile(file, beside / kept)
        away = folder.with_name(f".{folder.name}.old")
        os.replace(old, away)
        os.replace(beside, folder)
        shutil.rmtree(away)
    else:
        shutil.copyfile(old, beside / f"_original{old.suffix}")
        os.replace(beside, folder)
        old.unlink()
