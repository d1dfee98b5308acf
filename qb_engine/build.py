"""building queries for notebooks: SQLAlchemy Core over the target's tables, run only to be read"""

from __future__ import annotations

import difflib
import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import psycopg

from qb_engine.database import Target, resolve
from qb_engine.database.connect import connect, server_error
from qb_engine.database.engine import engine_of
from qb_engine.errors import InputError, RefusedError
from qb_engine.execution.explain import explained
from qb_engine.migrations import to_sql
from qb_engine.project import Project
from qb_engine.report import Chart, Column, Node, Report, Tree
from qb_engine.report import Table as ReportTable
from qb_engine.sql import Statement, literal, read_one

if TYPE_CHECKING:
    import pandas as pd
    from sqlalchemy import Engine, MetaData, Table

# Tables and views that are not system's, qb's own, nor another table's partition.
TABLES = """
SELECT n.nspname::text, c.relname::text
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
  AND n.nspname NOT IN ('information_schema', 'qb') AND n.nspname !~ '^pg_'
ORDER BY n.nspname <> 'public', n.nspname, c.relname
"""


@dataclass(frozen=True)
class ExplainReport(Report):
    """What PostgreSQL would do to answer a query; nothing was run."""

    name: ClassVar[str] = "explain"
    sql: str
    plan: Node

    def headline(self) -> str:
        return f"{self.plan.label}, cost {self.plan.weight:,.0f}"

    def tables(self) -> Sequence[ReportTable]:
        columns = (Column("node", "code"), Column("cost", "count"), Column("detail"))
        return (ReportTable("plan", columns, tuple(_rows(self.plan, 0))),)

    def charts(self) -> Sequence[Chart]:
        return (Tree("plan", self.plan),)


class Query:
    """A SQLAlchemy Core construct with its SQL, its plan and its rows.

    The construct's own methods (`where`, `values`, `order_by`, `returning`...) work on it and
    give a Query again. It may stand in a migration's `up`: it has `write()`.
    """

    def __init__(self, construct: Any, target: Target) -> None:
        self._construct = construct
        self._target = target

    @property
    def construct(self) -> Any:
        """The SQLAlchemy construct itself."""
        return self._construct

    @property
    def sql(self) -> str:
        """The SQL, every value written into it."""
        return to_sql(self._construct)

    def write(self) -> str:
        """The SQL, as an operation writes it."""
        return self.sql

    def explain(self) -> ExplainReport:
        """What PostgreSQL would do; the query is planned, not run."""
        statement = self._statement()
        ((document,), *_), _ = self._run(f"EXPLAIN (FORMAT JSON) {statement.sql}", "EXPLAIN")
        return ExplainReport(statement.sql, explained(document, ran=False).tree)

    @property
    def df(self) -> pd.DataFrame:
        """The rows as a pandas data frame, read in a read-only transaction.

        Raise RefusedError for what writes: nothing runs by surprise.
        """
        import pandas as pd

        statement = self._statement()
        if statement.kind != "select":
            raise RefusedError(
                f"{statement.sql.split()[0].upper()} is not run from here",
                where=statement.first_line,
                why="a data frame is read; what writes is a migration, so that nothing runs by "
                "surprise",
                todo="put the query into a migration's up, or look at its .sql and .explain()",
                code="only-reads",
            )
        rows, columns = self._run(statement.sql, "the query")
        return pd.DataFrame(rows, columns=columns)

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("_", "is_")):
            raise AttributeError(name)  # what Python, IPython and SQLAlchemy ask any object for
        found = getattr(self._construct, name)
        if not callable(found):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            from sqlalchemy import Executable

            given = [a.construct if isinstance(a, Query) else a for a in args]
            result = found(*given, **kwargs)
            return Query(result, self._target) if isinstance(result, Executable) else result

        call.__doc__ = found.__doc__
        return call

    def __dir__(self) -> list[str]:
        methods = [name for name in dir(self._construct) if not name.startswith("_")]
        return sorted({*methods, "construct", "df", "explain", "sql", "write"})

    def __clause_element__(self) -> Any:
        """Let SQLAlchemy take a Query where it takes a construct."""
        return self._construct

    def __repr__(self) -> str:
        return self.sql

    def _statement(self) -> Statement:
        return read_one(self.sql)

    def _run(self, sql: str, doing: str) -> tuple[list[tuple[Any, ...]], list[str]]:
        """Rows and column names, in a read-only transaction; the text goes to the server as is."""
        with connect(self._target, application_name="qb build") as conn:
            try:
                with conn.transaction(force_rollback=True):
                    conn.execute("SET TRANSACTION READ ONLY")
                    cursor = conn.execute(sql.encode())
                    columns = [column.name for column in cursor.description or ()]
                    return cursor.fetchall(), columns
            except psycopg.errors.ReadOnlySqlTransaction as error:
                raise RefusedError(
                    "the query writes, and was stopped",
                    where=self._statement().first_line,
                    why=error.diag.message_primary or str(error),
                    todo="put it into a migration's up",
                    code="only-reads",
                ) from None
            except psycopg.Error as error:
                raise server_error(doing, error, where=self._target.display) from error


