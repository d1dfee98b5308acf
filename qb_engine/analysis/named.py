"""relations by their names `schema.name`, unquoted, as a catalog's index finds them

Both parts may hold dots, so every way to cut such a name in two is looked for.
"""

from __future__ import annotations

from collections.abc import Iterable

# Joined with pg_namespace by nspname = wanted.nsp and with pg_class by relname = wanted.rel.
WANTED = """
ROWS FROM (pg_catalog.unnest(%(names)s::text[]), pg_catalog.unnest(%(schemas)s::name[]),
           pg_catalog.unnest(%(tables)s::name[]), pg_catalog.unnest(%(of)s::text[]))
  AS wanted(name, nsp, rel, part)
"""


def wanted(names: Iterable[str]) -> dict[str, list[str]]:
    """The parameters of WANTED for relations."""
    return parts((name, "") for name in names)


def parts(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """The parameters of WANTED for parts of relations, each (relation, name of the part)."""
    rows = [
        (name, name[:at], name[at + 1 :], part)
        for name, part in dict.fromkeys(pairs)
        for at, letter in enumerate(name)
        if letter == "." and 0 < at < len(name) - 1
    ]
    columns = [list(column) for column in zip(*rows, strict=True)] or [[], [], [], []]
    return dict(zip(("names", "schemas", "tables", "of"), columns, strict=True))


def bare_names(name: str) -> list[str]:
    """What may be the name of `schema.name` without its schema: both parts may hold dots."""
    return [name[at + 1 :] for at, letter in enumerate(name) if letter == "." and at]
