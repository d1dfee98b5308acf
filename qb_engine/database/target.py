"""the database that a command works on, and how it is chosen"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from qb_engine import secrets
from qb_engine.errors import InputError

if TYPE_CHECKING:
    from qb_engine.project import Project

ENVIRONMENT = ("QB_DATABASE_URL", "DATABASE_URL")
SCHEMES = ("postgresql://", "postgres://")
LIBPQ = ("PGHOST", "PGSERVICE", "PGDATABASE", "PGHOSTADDR", "PGPORT", "PGUSER")

_NAME = re.compile(r"[\w.-]+")


@dataclass(frozen=True, slots=True)
class Target:
    """A database, by the name that messages and payloads use.

    `conninfo` is libpq's connection string and may hold a password: it is never shown, written or
    sent; `display` is.
    """

    name: str
    conninfo: str = field(repr=False)
    production: bool = False
    origin: str = field(default="", compare=False)

    @property
    def display(self) -> str:
        """`user@host:port/dbname`, without any secret."""
        import psycopg
        from psycopg.conninfo import conninfo_to_dict

        try:
            part = conninfo_to_dict(self.conninfo)
        except psycopg.Error:
            return "(a connection string that cannot be read)"
        if _raw(self.conninfo) or _misread(part):
            return "(not shown: it may hold a part of a password)"
        if service := part.get("service"):
            return f"service {service}"
        user, host, port = part.get("user"), part.get("host", ""), part.get("port")
        place = "local socket" if not host or str(host).startswith("/") else str(host)
        return (
            f"{user or os.environ.get('PGUSER', '(you)')}@{place}"
            + (f":{port}" if port else "")
            + f"/{part.get('dbname') or os.environ.get('PGDATABASE', '')}"
        )

    @property
    def embedded(self) -> bool:
        return self.origin == "embedded"


def resolve(project: Project, option: str | None = None) -> Target:
    """Choose the target: the option, qb.toml's default, the environment, libpq, embedded.

    Start the embedded server when the choice falls on it. Raise InputError for an unknown alias.
    """
    config = project.config
    if option:
        return named(project, option)
    if config.default:
        return named(project, config.default)
    for variable in ENVIRONMENT:
        if url := os.environ.get(variable):
            return from_url(url, origin=variable)
    if any(os.environ.get(variable) for variable in LIBPQ):
        return Target("libpq", "", origin="libpq's environment variables")
    return _embedded(project, "embedded")


def named(project: Project, name: str) -> Target:
    """The target that an alias, a service name, a URL or a libpq string names."""
    alias = project.config.aliases.get(name)
    if alias is not None:
        if alias.embedded:
            return _embedded(project, name, production=alias.production)
        text = f"service={alias.service}" if alias.service else str(alias.url)
        text, _ = _checked(text, f"alias {name}")
        return Target(name, text, production=alias.production, origin=f"alias {name}")
    if name == "embedded":
        return _embedded(project, name)
    if "=" in name or "://" in name:
        return from_url(name, origin="-c")
    if _is_service(name):
        return Target(name, f"service={name}", origin=f"service {name}")
    known = [*project.config.aliases, "embedded"]
    # whatever is not plainly a name may be a URL with a slip in it, and hold a password
    plain = _NAME.fullmatch(name) and "password" not in name.lower()
    raise InputError(
        f"no database is called {name!r}" if plain else "no database is called by the name given",
        where=str(project.file),
        why=f"it is not an alias of qb.toml ({', '.join(known)}), nor a service of libpq's "
        "service file, nor a URL",
        todo="add it to [aliases], or give a URL such as postgresql://user@host/database",
        code="no-such-target",
    )


def from_url(text: str, *, origin: str) -> Target:
    """A target from a URL or libpq string, named after what it points at, never after its secret.

    Raise InputError without repeating the text, which may hold a password.
    """
    text, part = _checked(text, origin)
    identity = "|".join(str(part.get(k, "")) for k in ("service", "host", "port", "dbname", "user"))
    name = "url-" + hashlib.sha256(identity.encode()).hexdigest()[:8]
    return Target(name, text, origin=origin)


def _checked(text: str, origin: str) -> tuple[str, dict[str, Any]]:
    """The text for libpq and what it says; raise InputError when it may be read wrongly."""
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    for variant in ("postgresql+psycopg://", "postgresql+psycopg2://", "postgres+psycopg://"):
        if text.startswith(variant):
            text = "postgresql://" + text.removeprefix(variant)
    try:
        part = conninfo_to_dict(text)
    except psycopg.Error:
        raise InputError(
            "the connection string cannot be read",
            where=origin,
            why="libpq does not understand it (it is not repeated here: it may hold a password)",
            todo="write it as postgresql://user@host:5432/database; percent-encode special "
            "characters, and leave the password to the passfile or PGPASSWORD",
            code="bad-connection-string",
        ) from None
    password = part.get("password")
    secrets.remember(str(password) if password else None)
    if _raw(text) or _misread(part):
        raise InputError(
            "the connection string can be read in two ways",
            where=origin,
            why="a password with a raw @, / or ? in it would be taken for a host or a database "
            "(it is not repeated here)",
            todo="percent-encode them (@ as %40, / as %2F, ? as %3F), or leave the password out",
            code="bad-connection-string",
        )
    return text, part


def _raw(text: str) -> bool:
    """True when a URL holds an @ that does not just end the user, so that libpq guesses."""
    rest = text.partition("://")[2]
    authority = re.split(r"[/?]", rest, maxsplit=1)[0]
    return text.startswith(SCHEMES) and (
        rest.count("@") > 1 or rest.count("@") > authority.count("@")
    )


def _misread(part: dict[str, Any]) -> bool:
    """True when a host, port or database is none: the tail of a password, most likely."""
    hosts = str(part.get("host") or "").split(",")
    ports = str(part.get("port") or "").split(",")
    return (
        not all(map(_is_host, hosts))
        or not all(port.strip().isdigit() for port in ports if port)
        or any("@" in str(part.get(key) or "") for key in ("dbname", "service"))
    )


def _is_host(text: str) -> bool:
    if text.startswith(("/", "@")):  # a socket's folder, or an abstract socket
        return True
    if ":" not in text:
        return "@" not in text
    try:
        return bool(ipaddress.IPv6Address(text))
    except ValueError:
        return False


def has_password(text: str) -> bool:
    """True when a URL or libpq string holds a password."""
    if secrets.mask(text) != text:
        return True
    if "://" not in text:  # the scheme forgotten
        return "=" not in text and re.search(r":[^@]*@", text) is not None
    try:
        parts = urlsplit(text)
        query = dict(parse_qsl(parts.query))
        return bool(parts.password) or "password" in query
    except ValueError:
        return True


def _embedded(project: Project, name: str, *, production: bool = False) -> Target:
    from qb_engine.database.embedded import EmbeddedPostgres

    conninfo = EmbeddedPostgres(project.home).ensure()
    return Target(name, conninfo, production=production, origin="embedded")


def _is_service(name: str) -> bool:
    from pathlib import Path

    files = [os.environ.get("PGSERVICEFILE"), str(Path.home() / ".pg_service.conf")]
    if folder := os.environ.get("PGSYSCONFDIR"):
        files.append(f"{folder}/pg_service.conf")
    for file in files:
        if file and Path(file).is_file():
            lines = Path(file).read_text(encoding="utf-8", errors="replace").splitlines()
            if any(line.strip() == f"[{name}]" for line in lines):
                return True
    return False
