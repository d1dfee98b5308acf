"""shadows: throw-away databases with a target's schema, or with what a script makes"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qb_engine.database.connect import connect, server_errors
from qb_engine.schema import snapshot
from qb_engine.shadow.lacking import Lacking, stand_ins
from qb_engine.shadow.reading import Reading
from qb_engine.shadow.roles import mirror, named_in
from qb_engine.shadow.script import run_script
from qb_engine.shadow.script_file import read_file
from qb_engine.shadow.server import MAINTENANCE, Scratch, scratch
from qb_engine.shadow.templates import CLONE, TEMPLATE, clone, sweep, template

if TYPE_CHECKING:
    from pathlib import Path

    from qb_engine.database.connect import Connection
    from qb_engine.database.target import Target
    from qb_engine.schema import Snapshot

__all__ = [
    "CLONE", "MAINTENANCE", "TEMPLATE", "Scratch", "Shadow", "clone", "from_file", "from_sql",
    "like", "loaded", "scratch", "sweep",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shadow:
    """An empty database of our own: connect to it as often as needed, then it is dropped.

    `uncertain` is what it lacks or has a stand-in for, and which objects are built on that.
    """

    scratch: Scratch
    dbname: str
    uncertain: tuple[Lacking, ...] = ()

    @property
    def missing(self) -> tuple[str, ...]:
        """What the target has and this one could not load, as sentences."""
        return tuple(str(each) for each in self.uncertain)

    @property
    def target(self) -> Target:
        """This database as the ordinary role reaches it."""
        return self.scratch.reached(self.dbname)

    def connect(self) -> Connection:
        """A session of the ordinary role that owns everything here."""
        return self.scratch.session(self.dbname)

    def standing_in(self, conn: Connection) -> tuple[Lacking, ...]:
        """The stand-ins as they are by now: a statement may have made one, or built on one."""
        known = {each.name for each in self.uncertain}
        now = {each.name: each for each in stand_ins(conn)}
        kept = tuple(now.get(each.name, each) for each in self.uncertain)
        return (*kept, *(each for name, each in now.items() if name not in known))


@contextmanager
def like(
    server: Scratch, target: Target, *, schema: Snapshot | None = None, owners: bool = True
) -> Iterator[Shadow]:
    """A fresh database with the schema of a target and no rows; dropped at the end.

    Read from the target only when this schema was not seen before. With `owners` objects belong to
    the roles of the same names where these can be had; what the target's own role owns, and all
    without `owners`, belongs to the shadow's.
    """
    with ExitStack() as stack:
        with server_errors("making a shadow", server.target), ExitStack() as reading_it:
            conn = connect(target, application_name="qb")
            reading_it.callback(conn.close)
            reading = Reading(conn, target, server, as_owned=owners)
            kept = template(
                server,
                reading.identity(schema or snapshot(conn)),
                reading.fill,
                owner=reading.template_owner,
            )
            with kept as (name, lacking):
                dbname = stack.enter_context(clone(server, name, owner=reading.owner))
            reading.finish(dbname)
        with server_errors("working on a shadow", server.target):
            yield Shadow(server, dbname, lacking)


@contextmanager
def from_sql(server: Scratch, ddl: str, name: str = "") -> Iterator[Shadow]:
    """A fresh database in which a script has run; the same script runs only once per server.

    `name` says in messages where the script comes from. Raise InputError when it is not SQL.
    """
    with ExitStack() as stack:
        doing = f"making a shadow of {name or 'a script'}"
        with server_errors(doing, server.target):

            def fill(dbname: str) -> tuple[Lacking, ...]:
                return run_script(server, dbname, ddl, name)

            if named := named_in(ddl):  # those of a kept template may have been swept since
                mirror(server, named)
            with template(server, f"sql:{ddl}", fill) as (kept, lacking):
                dbname = stack.enter_context(clone(server, kept))
        with server_errors("working on a shadow", server.target):
            yield Shadow(server, dbname, lacking)


@contextmanager
def from_file(server: Scratch, path: Path) -> Iterator[Shadow]:
    """A fresh database as a file of SQL makes it: psql's commands and COPY's rows are left out."""
    with from_sql(server, read_file(path), str(path)) as shadow:
        yield shadow


loaded = from_sql