class Build:
    """The tables of a target, reflected when they are first touched, and queries over them.

    `b.users` is a SQLAlchemy table, `b["Order Items"]` and `b["app.notes"]` likewise;
    `b.select(b.users.c.id).where(b.users.c.age > 17).df` reads.
    """

    def __init__(self, target: Target) -> None:
        self._target = target

    def select(self, *columns: Any) -> Query:
        """SELECT of columns, tables or expressions."""
        from sqlalchemy import select

        return Query(select(*columns), self._target)

    def insert(self, table: Any) -> Query:
        """INSERT into a table; `.values(...)` gives what."""
        from sqlalchemy.dialects.postgresql import insert

        return Query(insert(table), self._target)

    def update(self, table: Any) -> Query:
        """UPDATE of a table; `.values(...)` gives what, `.where(...)` which rows."""
        from sqlalchemy import update

        return Query(update(table), self._target)

    def delete(self, table: Any) -> Query:
        """DELETE from a table; `.where(...)` gives which rows."""
        from sqlalchemy import delete

        return Query(delete(table), self._target)

    def query(self, sql: str) -> Query:
        """A query from SQL text, taken as it is: percent signs and colons are themselves."""
        return Query(_Verbatim(read_one(sql).sql), self._target)

    def refresh(self) -> None:
        """Forget what was reflected, after the schema has changed."""
        for name in ("_names", "_metadata"):
            self.__dict__.pop(name, None)

    @cached_property
    def _engine(self) -> Engine:
        return engine_of(self._target)

    @cached_property
    def _metadata(self) -> MetaData:
        from sqlalchemy import MetaData, event

        metadata = MetaData()
        event.listen(metadata, "column_reflect", _writable)
        return metadata

    @cached_property
    def _names(self) -> dict[str, tuple[str, str]]:
        """Tables by the name they are asked for: bare in public, else `schema.table`."""
        with connect(self._target, application_name="qb build") as conn:
            try:
                rows = conn.execute(TABLES).fetchall()
            except psycopg.Error as error:
                raise server_error(
                    "reading the tables", error, where=self._target.display
                ) from error
        return {t if s == "public" else f"{s}.{t}": (s, t) for s, t in rows}

    def __getitem__(self, name: str) -> Table:
        if name not in self._names:
            near = difflib.get_close_matches(name, self._names, n=3, cutoff=0.5)
            raise InputError(
                f"there is no table {name!r}",
                where=self._target.display,
                why=f"{len(self._names)} tables and views are there",
                todo=f"did you mean {', '.join(near)}?"
                if near
                else "call refresh() when it is new",
                code="does-not-exist",
            )
        return self._reflected(*self._names[name])

    def __getattr__(self, name: str) -> Table:
        if name.startswith("_") or name not in self._names:
            near = [] if name.startswith("_") else difflib.get_close_matches(name, self._names)
            hint = f"; did you mean {', '.join(near)}?" if near else ""
            raise AttributeError(f"there is no table {name!r}{hint}")
        return self[name]

    def __dir__(self) -> list[str]:
        methods = ["delete", "insert", "query", "refresh", "select", "update"]
        return [*methods, *(name for name in self._names if name.isidentifier())]

    def _ipython_key_completions_(self) -> list[str]:
        return list(self._names)

    def __repr__(self) -> str:
        return f"<Build of {self._target.name}: {len(self._names)} tables>"

    def _reflected(self, schema: str, name: str) -> Table:
        from sqlalchemy import Table
        from sqlalchemy.exc import SAWarning

        with warnings.catch_warnings():
            # a type that SQLAlchemy does not know is a column all the same
            warnings.simplefilter("ignore", SAWarning)
            table = Table(
                name,
                self._metadata,
                schema=None if schema == "public" else schema,
                autoload_with=self._engine,
                resolve_fks=False,
            )
        # SQLAlchemy's own collection keeps its columns from dir(), and so from completion
        table.__dict__["c"] = table.__dict__["columns"] = _listed(table.c)
        return table


def _writable(inspector: Any, table: Any, column: dict[str, Any]) -> None:
    """Give a column a type whose values can be written as literals."""
    from sqlalchemy import JSON, Text
    from sqlalchemy.dialects.postgresql import DOMAIN
    from sqlalchemy.types import NullType

    while isinstance(column["type"], DOMAIN):
        column["type"] = column["type"].data_type
    if isinstance(column["type"], JSON):
        column["type"] = _json(column["type"])
    elif isinstance(column["type"], NullType):
        column["type"] = Text()  # its values are written as strings, which PostgreSQL reads


def _json(plain: Any) -> Any:
    """A JSON type whose values are literals, too."""
    from sqlalchemy.types import TypeDecorator

    class Json(TypeDecorator[Any]):
        impl = type(plain)
        cache_ok = True

        def process_literal_param(self, value: Any, dialect: Any) -> str:
            return literal(json.dumps(value, ensure_ascii=False))

    return Json()


def _listed(columns: Any) -> Any:
    """A table's columns in a collection that shows them to dir()."""
    kind = type(columns)

    class Columns(kind):  # type: ignore[misc, valid-type]
        """The columns of a table."""

        __slots__ = ()
        inherit_cache = True

        def __dir__(self) -> list[str]:
            return [*(key for key in self.keys() if key.isidentifier()), "keys", "items", "values"]

    found = Columns.__new__(Columns)
    for name in ("_parent", "_collection", "_colset", "_index", "_proxy_index"):
        if hasattr(columns, name):
            object.__setattr__(found, name, getattr(columns, name))
    return found


@dataclass(frozen=True)
class _Verbatim:
    """SQL text in the place of a construct."""

    text: str

    def write(self) -> str:
        return self.text


def build(target: Target | str | None = None) -> Build:
    """The query builder for a target: a Target, an alias or URL, or the project's own target."""
    if isinstance(target, Target):
        return Build(target)
    return Build(resolve(Project.find(), target))


def _rows(node: Node, depth: int) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = [("  " * depth + node.label, node.weight, node.detail)]
    for child in node.children:
        found += _rows(child, depth + 1)
    return found
