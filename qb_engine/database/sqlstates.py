"""what PostgreSQL's error numbers mean: a page of the error catalogue, and what to do"""

from __future__ import annotations

from dataclasses import dataclass

import psycopg


@dataclass(frozen=True, slots=True)
class Explained:
    """The catalogue's code of an error, and what to do about it.

    `todo` is the beginning of a sentence, without a full stop: the command that goes on may follow
    as ", then: qb run". It is empty where only the statement itself can be mended. `extension` is
    the one that what is missing belongs to.
    """

    code: str
    todo: str = ""
    extension: str = ""


# By SQLSTATE, the longest prefix wins: the code, and what to do. %(name)s is the server's word.
TABLE: dict[str, tuple[str, str]] = {
    "0A": ("not-supported", "write it another way: the detail and the hint say why"),
    "08": ("connection-lost", "see that the server runs"),
    "08P01": ("server-refused", "see whether a proxy stands between qb and the server"),
    "22": ("bad-value", "look at the rows that do not fit, and mend them or the statement"),
    "22012": ("bad-value", "guard the division: nullif(divisor, 0)"),
    "22P02": ("bad-value", "find the rows that do not fit, and mend them before"),
    "23": ("constraint-violated", "mend the rows that violate %(constraint_name)s"),
    "23502": ("constraint-violated", "fill the NULLs of %(table_name)s.%(column_name)s before"),
    "23503": (
        "constraint-violated",
        "add the rows that %(constraint_name)s refers to, or delete those that refer to nothing",
    ),
    "23505": (
        "constraint-violated",
        "remove the duplicates that %(constraint_name)s does not allow",
    ),
    "23514": ("constraint-violated", "mend the rows that %(constraint_name)s refuses"),
    "23P01": ("constraint-violated", "mend the rows that overlap: %(constraint_name)s"),
    "25001": (
        "needs-no-transaction",
        "let it run on its own: transaction = False (-- qb:transaction false in SQL)",
    ),
    "25006": ("read-only", "connect to the primary as a role that may write"),
    "25P03": ("connection-lost", "raise idle_in_transaction_session_timeout of the role"),
    "25P04": ("statement-timeout", "raise transaction_timeout of the role or database"),
    "28": ("cannot-connect", "mend the role, the password or pg_hba.conf"),
    "2BP01": ("has-dependents", "drop what depends on it before, each by its name"),
    "2D000": (
        "needs-no-transaction",
        "let it run on its own, for it commits: transaction = False",
    ),
    "3D000": ("cannot-connect", "create the database, or name another one"),
    "3F000": ("does-not-exist", "create the schema before, or mend its name"),
    "40001": ("serialization-failure", "run it again when the database is quieter"),
    "40P01": ("deadlock", "run it again; lock the tables in the application's order"),
    "42501": ("missing-privilege", "connect as a role with that privilege, or have it granted"),
    "42601": ("bad-sql", "mend the SQL at the place that is marked"),
    "42602": ("bad-sql", "mend the name that is marked"),
    "42622": ("bad-sql", "choose a shorter name: 63 bytes at most"),
    "42611": ("bad-sql", "mend the definition of the column"),
    "42P16": ("bad-sql", "mend the definition of the table"),
    "42P17": ("bad-sql", "mend the definition: index and generated expressions must be immutable"),
    "42701": ("already-exists", "see who added the column: qb history; else drop or rename it"),
    "42703": ("does-not-exist", "mend the name of the column"),
    "42704": ("does-not-exist", "create the object before, or mend its name"),
    "42710": ("already-exists", "choose another name, or drop what has it"),
    "42712": ("bad-sql", "give one of the two another alias"),
    "42723": ("already-exists", "write CREATE OR REPLACE FUNCTION, or drop it before"),
    "42804": ("wrong-type", "cast it: USING column::type, or value::type"),
    "42809": ("wrong-type", "name an object of the kind that the statement is about"),
    "42830": ("bad-sql", "add a unique constraint on the columns that are referred to"),
    "42846": ("wrong-type", "say how it is cast: ALTER COLUMN ... TYPE ... USING ..."),
    "42883": (
        "does-not-exist",
        "mend the name or cast the arguments; see that the extension and the search_path are there",
    ),
    "42939": ("missing-privilege", "choose another name: pg_ belongs to PostgreSQL"),
    "42P01": ("does-not-exist", "mend the name, or run the migration that creates it"),
    "42P06": ("already-exists", "choose another name, or drop what has it"),
    "42P07": ("already-exists", "see who made it: qb history; else drop or rename it"),
    "42P10": ("bad-sql", "mend the columns that are named"),
    "428C9": ("bad-sql", "leave the generated column out"),
    "53100": ("disk-full", "free space on the server's disk"),
    "53200": (
        "out-of-memory",
        "raise max_locks_per_transaction, or give the server more memory, or change "
        "fewer tables at once",
    ),
    "53300": ("too-many-connections", "close idle sessions, or raise max_connections"),
    "53400": ("limit-exceeded", "raise the limit that is named, such as temp_file_limit"),
    "54": ("limit-exceeded", "stay below the limit that is named"),
    "55000": ("wrong-state", "bring the object into the state that it needs"),
    "55006": ("in-use", "end the sessions that use it, or wait for them: qb locks"),
    "55P03": ("lock-timeout", "see who holds the lock: qb locks"),
    "55P04": ("unsafe-enum-use", "add the enum's value in a migration of its own, before this one"),
    "57014": ("statement-cancelled", "see who cancelled it: the server's log says"),
    "57P": ("connection-lost", "see that the server runs"),
    "57P03": ("cannot-connect", "wait until the server has started"),
    "58": ("server-trouble", "see the server's log"),
    "58P01": ("server-trouble", "install the file on the server: an extension's, most often"),
    "F0": ("server-trouble", "mend postgresql.conf; see the server's log"),
    "P0": ("raised-by-code", "see the function or DO block that raised it"),
    "XX": ("server-trouble", "see the server's log, and check the disk"),
}

TIMED_OUT = Explained(
    "statement-timeout", "make it do less at once (a backfill), or raise [timeouts] statement"
)


def explain(error: psycopg.Error) -> Explained:
    """What an error of PostgreSQL or libpq means. Without an SQLSTATE the connection is gone."""
    state = error.sqlstate
    if state is None:
        if isinstance(error, psycopg.OperationalError):
            return Explained(*TABLE["08"])
        return Explained("server-refused")
    # both are 57014; the words are English unless the server's lc_messages says otherwise
    if state == "57014" and "statement timeout" in (error.diag.message_primary or ""):
        return TIMED_OUT
    for length in (5, 3, 2):
        if found := TABLE.get(state[:length]):
            code, todo = found
            return Explained(code, _filled(todo, error.diag))
    return Explained("statement-failed")


def _filled(todo: str, diagnostic: psycopg.errors.Diagnostic) -> str:
    """The advice with the names that the server gave; what it did not name is "it"."""
    names = ("constraint_name", "column_name", "table_name")
    return todo % {name: getattr(diagnostic, name) or "it" for name in names}
