"""`qb typeorm import`: find a TypeORM project, say in qb.toml where it is, and read it"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qb_engine.commands import Session, qb_command
from qb_engine.commands.typeorm._imported import ImportReport
from qb_engine.errors import InputError, QbError, nearby
from qb_engine.project import FILE, Project
from qb_engine.report import Report, plain

if TYPE_CHECKING:
    from qb_engine._config import Config
    from qb_engine.migrations import Migrations
    from qb_engine.typeorm.settings import Edited, Settings
    from qb_engine.typeorm.sources import Said
    from qb_engine.typeorm.survey import Standing


@dataclass(frozen=True)
class _Previewed(Project):
    """A project as it would be with another qb.toml."""

    said: Any = None

    @cached_property
    def config(self) -> Config:
        found: Config = self.said
        return found


@qb_command("import", short_help="Find a TypeORM project and read its migrations.")
@click.option(
    "--data-source",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Its data source (default: what package.json names, or src/data-source.ts).",
)
@click.option("--migrations", "globs", multiple=True, metavar="GLOB", help="Where they are.")
@click.option("--table", metavar="NAME", help="Where TypeORM records them, if not in migrations.")
@click.option("--schema", metavar="NAME", help="The schema of that table.")
@click.option(
    "--allow-execution",
    is_flag=True,
    help="Let node load the data source, and run what cannot be read on a scratch database.",
)
@click.option("--yes", is_flag=True, help="Write qb.toml (and recordings) without asking.")
@click.option("--scratch", metavar="URL", help="A server to record on, instead of the embedded.")
@click.option(
    "--timeout", default="60s", show_default=True, help="How long one migration may take there."
)
def part(
    session: Session,
    data_source: Path | None,
    globs: tuple[str, ...],
    table: str | None,
    schema: str | None,
    allow_execution: bool,
    yes: bool,
    scratch: str | None,
    timeout: str,
) -> Report:
    """Find the data source and the migrations of a TypeORM project, and write where they are into
    qb.toml. Then say of each migration whether qb can read what it does.

    Nothing of the project's own is changed or, without --allow-execution, run. What cannot be read
    is then run with the project's own TypeORM on a scratch database, never on the target, and what
    it sent is kept in qb-recorded.json beside the migrations.
    """
    from qb_engine.project import seconds

    each_s = seconds(timeout)
    remarks: list[str] = []
    settings, source = _found(session, data_source, globs, table, schema, allow_execution, remarks)
    edit = _edited(session, settings)
    project = _project(session, edit)
    face = session.face
    if edit.added and not yes and face.interactive:
        face.say("qb.toml would say: " + ", ".join(edit.added))
        yes = face.ask("write it? type yes: ") == "yes"
    written = bool(edit.added) and yes
    if written:
        session.project.file.write_text(edit.text, encoding="utf-8", newline="")
        project = session.project = Project(session.project.root)
    migrations, found = _surveyed(session, project, remarks)
    remarks += _extensions(migrations)
    report = ImportReport(
        settings.migrations,
        found,
        edit.added,
        written,
        remarks=(*remarks, *migrations.notes),
        root=str(session.project.root),
    )
    waiting = [each for each in found if each.record and (allow_execution or not each.tried)]
    if not waiting:
        return report
    if not allow_execution and face.interactive:
        face.say(plain(report))
        asked = f"run the code of {len(waiting)} migrations on a scratch database? type yes: "
        allow_execution = yes = face.ask(asked) == "yes"
    if not allow_execution:
        return report
    if not yes:
        return replace(
            report,
            remarks=(*report.remarks, "recording writes qb-recorded.json, and so needs --yes"),
        )
    try:
        recorded, said = _record(session, project, migrations, found, source, scratch, each_s)
    except InputError as error:
        if error.code != "not-recorded":
            raise
        why = f"nothing was recorded: {error.what} ({error.why}); {error.todo}"
        return replace(report, remarks=(*report.remarks, why))
    migrations, found = _surveyed(session, project, [], {e.name: e.applied for e in found})
    return replace(
        report,
        migrations=found,
        recorded=tuple(sorted(recorded.recordings)),
        remarks=(*report.remarks, *said),
    )


def _found(
    session: Session,
    given: Path | None,
    globs: Sequence[str],
    table: str | None,
    schema: str | None,
    allow_execution: bool,
    remarks: list[str],
) -> tuple[Settings, Path | None]:
    """Where the migrations are: as the options say, and for the rest as the data source does."""
    from qb_engine.typeorm import sources
    from qb_engine.typeorm.finding import data_source_file

    root = session.project.root
    path: Path | None = None
    said = sources.Said()
    told = given or _configured(session)
    try:
        one = data_source_file(root, told)
        path = one.path
        remarks += [one.note] if one.note else []
    except InputError:
        if not globs or given is not None:
            raise
        remarks.append("no data source was found: the options alone say where the migrations are")
    if path is not None:
        options = {"migrations": bool(globs), "migrationsTableName": bool(table)}
        options["schema"] = schema is not None
        said = _said(path, root, [name for name, there in options.items() if there],
                     allow_execution, session, remarks)  # fmt: skip
    home = sources.home_of(root, path) if path is not None else root
    if globs:
        said, home = replace(said, migrations=tuple(globs)), root
    if table:
        said = replace(said, table=table)
    if schema:
        said = replace(said, schema=schema)
    settings, notes = sources.settings_of(root, said, path, home)
    remarks += notes
    if said.mode and said.mode != "all":
        remarks.append(f"the data source runs migrations in the mode {said.mode}")
    return settings, path


def _said(
    path: Path,
    root: Path,
    given: Sequence[str],
    allow_execution: bool,
    session: Session,
    remarks: list[str],
) -> Said:
    """What the data source says; asked of node where its text does not tell and that is allowed."""
    from qb_engine.typeorm import sources

    said = sources.read(path, sources.home_of(root, path))
    lacking = said.lacking(given)
    if not lacking:
        return said
    if not allow_execution and session.face.interactive:
        names = ", ".join(lacking)
        asked = f"the data source computes {names}: let node load it? type yes: "
        allow_execution = session.face.ask(asked) == "yes"
    if allow_execution:
        said = sources.asked(sources.home_of(root, path), path)
        remarks.append("node loaded the data source, since its text alone does not tell enough")
        lacking = said.lacking(given)
    sources.refuse_unread(path, lacking, loaded=allow_execution)
    return said


def _configured(session: Session) -> Path | None:
    named = session.project.config.typeorm.data_source
    return Path(named) if named else None


def _edited(session: Session, settings: Settings) -> Edited:
    from qb_engine.typeorm.settings import edited

    file = session.project.root / FILE
    if not file.is_file():
        return edited(None, settings, str(file))
    text = file.read_bytes().decode("utf-8-sig")
    folder = session.project.root / session.project.config.migrations
    fresh = not folder.is_dir() or not any(folder.iterdir())
    return edited(text, settings, str(file), fresh=session.project.config.migrations * fresh)


def _project(session: Session, edit: Edited) -> Project:
    """The project as it would be."""
    import tomllib

    from qb_engine._config import Config

    if not edit.added:
        return session.project
    config = Config.model_validate(tomllib.loads(edit.text))
    return _Previewed(session.project.root, config)


def _surveyed(
    session: Session,
    project: Project,
    remarks: list[str],
    known: dict[str, bool | None] | None = None,
) -> tuple[Migrations, tuple[Standing, ...]]:
    """Every migration as it stands; the target is asked once."""
    from qb_engine.migrations import load
    from qb_engine.typeorm.survey import survey

    migrations = load(project.migrations, format=project.config.format, project=project)
    if known is not None:
        found = survey(migrations, None)
        return migrations, tuple(replace(e, applied=known.get(e.name)) for e in found)
    return migrations, survey(migrations, _applied(session, project, remarks))


def _extensions(migrations: Migrations) -> list[str]:
    """What TypeORM would make in a new database, and nobody else does."""
    from qb_engine.typeorm.recording import extensions

    needed = extensions([each.text for each in migrations.all])
    if not needed:
        return []
    made = "; ".join(f'CREATE EXTENSION "{name}"' for name in needed)
    return [f"in a new database TypeORM makes these by itself, and qb does not: {made}"]


def _applied(session: Session, project: Project, remarks: list[str]) -> frozenset[str] | None:
    """The names in TypeORM's history on the target; None when it cannot be asked."""
    from qb_engine.database.connect import server_errors
    from qb_engine.database.target import ENVIRONMENT, LIBPQ
    from qb_engine.ledger import typeorm

    named = session.option or project.config.default not in (None, "embedded")
    if not named and not any(os.environ.get(each) for each in (*ENVIRONMENT, *LIBPQ)):
        remarks.append("no target is named, so nobody was asked what is applied: -c TARGET")
        return None
    try:
        with session.connect() as conn, server_errors("reading the history", session.target):
            conn.read_only = True
            history = typeorm.history_of(conn, project.config.typeorm)
            if not typeorm.there(conn, history):
                remarks.append(f"TypeORM has applied nothing on {session.target.name} yet")
                return frozenset()
            return frozenset(row.name for row in typeorm.rows(conn, history))
    except QbError as error:
        remarks.append(f"what is applied is not known: {error.what}")
        return None


