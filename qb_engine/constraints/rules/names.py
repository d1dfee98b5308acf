"""tables and columns as rules name them: `users.email`, `app.users.email`, or quoted like SQL"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from qb_engine.constraints.rules.form import Form
from qb_engine.sql import qualified

_PART = re.compile(r'"((?:[^"]|"")+)"|([^.]+)')


@dataclass(frozen=True, slots=True)
class TableName:
    """A table; without a schema it is looked up in the search path."""

    schema: str | None
    name: str

    def __str__(self) -> str:
        return qualified(self.schema, self.name)

    @property
    def identifier(self) -> sql.Identifier:
        return sql.Identifier(*([self.schema] if self.schema else []), self.name)


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns of one table."""

    table: TableName
    names: tuple[str, ...]

    def __str__(self) -> str:
        names = [qualified(None, name) for name in self.names]
        if len(names) == 1:
            return f"{self.table}.{names[0]}"
        return f"{self.table} ({', '.join(names)})"

    @property
    def listed(self) -> sql.Composed:
        """The columns, separated by commas."""
        return sql.SQL(", ").join(map(sql.Identifier, self.names))

    def each(self, template: str, between: str) -> sql.Composed:
        """The template once per column, `{}` being its name."""
        one = sql.SQL(template)
        return sql.SQL(between).join([one.format(sql.Identifier(n)) for n in self.names])


def parts(text: str) -> tuple[str, ...]:
    """The parts of a dotted name. Case counts; a part with a dot in it stands in double quotes.

    Empty when the text is no name.
    """
    found, at = [], 0
    while True:
        match = _PART.match(text, at)
        if match is None or "\0" in text:
            return ()
        found.append(match[1].replace('""', '"') if match[1] else match[2])
        if match.end() == len(text):
            return tuple(found)
        if text[match.end()] != ".":
            return ()
        at = match.end() + 1


def table(value: Any, form: Form) -> TableName:
    """A table named as `users` or `app.users`."""
    named = parts(value) if isinstance(value, str) else ()
    if len(named) not in (1, 2):
        raise form.expected("the table", 'the name of a table, such as "users"', value)
    return TableName(named[0] if len(named) == 2 else None, named[-1])


def column(value: Any, form: Form) -> Columns:
    """One column named as `users.email` or `app.users.email`."""
    named = parts(value) if isinstance(value, str) else ()
    if len(named) not in (2, 3):
        raise form.expected("the column", 'a column such as "users.email"', value)
    return Columns(TableName(named[0] if len(named) == 3 else None, named[-2]), named[-1:])


def columns(value: Any, form: Form, *more: str) -> Columns:
    """One column as a text, or several as `{"table": "users", "columns": ["a", "b"]}`."""
    if isinstance(value, str):
        return column(value, form)
    form.keys(value, ("table", "columns", *more), needed=("table", "columns"))
    names = value["columns"]
    if isinstance(names, str) or not isinstance(names, list | tuple) or not names:
        raise form.expected("columns", "a list of names", names)
    return Columns(table(value["table"], form), tuple(form.text(n, "a column") for n in names))
