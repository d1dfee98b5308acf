"""the embedded PostgreSQL's settings: for development on a small machine, yet durable"""

from __future__ import annotations

from pathlib import Path

DATABASE = "qb"
SUPERUSER = "postgres"
PORT = "5432"  # part of the socket's name only; nothing listens on TCP
OPTIONS_VARIABLE = "QB_EMBEDDED_OPTIONS"  # more options for `postgres`, as `-c name=value`

SETTINGS = {
    "shared_buffers": "256MB",
    "max_connections": "200",
    "max_locks_per_transaction": "256",  # a snapshot or a dry run may touch thousands of relations
    "wal_level": "replica",
    "max_wal_size": "2GB",
    "fsync": "on",  # development servers are killed, too
    "synchronous_commit": "on",
    "track_io_timing": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    "default_text_search_config": "pg_catalog.english",
    # What the server itself has to say; a client's errors go to the client, where they are masked,
    # and no statement, which may hold a password, goes to the log.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] ",
}

BUILTIN = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C")
OLDER = ("--locale-provider=libc", "--locale=C.UTF-8")


def locale(version: str) -> tuple[str, ...]:
    """The options of initdb for the same order of text on every machine: by code point.

    Provided by PostgreSQL itself, from 17 on.
    """
    return BUILTIN if int(version.partition(".")[0]) >= 17 else OLDER


def text(programs: Path) -> str:
    """The configuration file."""
    settings = dict(SETTINGS)
    if (programs.parent / "lib" / "pg_stat_statements.so").is_file():
        settings["shared_preload_libraries"] = "pg_stat_statements"
    lines = [f"{name} = '{value}'" for name, value in settings.items()]
    return "\n".join(
        ["# written by qb at every start; use ALTER SYSTEM to change a setting", *lines, ""]
    )
