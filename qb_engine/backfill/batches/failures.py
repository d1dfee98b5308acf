"""what an error means for a backfill: one table from SQLSTATE to class, and what each class does"""

from __future__ import annotations

import enum
from dataclasses import dataclass

import psycopg

from qb_engine.database.connect import lost
from qb_engine.database.sqlstates import TABLE as ADVICE
from qb_engine.errors import QbError, ServerError


class Verdict(enum.Enum):
    """The class of an error, by the name that reports and `retry` give it."""

    AGAIN = "retry"
    FEWER = "shrink"
    LATER = "reconnect"
    DATA = "data"
    STOP = "stop"

    @property
    def means(self) -> str:
        """What is done about it, as a sentence."""
        return MEANS[self]

    @property
    def final(self) -> bool:
        """True when the backfill ends over it, unless its own policy says otherwise."""
        return self in (Verdict.DATA, Verdict.STOP)


MEANS = {
    Verdict.AGAIN: "others were in the way for a moment: the same batch is tried again",
    Verdict.FEWER: "the batch was too much at once: it is tried with fewer rows",
    Verdict.LATER: "the server or the connection went away: connected again, the batch goes on "
    "from the cursor in the ledger",
    Verdict.DATA: "a row cannot be written as it is: it is looked for, and on_error decides",
    Verdict.STOP: "trying again would fail again: the backfill ends as failed, its cursors kept",
}

# By SQLSTATE, the longest prefix wins. What is not listed stops: it is seen, and can be mended.
TABLE: dict[str, Verdict] = {
    "08": Verdict.LATER,  # connection
    "20": Verdict.DATA,  # CASE of PL/pgSQL without a branch for the row
    "21": Verdict.DATA,  # a subquery that gives several rows for one
    "22": Verdict.DATA,  # values
    "23": Verdict.DATA,  # constraints
    "25006": Verdict.LATER,  # read-only: a standby after a failover
    "25P03": Verdict.LATER,  # idle in transaction timeout: the worker was stopped for a while
    "25P04": Verdict.LATER,  # transaction timeout
    "27000": Verdict.DATA,  # a trigger changed the row that is written
    "38": Verdict.DATA,  # a function in another language raised something
    "39": Verdict.DATA,  # the same, called wrongly
    "40": Verdict.AGAIN,  # rolled back by the server
    "40001": Verdict.AGAIN,  # serialization failure
    "40002": Verdict.DATA,  # a deferred constraint
    "40003": Verdict.LATER,  # nobody knows whether it was committed: the ledger does
    "40P01": Verdict.AGAIN,  # deadlock
    "44": Verdict.DATA,  # WITH CHECK OPTION
    "53": Verdict.LATER,  # memory, connections
    "53100": Verdict.STOP,  # disk full: more writing makes it worse
    "53400": Verdict.FEWER,  # a limit such as temp_file_limit
    "54000": Verdict.DATA,  # a value that is too large for an index
    "55006": Verdict.AGAIN,  # in use
    "55P03": Verdict.AGAIN,  # lock not available in time
    "57014": Verdict.FEWER,  # statement timeout
    "57P": Verdict.LATER,  # shutdown, restart, crash of another backend
    "57P04": Verdict.STOP,  # the database was dropped
    "58": Verdict.LATER,  # an error of the system the server runs on
    "58P01": Verdict.STOP,  # a file that the server does not have, such as a library
    "72000": Verdict.AGAIN,  # snapshot too old
    "P0": Verdict.DATA,  # raised by a trigger or function
}

# libpq gives no SQLSTATE when a connection is refused for these reasons, only its text.
HOPELESS = (
    "password authentication failed",
    "no password supplied",
    "does not exist",
    "not permitted to log in",
    "no pg_hba.conf entry",
    "permission denied for database",
)

LONGEST = 4_000  # characters of an error: the reason and its place, not a whole answer of a service

UNADAPTED = "cannot adapt"  # psycopg's words for a Python value of a type that it does not know

# Of a transform: a row, the code itself, a service that did not answer, or too late for so many.
FAULTS = {
    "data": Verdict.DATA,
    "code": Verdict.STOP,
    "transient": Verdict.AGAIN,
    "slow": Verdict.FEWER,
}

# What to do before going on with a backfill that ended over an error of a class.
NEXT = {
    Verdict.AGAIN: "see who is in the way: qb locks",
    Verdict.FEWER: "see why a batch takes so long, or let it take longer",
    Verdict.LATER: "see that the server runs and can be reached",
    Verdict.DATA: "mend the row, or set on_error = 'quarantine' in backfill.py",
    Verdict.STOP: "mend what the server says",
}