def _record(
    session: Session,
    project: Project,
    migrations: Migrations,
    found: Sequence[Standing],
    source: Path | None,
    scratch_url: str | None,
    each_s: float,
) -> tuple[Any, list[str]]:
    """Record what asks for it, and keep it beside the migrations."""
    from qb_engine.migrations.typescript.recordings import (
        Refusal,
        digest,
        recordings_of,
        refusals_of,
        write,
    )
    from qb_engine.shadow import from_sql, like, scratch
    from qb_engine.typeorm import node, recording, survey
    from qb_engine.typeorm.sources import home_of

    root = home_of(project.root, source) if source else project.root
    node.found(root)  # without one no server need be started
    planned = survey.steps(migrations, found)
    texts = [each.text for each in migrations.all]
    ddl = recording.found_there(texts, project.config.typeorm.in_schema)
    server = scratch(project, scratch_url, session.watch)
    known = any(each.applied is not None for each in found)
    recorded = recording.record(
        root,
        migrations.folder,
        planned,
        lambda: from_sql(server, ddl),
        (lambda: like(server, session.target)) if known else None,
        data_source=source,
        each_s=each_s,
        tell=session.face.say,
    )
    said = list(recorded.notes)
    stopped = recorded.stopped == recording.LOADING
    if stopped:
        said.append(f"nothing could be recorded: {recorded.why}")
    paths = {each.name: each.path for each in found}
    refused = {n: Refusal(digest(paths[n]), why) for n, why in recorded.refused.items()}
    if recorded.recordings or (refused and not stopped):
        kept = {
            name: each
            for name, each in recordings_of(migrations.folder).items()
            if name in paths and name not in refused
        }
        tried = {n: e for n, e in refusals_of(migrations.folder).items() if n in paths}
        tried = {n: e for n, e in tried.items() if n not in recorded.recordings}
        file = write(migrations.folder, {**kept, **recorded.recordings}, {**tried, **refused})
        said.append(f"kept in {nearby(str(file))}: commit it with the migrations")
    return recorded, said
