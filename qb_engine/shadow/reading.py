"""a target's schema on its way into a template: read once, loaded as an ordinary role"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg

from qb_engine.shadow import extensions, owners
from qb_engine.shadow.dump import closed_to, dump
from qb_engine.shadow.lacking import Lacking, built_on, stand_ins
from qb_engine.shadow.load import Loader, text_of
from qb_engine.shadow.roles import mirror, roles_of
from qb_engine.shadow.server import MAINTENANCE, Scratch, actor
from qb_engine.shadow.stubs import described

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.database.target import Target
    from qb_engine.schema import Snapshot

SYSTEM = "SELECT system_identifier FROM pg_catalog.pg_control_system()"


class Reading:
    """How the schema of one target comes to one scratch server.

    Where the target lives on that very server, a kept template must not hold on to its roles, or
    they could not be dropped: there owners are set on each copy, and grants are left out.
    """

    def __init__(
        self, conn: Connection, target: Target, server: Scratch, *, as_owned: bool = True
    ) -> None:
        self._conn = conn
        self._target = target
        self._server = server
        admin = server.connect(MAINTENANCE)
        try:
            who = actor(admin)
            ours = _system(admin)
            self.same = ours is not None and _system(conn) == ours
        finally:
            admin.close()
        usable = mirror(server, roles_of(conn), harmless=True)
        row = conn.execute("SELECT current_user::text").fetchone()
        assert row is not None
        self._counts = owners.counted(conn) if as_owned and who.ours else {}
        # the target's own role is played by the shadow's
        self._as = {
            name: name if name in usable and name != row[0] else who.name for name in self._counts
        }
        main = next(iter(self._counts), "")
        self.owner = self._as.get(main, who.name)
        self._us = who.name
        self._closed = closed_to(conn)

    def identity(self, schema: Snapshot) -> str:
        """What a template of this schema is found by."""
        kind = "same" if self.same else f"apart:{sorted(self._as.items())}"
        closed = ",".join(map(str, self._closed))
        return f"{schema.server_version}:{schema.fingerprint}:{kind}:{closed}"

    @property
    def template_owner(self) -> str:
        """Who owns the template, and most of what is in it."""
        return self._us if self.same else self.owner

    def fill(self, dbname: str) -> tuple[Lacking, ...]:
        """Load the schema into an empty database; return what cannot be had there."""
        closed = self._closed
        found = dump(self._target, privileges=not self.same, extensions=False, closed=closed)
        acting, admin = self._server.session(dbname), self._server.connect(dbname)
        try:
            loader = Loader(
                acting,
                admin,
                lambda roles: mirror(self._server, roles),
                trusted=True,
                as_role=self.template_owner if self.template_owner != self._us else "",
            )
            sql = found.sql
            there = extensions.known(admin)
            for each in extensions.installed(self._conn):
                if each.name not in there:
                    each = replace(each, stubs=described(self._conn, each))
                loader.extension(each)
                sql = sql.replace(*extensions.schema_made_before(each), 1)
            loader.dump(sql, [text for each in closed for text in each.stub])
            loader.lacking += [
                Lacking(str(each), "relation", bool(each.stub), (str(each),), "not ours to read")
                for each in closed
            ]
            if not self.same:
                self._hand_over(admin, self.owner)
            loader.privileges(found.privileges)
            return settled(loader, admin)
        finally:
            acting.close()
            admin.close()

    def finish(self, dbname: str) -> None:
        """Give what a copy holds to who owns it on the target."""
        if self.same and any(name != self._us for name in self._as.values()):
            admin = self._server.connect(dbname)
            try:
                self._hand_over(admin, self._us)
            finally:
                admin.close()

    def _hand_over(self, admin: Connection, holder: str) -> None:
        to = {name: other for name, other in self._as.items() if other != holder}
        for script in owners.handed(self._conn, to):
            try:
                admin.execute(script.encode())
            except psycopg.Error:  # one of them could not be loaded
                if admin.closed:
                    raise
                for one in script.split("; "):
                    _tried(admin, one)


def settled(loader: Loader, admin: Connection) -> tuple[Lacking, ...]:
    """What a load lacks, with what is built on the stand-ins now that all is there."""
    real = {each.name: each for each in stand_ins(admin)}
    found = []
    for each in loader.lacking:
        if each.kind == "extension" and each.name in loader.members:
            each = replace(each, objects=built_on(admin, loader.members[each.name]))
        found.append(real.pop(each.name, each) if each.kind == "extension" else each)
    return (*found, *real.values())


def _tried(admin: Connection, sql: str) -> str:
    try:
        admin.execute(sql.encode())
    except psycopg.Error as error:
        if admin.closed:
            raise
        return text_of(error)
    return ""


def _system(conn: Connection) -> object:
    """What tells one server from another; None where that may not be asked."""
    try:
        row = conn.execute(SYSTEM).fetchone()
    except psycopg.errors.InsufficientPrivilege:
        return None
    return row and row[0]
