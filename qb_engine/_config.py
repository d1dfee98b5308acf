"""the keys of `qb.toml` and what they may hold"""

from __future__ import annotations

from math import inf
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from qb_engine import secrets
from qb_engine.errors import InputError

LONGEST_MS = 2**31 - 1  # PostgreSQL keeps its timeouts in an int of milliseconds


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def without_password(url: str | None) -> str | None:
    """The URL itself; raise ValueError when it holds a password."""
    if url and secrets.mask(url) != url:
        raise ValueError(
            "holds a password; passwords come from the passfile, a service or PGPASSWORD"
        )
    return url


class Alias(_Strict):
    """A named database: exactly one of a service, a URL without password, or embedded."""

    service: str | None = None
    url: str | None = None
    embedded: bool = False
    production: bool = False

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if value == "embedded":
            return {"embedded": True}
        if "://" in value:
            return {"url": value}
        return {"service": value.removeprefix("service=")}

    @model_validator(mode="after")
    def _one_of(self) -> Alias:
        if [bool(self.service), bool(self.url), self.embedded].count(True) != 1:
            raise ValueError("give exactly one of service, url, embedded")
        return self

    @field_validator("url")
    @classmethod
    def _no_password(cls, url: str | None) -> str | None:
        return without_password(url)


class Timeouts(_Strict):
    """How long things may take, as durations such as `2s`.

    A `lock` of 0 would mean no limit at all to PostgreSQL, so it is refused. The others may be 0:
    `statement` then has no limit, `lock_deadline` no second try, `runner` does not wait, and others
    wait for the run as long as it takes (`max_blocked`).
    """

    lock: str | float = "2s"
    lock_deadline: str | float = "5min"
    max_blocked: str | float = "5s"
    statement: str | float = "1h"
    runner: str | float = "30s"

    @field_validator("*")
    @classmethod
    def _duration(cls, value: str | float, info: ValidationInfo) -> str | float:
        from qb_engine.project import seconds

        try:
            length = seconds(value)
        except InputError as error:
            raise ValueError(f"{error.what}; {error.todo}") from None
        if not 0 <= length < inf:
            raise ValueError(f"{value!r} is not a length of time; write it as 500ms, 2s or 5min")
        milliseconds = int(length * 1000)
        if info.field_name == "lock" and milliseconds < 1:
            raise ValueError(
                f"{value!r} is less than 1ms, which is no limit at all to PostgreSQL:"
                " a statement would wait for its lock for ever and block whoever comes after it;"
                " write at least 1ms"
            )
        if info.field_name == "statement" and length and milliseconds < 1:
            raise ValueError(
                f"{value!r} is less than 1ms, which is no limit at all to PostgreSQL;"
                " write at least 1ms, or 0 for no limit"
            )
        if info.field_name in ("lock", "statement") and milliseconds > LONGEST_MS:
            raise ValueError(f"{value!r} is longer than PostgreSQL can count; write at most 24d")
        return value


class Temporal(_Strict):
    """Which Temporal server drives backfills; with nothing set, qb starts its own."""

    address: str | None = None
    namespace: str = "default"
    profile: str | None = None
    task_queue: str | None = None
    build_id: str | None = None  # given: the server tells versions of qb's workers apart


SIZES = {"b": 1, "kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30, "tb": 1 << 40}


class Hazards(_Strict):
    """When something is a hazard: a table below both `small` figures is none, whatever is done.

    `fail_on` is the severity at and above which `qb lint` exits with 1.
    """

    small_bytes: int | str = 10 << 20
    small_rows: int = Field(default=10_000, ge=0)
    fail_on: Literal["notice", "warning", "error", "never"] = "warning"

    @field_validator("small_bytes")
    @classmethod
    def _size(cls, value: int | str) -> int:
        """A size in bytes, from a number or from text such as `10MB`."""
        text = str(value).strip().lower()
        number = text.rstrip("abcdefghijklmnopqrstuvwxyz").rstrip()
        unit = text[len(number) :].strip() or "b"
        if not number.isdigit() or unit not in SIZES:
            raise ValueError(f"{value!r} is not a size; write it as 500kB, 10MB or 2GB")
        return int(number) * SIZES[unit]


class Backfills(_Strict):
    """What every backfill of the project gives way to: options of signals by their names.

    A backfill's own `throttle` comes before these, and `qb backfill tune` before both.
    """

    throttle: dict[str, bool | dict[str, Any]] = Field(default_factory=dict)


class TypeOrm(_Strict):
    """Where a TypeORM project keeps its migrations, and where it records them.

    `files` are globs from the folder of `qb.toml`; left out: what stands in `migrations`. `schema`
    left out is the first one of the search path. `naming` decides what unnamed constraints and
    indexes of generated migrations are called: as the database does, `typeorm` or `postgres`.
    `sql` names functions that read SQL files, each with the path it reads: `{0}` is the argument.
    """

    files: tuple[str, ...] = ()
    data_source: str | None = None
    table: str = "migrations"
    in_schema: str | None = Field(default=None, alias="schema")
    naming: Literal["database", "typeorm", "postgres"] = "database"
    sql: dict[str, str] = Field(default_factory=dict)


class Config(_Strict):
    """The whole of `qb.toml`."""

    migrations: str = "migrations"
    format: str | None = None
    default: str | None = None
    shadow: str | None = None
    workload: str | None = None
    aliases: dict[str, Alias] = Field(default_factory=dict)
    timeouts: Timeouts = Timeouts()
    temporal: Temporal = Temporal()
    hazards: Hazards = Hazards()
    backfill: Backfills = Backfills()
    typeorm: TypeOrm = TypeOrm()

    @field_validator("shadow")
    @classmethod
    def _no_password(cls, url: str | None) -> str | None:
        return without_password(url)


_SECTIONS: dict[str, type[BaseModel]] = {
    "timeouts": Timeouts,
    "temporal": Temporal,
    "hazards": Hazards,
    "backfill": Backfills,
    "typeorm": TypeOrm,
}


def problems(data: dict[str, Any]) -> tuple[Config | None, list[tuple[str, str, list[str]]]]:
    """Validate parsed TOML: the config, or the problems as (dotted key, why, keys known there)."""
    try:
        return Config.model_validate(data), []
    except ValidationError as error:
        found = []
        for item in error.errors(include_input=False, include_url=False):
            path = [str(part) for part in item["loc"]]
            unknown = item["type"] == "extra_forbidden"
            why = "is not a key that qb knows" if unknown else item["msg"]
            found.append((".".join(path), why.removeprefix("Value error, "), _known(path, unknown)))
        return None, found


def _known(path: list[str], unknown: bool) -> list[str]:
    if not unknown:
        return []
    if len(path) == 1:
        return list(Config.model_fields)
    section = Alias if path[0] == "aliases" else _SECTIONS.get(path[0])
    if section is None:
        return []
    return [field.alias or name for name, field in section.model_fields.items()]
