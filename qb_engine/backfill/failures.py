"""what an error means for a backfill: try the batch again, take fewer rows, reconnect, or stop"""

from __future__ import annotations

import enum

import psycopg

from qb_engine.database.connect import lost
from qb_engine.errors import QbError


class Verdict(enum.Enum):
    """What to do after an error."""

    AGAIN = "try the same batch again"
    FEWER = "try fewer rows"
    LATER = "reconnect after a while and read the ledger again"
    STOP = "stop: trying again would fail again"


# By SQLSTATE, the longest prefix wins. What is not listed stops: it is seen, and can be restarted.
TABLE: dict[str, Verdict] = {
    "40001": Verdict.AGAIN,  # serialization failure
    "40P01": Verdict.AGAIN,  # deadlock
    "55P03": Verdict.AGAIN,  # lock not available in time
    "57014": Verdict.FEWER,  # statement timeout
    "08": Verdict.LATER,  # connection
    "25006": Verdict.LATER,  # read-only: a standby after a failover
    "25P03": Verdict.LATER,  # idle in transaction timeout: the worker was stopped for a while
    "25P04": Verdict.LATER,  # transaction timeout
    "53": Verdict.LATER,  # memory, connections
    "53100": Verdict.STOP,  # disk full: more writing makes it worse
    "57P": Verdict.LATER,  # shutdown, restart, crash of another backend
    "57P04": Verdict.STOP,  # the database was dropped
    "58": Verdict.LATER,  # an error of the system the server runs on
}

# libpq gives no SQLSTATE when a connection is refused for these reasons, only its text.
HOPELESS = ("password authentication failed", "no password supplied", "does not exist")


def judge(error: BaseException) -> Verdict:
    """What to do after `error`."""
    if isinstance(error, QbError):  # from connecting: see qb_engine.database.connect.unreachable
        return Verdict.STOP if any(text in error.why for text in HOPELESS) else Verdict.LATER
    if not isinstance(error, psycopg.Error):
        return Verdict.STOP
    if lost(error):
        return TABLE.get(error.sqlstate or "", Verdict.LATER)
    return by_state(error.sqlstate)


def by_state(sqlstate: str | None) -> Verdict:
    """What an SQLSTATE means; without one the connection is gone."""
    if sqlstate is None:
        return Verdict.LATER
    for length in (5, 3, 2):
        if verdict := TABLE.get(sqlstate[:length]):
            return verdict
    return Verdict.STOP


def told(error: BaseException) -> str:
    """The error for the ledger: the server's own words. They may quote rows, so they stay there."""
    if isinstance(error, QbError):
        return f"{error.what}: {error.why}" if error.why else error.what
    if isinstance(error, psycopg.Error):
        diagnostic = error.diag
        text = diagnostic.message_primary or " ".join(str(error).split())
        if diagnostic.message_detail:
            text += f" ({diagnostic.message_detail})"
        return f"{text} [{error.sqlstate}]" if error.sqlstate else text
    return f"{type(error).__name__}: {error}"


def named(error: BaseException) -> str:
    """The error for Temporal: its kind, without a word that could quote a row or a secret."""
    state = getattr(error, "sqlstate", None)
    return f"{type(error).__name__} {state}" if state else type(error).__name__
