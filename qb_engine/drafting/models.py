"""from SQLAlchemy metadata to a migration, through Alembic's autogenerate"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from qb_engine.database.engine import engine_of
from qb_engine.drafting.generate import generate
from qb_engine.drafting.outcome import Generated
from qb_engine.errors import InputError
from qb_engine.migrations import formats
from qb_engine.schema import snapshot

if TYPE_CHECKING:
    from sqlalchemy import MetaData

    from qb_engine.database import Target
    from qb_engine.database.connect import Connection
    from qb_engine.project import Project

OURS = "qb"  # the schema of qb's own tables, which are nobody's model


def from_models(
    project: Project, target: Target, name: str | None, models: str, *, conn: Connection,
    scratch: Connection | None = None, kind: str = "python", stamp: str | None = None,
    later_than: int = 0,
) -> Generated:  # fmt: skip
    """Write what leads from the target's schema to `package.module:Base` as a migration.

    Raise InputError when the models cannot be loaded, and when there is nothing to do.
    """
    metadata = load_metadata(project, models)
    sql = difference(target, metadata, hidden=_hidden(conn))
    if not sql.strip():
        raise InputError(
            "the target has the models' schema already",
            where=models,
            why="Alembic finds no difference between them",
            todo="change the models, or look at the target with: qb status",
            code="bad-models",
        )
    name = name or models.partition(":")[2].lower() + "_models"
    return generate(
        project, name, sql=sql, conn=conn, scratch=scratch, kind=kind, stamp=stamp,
        later_than=later_than,
    )  # fmt: skip


def load_metadata(project: Project, models: str) -> MetaData:
    """The metadata that `package.module:Base` names: a declarative base, or MetaData itself."""
    module, colon, attribute = models.partition(":")
    if not colon or not module or not attribute:
        raise InputError(
            f"{models!r} does not name models",
            why="a module and a name in it are expected",
            todo="write --models package.module:Base",
            code="bad-models",
        )
    with _importable(str(project.root)):
        try:
            found: Any = import_module(module)
            for part in attribute.split("."):
                found = getattr(found, part)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - a module may raise anything, even exit
            raise InputError(
                f"the models {models} cannot be loaded",
                where=str(project.root),
                why=f"{type(error).__name__}: {error}",
                todo="see that the module can be imported from the project's folder",
                code="bad-models",
            ) from None
    metadata = getattr(found, "metadata", found)
    if not hasattr(metadata, "sorted_tables"):
        raise InputError(
            f"{models} is neither a declarative base nor MetaData",
            where=models,
            why=f"it is a {type(found).__name__}",
            todo="name the base class of the models, or its metadata",
            code="bad-models",
        )
    return metadata  # type: ignore[no-any-return]


def difference(target: Target, metadata: MetaData, *, hidden: set[str] | None = None) -> str:
    """The SQL that makes the target's schema what the metadata says; empty when it is."""
    from alembic.autogenerate import produce_migrations
    from alembic.migration import MigrationContext

    engine = engine_of(target)
    try:
        with engine.connect() as live:
            context = MigrationContext.configure(
                live,
                opts={
                    "compare_type": True,
                    "compare_server_default": True,
                    "include_schemas": any(t.schema for t in metadata.tables.values()),
                    "include_name": _included(metadata, hidden or set()),
                    "target_metadata": metadata,
                },
            )
            script = produce_migrations(context, metadata)
            assert script.upgrade_ops is not None
            return _rendered(script.upgrade_ops, live.dialect)
    finally:
        engine.dispose()


def _included(
    metadata: MetaData, hidden: set[str]
) -> Callable[[str | None, str, Mapping[str, Any]], bool]:
    schemas = {table.schema for table in metadata.tables.values()} | {None}

    def include(name: str | None, kind: str, parents: Mapping[str, Any]) -> bool:
        if kind == "schema":
            return name in schemas and name != OURS
        if kind == "table":
            return f"{parents.get('schema_name') or 'public'}.{name}" not in hidden
        return True

    return include


def _hidden(conn: Connection) -> set[str]:
    """Tables that no model speaks of: partitions, and what other tools record migrations in."""
    tables = snapshot(conn).tables.values()
    partitions = {table.qualified for table in tables if table.partition_of is not None}
    return partitions | {f"public.{format.table}" for format in formats.known().values()}


def _rendered(operations: Any, dialect: Any) -> str:
    """Alembic's operations as SQL text."""
    from alembic.migration import MigrationContext
    from alembic.operations import Operations
    from sqlalchemy.dialects.postgresql import psycopg

    # a paramstyle without percent signs: the text goes to the server verbatim
    offline_dialect = psycopg.dialect(paramstyle="named")  # type: ignore[no-untyped-call]
    offline_dialect.server_version_info = dialect.server_version_info
    buffer = io.StringIO()
    context = MigrationContext.configure(
        dialect=offline_dialect,
        opts={"as_sql": True, "output_buffer": buffer, "literal_binds": True},
    )
    offline = Operations(context)
    for operation in _flat(operations.ops):
        offline.invoke(operation)
    # Alembic ends a statement with a semicolon and an empty line
    return buffer.getvalue().strip()


def _flat(found: list[Any]) -> Iterator[Any]:
    from alembic.operations.ops import AddColumnOp

    for operation in found:
        if hasattr(operation, "ops"):
            yield from _flat(operation.ops)
        elif isinstance(operation, AddColumnOp):
            # indexes and foreign keys of a new column are operations of their own
            operation.column = _bare(operation.column)
            yield operation
        else:
            yield operation


def _bare(column: Any) -> Any:
    """A column without its index, uniqueness and foreign keys."""
    from sqlalchemy import Column

    parts = [part._copy() for part in (column.computed, column.identity) if part is not None]
    return Column(
        column.name, column.type, *parts, nullable=column.nullable, comment=column.comment,
        server_default=None if column.computed is not None else column.server_default,
    )  # fmt: skip


@contextmanager
def _importable(folder: str) -> Iterator[None]:
    """Let modules of the project's folder be imported, as Python does for a script in it."""
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