@dataclass(frozen=True, slots=True)
class Advice:
    """The class of an error's SQLSTATE for people: its name, a sentence, and what to do next."""

    name: str
    means: str
    todo: str


def judge(error: BaseException) -> Verdict:
    """The class of an error; one that the user's Python caused says itself whose fault it is."""
    if fault := getattr(error, "fault", ""):
        return FAULTS[fault]
    if isinstance(error, QbError):  # from connecting: see qb_engine.database.connect.unreachable
        hopeless = error.code == "server-too-old" or any(text in error.why for text in HOPELESS)
        return Verdict.LATER if isinstance(error, ServerError) and not hopeless else Verdict.STOP
    if not isinstance(error, psycopg.Error):
        return Verdict.STOP
    if lost(error):
        return TABLE.get(error.sqlstate or "", Verdict.LATER)
    return by_client(error) if error.sqlstate is None else by_state(error.sqlstate)


def final(error: BaseException) -> bool:
    """True when the backfill ends over an error that nothing took care of."""
    return judge(error).final


def by_state(sqlstate: str | None) -> Verdict:
    """The class of an SQLSTATE; without one the connection is gone."""
    if sqlstate is None:
        return Verdict.LATER
    for length in (5, 3, 2):
        if verdict := TABLE.get(sqlstate[:length]):
            return verdict
    return Verdict.STOP


def by_client(error: psycopg.Error) -> Verdict:
    """The class of an error that psycopg raised itself, before the server saw anything."""
    if isinstance(error, psycopg.DataError | psycopg.IntegrityError):
        return Verdict.DATA  # a value that its adapter refuses
    if isinstance(error, psycopg.ProgrammingError):
        return Verdict.DATA if UNADAPTED in str(error) else Verdict.STOP
    if isinstance(error, psycopg.NotSupportedError | psycopg.InternalError):
        return Verdict.STOP
    return Verdict.LATER


def advice(sqlstate: str) -> Advice:
    """What a backfill's `error_code` in the ledger means, and what to do before it goes on."""
    if not sqlstate:
        return Advice("", "", "mend what is said")
    named = {verdict.value: verdict for verdict in Verdict}  # where no server gave a number
    if sqlstate == Verdict.STOP.value:
        return Advice(sqlstate, MEANS[Verdict.STOP], "mend what is said")
    verdict = named.get(sqlstate) or by_state(sqlstate)
    found = next((ADVICE[part] for n in (5, 3, 2) if (part := sqlstate[:n]) in ADVICE), None)
    todo = found[1] if found and found[1] and "%(" not in found[1] else NEXT[verdict]
    if verdict is Verdict.DATA:
        todo = NEXT[verdict]
    return Advice(verdict.value, verdict.means, todo)


def told(error: BaseException) -> str:
    """The error for the ledger: the server's own words. They may quote rows, so they stay there."""
    if isinstance(error, QbError):
        at = f" at {error.where}" if error.where and getattr(error, "fault", "") else ""
        return kept(f"{error.what}{at}: {error.why}" if error.why else f"{error.what}{at}")
    if isinstance(error, psycopg.Error):
        diagnostic = error.diag
        text = diagnostic.message_primary or " ".join(str(error).split())
        if diagnostic.message_detail:
            text += f" ({diagnostic.message_detail})"
        return kept(f"{text} [{error.sqlstate}]" if error.sqlstate else text)
    return kept(f"{type(error).__name__}: {error}")


def kept(text: str) -> str:
    """A text as the ledger can keep it: the user's Python may raise anything, of any length."""
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 2]} ... {text[-LONGEST // 2 :]}"
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()


def raised(error: BaseException) -> BaseException:
    """What the user's own Python is given of an error: what `transform` raised, where it did."""
    found = getattr(error, "cause", None) if getattr(error, "fault", "") else None
    return found if isinstance(found, BaseException) else error


def named(error: BaseException) -> str:
    """The error for Temporal: its kind, without a word that could quote a row or a secret."""
    state = getattr(error, "sqlstate", None)
    return f"{type(error).__name__} {state}" if state else type(error).__name__


def code(error: BaseException) -> str:
    """The error's SQLSTATE for the ledger; empty where there is none."""
    return str(getattr(error, "sqlstate", None) or "")
