"""loading DDL into an empty database: at once where it goes, else one by one, naming failures"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING

import psycopg
from psycopg.pq import TransactionStatus

from qb_engine.errors import InputError
from qb_engine.shadow.extensions import Extension, add
from qb_engine.shadow.lacking import Lacking
from qb_engine.shadow.roles import NAME, Role, bare
from qb_engine.shadow.standing_in import instead
from qb_engine.sql import Source, SqlError, Statement, ident, read_framed

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection

CHUNK = 120_000  # characters in one transaction: some hundred tables, so that locks suffice
BATCH = 100  # statements of a script that are tried in one go
WORDS = 90  # characters of a statement that names itself
ROUNDS = 5  # how often what failed is tried again: what it needs may come later

_ENTRY = "\n--\n-- Name: "  # begins each object of pg_dump's text
_GIVEN = re.compile(rf"(?is)ALTER\s.*\sOWNER\s+TO\s+({NAME})\s*$")
_ROLE = re.compile(r'role "(.+)" does not exist')

# what a superuser did on the target, and an admin may do here: definitions that do nothing alone
_ADMINS = re.compile(
    r"(?i)\s*(?:CREATE\s+(?:OR\s+REPLACE\s+)?(?:TRUSTED\s+|PROCEDURAL\s+)*"
    r"(?:TYPE|OPERATOR|CAST|TRANSFORM|TEXT\s+SEARCH|ACCESS\s+METHOD|EVENT\s+TRIGGER|SERVER"
    r"|USER\s+MAPPING|FOREIGN\s+(?:TABLE|DATA\s+WRAPPER)|PUBLICATION|LANGUAGE|CONVERSION)"
    r"|ALTER\s+(?:OPERATOR|EVENT\s+TRIGGER|PUBLICATION|LANGUAGE|DEFAULT\s+PRIVILEGES"
    r"|[A-Z ]+\s[^\n]*\sOWNER\s+TO)|COMMENT\s+ON|GRANT|REVOKE)\b"
)
_ADMINS_TOO = re.compile(r"(?i)\s*CREATE\s+(?:OR\s+REPLACE\s+)?FUNCTION\b")


class Loader:
    """Two sessions in an empty database: the owner's, and the admin's for what an owner may not.

    `roles` makes roles that turn out to be missing. With `trusted` the text is pg_dump's, and the
    functions in C that it holds were a superuser's. What a script gives to roles that are not
    `usable`, superusers say, stays with the one who loads it.
    """

    def __init__(
        self,
        acting: Connection,
        admin: Connection,
        roles: Callable[[Sequence[Role]], object],
        *,
        trusted: bool,
        as_role: str = "",
        usable: Collection[str] | None = None,
    ) -> None:
        self.acting = acting
        self.admin = admin
        self.roles = roles
        self.trusted = trusted
        self.lacking: list[Lacking] = []
        self.members: dict[str, frozenset[tuple[int, int]]] = {}  # of extensions by script
        self._as_role = as_role
        self._usable = usable
        for conn in (acting, admin):
            conn.execute("SET synchronous_commit = off")  # it is made anew when lost
        self._begin()

    def extension(self, extension: Extension) -> None:
        """Make an extension, or what stands in for it."""
        added = add(self.acting, self.admin, extension)
        self._begin()
        if added.lacking:
            self.lacking.append(added.lacking)
        if added.members:
            self.members[extension.name] = added.members

    def dump(self, ddl: str, more: Sequence[str] = ()) -> None:
        """Load what pg_dump wrote, chunk by chunk; from the first that fails on, one by one.

        `more` are statements that belong somewhere in between.
        """
        at = 0
        if more:
            self.statements([*_read(ddl), *(Statement(text, Source()) for text in more)])
            self._begin()
            return
        for chunk in chunks(ddl):
            if self._tried(self.acting, chunk) is not None:
                self._begin()
                self._rest(ddl[at:], ddl.count("\n", 0, at) + 1)
                return
            at += len(chunk)
        self._begin()

    def privileges(self, ddl: str) -> None:
        """Load grants and what follows them, which are not all the owner's to give."""
        for chunk in chunks(ddl):
            if self._tried(self.admin, chunk) is not None:
                self.admin.execute("RESET SESSION AUTHORIZATION")
                self.statements(_read(chunk), self.admin)
        self.admin.execute("RESET ALL")

    def script(self, ddl: str, name: str = "") -> None:
        """Load a text of the user's. Raise InputError when it is not SQL."""
        try:
            statements: Sequence[Statement] = read_framed(ddl, Source(name))[0]
        except SqlError as error:
            if self._tried(self.acting, ddl) is None:  # the server's grammar may be newer
                return
            raise InputError(
                "the schema cannot be read",
                where=error.where,
                why=error.why or error.what,
                todo=error.todo,
                code=error.code,
            ) from None
        batch: list[Statement] = []
        for statement in statements:
            if statement.kind == "create_extension":
                self._batch(batch)
                batch = []
                self.extension(_extension(statement))
            elif self._wanted(statement):
                batch.append(statement)
            if len(batch) == BATCH:
                self._batch(batch)
                batch = []
        self._batch(batch)

    def statements(self, statements: Sequence[Statement], conn: Connection | None = None) -> None:
        """Run statements one by one; name those that still fail when others have gone well."""
        left = list(statements)
        failed: list[tuple[Statement, psycopg.Error]] = []
        for _ in range(ROUNDS):
            failed = [(s, error) for s in left if (error := self._run(s, conn)) is not None]
            if not failed or len(failed) == len(left):
                break
            left = [statement for statement, _ in failed]
        again = []
        for statement, error in failed:
            other = instead(statement, error)
            if other and self._tried(self.admin, other) is None:
                what = summary(statement)
                self.lacking.append(Lacking(what, "statement", stubbed=True, why=text_of(error)))
            else:
                again.append((statement, error))
        if again and len(again) < len(failed):
            self.statements([statement for statement, _ in again], conn)
            return
        self.lacking += [Lacking(summary(s), "statement", why=text_of(e)) for s, e in again]

    def _wanted(self, statement: Statement) -> bool:
        if statement.kind == "comment" and "EXTENSION" in statement.sql[:40].upper():
            return False
        given = _GIVEN.match(statement.sql)
        return not given or self._usable is None or bare(given[1]) in self._usable

    def _batch(self, batch: Sequence[Statement]) -> None:
        """Run statements at once, or one by one where that fails."""
        if batch and self._tried(self.acting, ";\n".join(s.sql for s in batch)) is not None:
            self.statements(batch)

    def _rest(self, ddl: str, first_line: int) -> None:
        try:
            statements: Sequence[Statement] = _read(ddl, first_line)
        except SqlError:  # the grammar is older than the target: pg_dump's own parts, then
            statements = [Statement(part, Source()) for part in chunks(ddl, 0)]
        self.statements(statements)

    def _run(self, statement: Statement, conn: Connection | None) -> psycopg.Error | None:
        acting = conn or self.acting
        error = self._tried(acting, statement.sql)
        if error is not None and (named := _ROLE.search(text_of(error))):
            self.roles([Role(named[1])])
            error = self._tried(acting, statement.sql)
        if isinstance(error, psycopg.errors.InsufficientPrivilege) and self._admins(statement.sql):
            path = self.acting.execute("SELECT pg_catalog.current_setting('search_path')")
            found = path.fetchone()
            self.admin.execute("SELECT pg_catalog.set_config('search_path', %s, false)", found)
            error = self._tried(self.admin, statement.sql) and error
        return error

    def _admins(self, sql: str) -> bool:
        return bool(_ADMINS.match(sql) or (self.trusted and _ADMINS_TOO.match(sql)))

    def _tried(self, conn: Connection, sql: str) -> psycopg.Error | None:
        try:
            conn.execute(sql.encode())
        except psycopg.Error as error:
            if conn.closed:
                raise
            if conn.info.transaction_status != TransactionStatus.IDLE:
                conn.execute("ROLLBACK")
            return error
        return None

    def _begin(self) -> None:
        """Settings as a load begins with them; what pg_dump sets holds to its end."""
        if self._as_role:
            self.acting.execute(f"SET ROLE {ident(self._as_role)}".encode())
        self.acting.execute("SET check_function_bodies = off")
        if self.trusted:
            self.acting.execute("SET search_path = ''")


def chunks(ddl: str, size: int = CHUNK) -> Iterator[str]:
    """Parts of pg_dump's text that begin with an object each, so that locks suffice for one."""
    start = 0
    while start < len(ddl):
        end = ddl.find(_ENTRY, start + max(size, 1))
        end = len(ddl) if end < 0 else end
        yield ddl[start:end]
        start = end


def summary(statement: Statement) -> str:
    """A statement's first words and its line."""
    words = " ".join(statement.sql.split())
    short = words if len(words) <= WORDS else f"{words[: WORDS - 3]}..."
    return f"{statement.source}: {short}"


def text_of(error: psycopg.Error) -> str:
    """What the server said."""
    return error.diag.message_primary or " ".join(str(error).split())


def _read(ddl: str, first_line: int = 1) -> tuple[Statement, ...]:
    return read_framed(ddl, Source("", first_line))[0]


def _extension(statement: Statement) -> Extension:
    options = {o.def_elem.defname: o.def_elem.arg for o in statement.node.options}
    schema = options["schema"].string.sval if "schema" in options else "public"
    return Extension(statement.node.extname, schema)
