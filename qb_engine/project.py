"""the project folder: `qb.toml`, `migrations/` and qb's own `.qb/`"""

from __future__ import annotations

import difflib
import re
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qb_engine.errors import InputError

if TYPE_CHECKING:
    from qb_engine._config import Config

FILE = "qb.toml"
DEFAULT_FOLDER = "migrations"  # made when the first migration is written

TEMPLATE = """\
# What qb knows about this project. Every key is optional; these are the defaults.
migrations = "migrations"
default = "embedded"            # an alias below, or embedded
# format = "dbmate"             # whose migrations these are; left out: the folder's content tells
# shadow = "postgresql://..."   # a server for scratch databases; left out: the embedded one
# workload = "workload.sql"     # queries ($1 for what varies) planned before and after a run

[aliases]
# A name for a database: a libpq service name, a URL without a password, or "embedded".
# staging = "postgresql://app@staging.example.com/shop"
# prod = { service = "shop-prod", production = true }

[timeouts]
lock = "2s"                     # a statement waits this long for a lock, then retries
lock_deadline = "5min"          # ... and gives up after this long
max_blocked = "5s"              # others wait this long for a run; then it gives way, and retries
statement = "1h"                # one statement may run this long
runner = "30s"                  # wait this long for another qb that runs migrations here

[hazards]
small_bytes = "10MB"            # on tables below both of these nothing is a hazard
small_rows = 10000
fail_on = "warning"             # qb lint exits with 1 at and above notice, warning, error; never

[temporal]
# address = "127.0.0.1:7233"    # left out: qb starts its own server on this machine
# namespace = "default"
# profile = "prod"              # a profile of Temporal's own client configuration
# task_queue = "qb"             # what the names of the workers' queues begin with
# build_id = "2026-11-22"       # for worker deployments: only the current version gets work

[backfill.throttle]
# replica_lag = { slow = "5s", stop = "15s" }     # what backfills give way to, and when
# slot_wal = { stop = "64GB" }
# active_sessions = { cores = 16 }
# autovacuum = false            # left out

[typeorm]
# files = ["src/migrations/*.ts"]  # left out: what stands in the folder of migrations
# data_source = "src/data-source.ts"
# table = "migrations"          # where TypeORM records what it applied
# schema = "public"             # left out: the first of the search path
# naming = "database"           # of unnamed constraints: as the database does, typeorm, postgres
# sql = { readSql = "src/sql/{0}" }  # functions that read SQL files, and the paths they read
"""

_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|min|m|h|d)?\s*")
_UNITS = {"ms": 0.001, "s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0, None: 1.0}


def seconds(text: str | int | float) -> float:
    """Read a duration such as `500ms`, `2s`, `5min`, `1h`; a bare number counts seconds.

    Raise InputError when it cannot be read.
    """
    if isinstance(text, int | float):
        return float(text)
    found = _DURATION.fullmatch(text)
    if not found:
        raise InputError(
            f"{text!r} is not a duration",
            why="a number with a unit is expected",
            todo="write it as 500ms, 2s, 5min or 1h",
            code="bad-config",
        )
    return float(found[1]) * _UNITS[found[2]]


@dataclass(frozen=True)
class Project:
    """A folder that holds (or could hold) `qb.toml` and migrations.

    A folder without `qb.toml` is a project with the defaults, so that a notebook needs no set-up.
    """

    root: Path

    @classmethod
    def find(cls, start: Path | None = None) -> Project:
        """The nearest folder, from `start` upwards, that holds `qb.toml`; else `start` itself."""
        start = (start or Path.cwd()).resolve()
        for folder in (start, *start.parents):
            if (folder / FILE).is_file():
                return cls(folder)
        return cls(start)

    @classmethod
    def create(cls, root: Path) -> Project:
        """Write `qb.toml` and the migrations folder; raise InputError when there is one already."""
        root.mkdir(parents=True, exist_ok=True)
        file = root / FILE
        if file.exists():
            raise InputError(
                "this folder is a qb project already",
                where=str(file),
                todo="edit the file, or choose another folder",
                code="file-exists",
            )
        file.write_text(TEMPLATE, encoding="utf-8")
        (root / DEFAULT_FOLDER).mkdir(exist_ok=True)
        return cls(root.resolve())

    @property
    def file(self) -> Path:
        return self.root / FILE

    @property
    def migrations(self) -> Path:
        """The folder of migrations, absolute.

        Raise InputError when `qb.toml` names one that is not there: it would hold no migration.
        """
        named = self.config.migrations
        folder = self.root / named
        if named != DEFAULT_FOLDER and not folder.is_dir():
            text = self.file.read_text(encoding="utf-8-sig")
            raise InputError(
                f"there is no folder of migrations {named}",
                where=f"{self.file}:{line_of(text, 'migrations')}",
                why=f"{folder} is not a folder",
                todo="create it, or mend `migrations` in qb.toml",
                code="bad-config",
            )
        return folder

    @property
    def home(self) -> Path:
        """qb's own folder `.qb/`, made private on first use and kept out of git."""
        home = self.root / ".qb"
        if not home.is_dir():
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
            (home / ".gitignore").write_text("*\n", encoding="utf-8")
        return home

    @cached_property
    def config(self) -> Config:
        """The validated content of `qb.toml`.

        Raise InputError that names the file and line, and the nearest known key for an unknown one.
        """
        from qb_engine._config import Config, problems

        if not self.file.is_file():
            return Config()
        try:
            text = self.file.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                "qb.toml cannot be read",
                where=str(self.file),
                why=str(error),
                todo="save it as UTF-8, and see that you may read it",
                code="bad-config",
            ) from None
        try:
            data: dict[str, Any] = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise InputError(
                "qb.toml is not valid TOML",
                where=str(self.file),
                why=str(error),
                todo="mend the line that is named",
                code="bad-config",
            ) from None
        config, found = problems(data)
        if config is None:
            key, why, known = found[0]
            near = difflib.get_close_matches(key.rsplit(".", 1)[-1], known, n=1, cutoff=0.4)
            raise InputError(
                f"qb.toml: {key}: {why}",
                where=f"{self.file}:{line_of(text, key)}",
                why=f"known keys here: {', '.join(known)}" if known else "",
                todo=f"did you mean {near[0]!r}?" if near else "remove or mend the key",
                code="bad-config",
            )
        return config


def line_of(text: str, key: str) -> int:
    """The line of a dotted key in a TOML text, 1 when it cannot be told."""
    last = re.escape(key.rsplit(".", 1)[-1])
    found = re.search(rf"(?m)^[^#\n]*\b{last}\b", text)
    return text.count("\n", 0, found.start()) + 1 if found else 1
