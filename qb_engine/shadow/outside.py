"""what would reach outside of a shadow, and how its refusal is said"""

from __future__ import annotations

import re

import psycopg

REFUSED = "QB001"  # the state with which our guards refuse

_SAID = (
    (re.compile(r"has no handler$"), "foreign tables lead nowhere there"),
    (re.compile(r"COPY to or from an external program"), "COPY runs nothing"),
    (re.compile(r"COPY (?:from|to) a file"), "COPY reads and writes no file"),
    (re.compile(r'create extension "(?:dblink|\w+_fdw)"'), "no other server is reached"),
    (
        re.compile(r"for function (?:pg_catalog\.)?(?:pg_(?:read|ls|stat|file)|lo_)"),
        "no file is read",
    ),
    (re.compile(r"create subscription"), "nothing is subscribed to"),
    (re.compile(r"password .*required|could not connect to server"), "no other server is reached"),
)


def refusal(error: psycopg.Error) -> str:
    """A sentence when a statement failed because it would have reached outside; else ""."""
    text = error.diag.message_primary or ""
    if error.sqlstate == REFUSED:
        return text
    if not isinstance(error, psycopg.errors.InsufficientPrivilege | psycopg.OperationalError):
        return ""
    said = reached(text)
    return f"a shadow reaches nothing outside: {said} ({text})" if said else ""


def reached(text: str) -> str:
    """What a server's message keeps from being reached; empty where it is about anything else."""
    return next((said for pattern, said in _SAID if pattern.search(text)), "")
