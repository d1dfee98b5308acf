"""completion: commands, options, names, columns; never a query, never an exception"""

from __future__ import annotations

from pathlib import Path

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell

from qb_engine.database import Target
from qb_magic.catalogue import Catalogue, Names, read
from qb_magic.extension import QbMagics

TABLES = {
    "users": ("id", "email", '"Full Name"'),
    "orders": ("id", "total"),
    '"Order Items"': ("order_id",),
    "app.events": ("at",),
}


@pytest.fixture
def ready(shell: InteractiveShell) -> InteractiveShell:
    """A shell whose project has migrations and aliases, and whose catalogue is known."""
    root = Path.cwd()
    (root / "qb.toml").write_text('[aliases]\nstaging = "postgresql://localhost/shop"\n')
    for name in ("20240101000000_add_users", "20240102000000_add_email"):
        (root / "migrations" / f"{name}.sql").write_text("-- qb:up\nSELECT 1\n")
    (root / "migrations" / "20240103000000_fill").mkdir()
    (root / ".qb" / "drafts" / "add_phone").mkdir(parents=True)
    loaded = shell.magics_manager.registry["QbMagics"]
    assert isinstance(loaded, QbMagics)
    loaded.session.project = type(loaded.session.project).find(root)
    loaded.names.catalogue = Catalogue(TABLES)
    return shell


def offered(shell: InteractiveShell, code: str) -> list[str]:
    """What IPython offers at the end of `code`, as whole texts that would stand there."""
    with provisionalcompleter():
        return [c.text for c in shell.Completer.completions(code, len(code))]


@pytest.mark.parametrize(
    ("code", "some"),
    [
        ("%qb ", {"init", "plan", "verify", "help"}),
        ("%qb pl", {"plan"}),
        ("plan = %qb pl", {"plan"}),
        ("x = 1\n%qb pl", {"plan"}),
        ("%qb help pl", {"plan"}),
        ("%qb plan --sc", {"--scratch"}),
        ("%qb plan --", {"--connect", "--json", "--help"}),
        ("%qb plan -c ", {"staging", "embedded"}),
        ("%qb plan --connect st", {"staging"}),
        ("%qb connect ", {"staging", "embedded"}),
        ("%qb plan ", {"add_users", "add_email", "fill"}),
        ("%qb plan -c staging add_", {"add_users", "add_email"}),
        ("%qb generate add", {"add_phone"}),
        ("%qb backfill ", {"start", "pause", "cancel"}),
        ("%qb backfill status fi", {"fill"}),
        ("%qb dev ", {"up", "status", "down"}),
    ],
)
def test_a_line_is_completed(ready: InteractiveShell, code: str, some: set[str]) -> None:
    assert some <= set(offered(ready, code))


@pytest.mark.parametrize(
    ("code", "first"),
    [
        ("%%qb draft a\nALTER TABLE us", ["users", "USING"]),
        ("%%qb draft a\nUPDATE users SET em", ["email"]),
        ("%%qb draft a\nSELECT 1;\nUPDATE users u SET u.", ["id", "email", '"Full Name"']),
        ("%%qb draft a\nSELECT orders.", ["id", "total"]),
        ("%%qb draft a\nSELECT app.events.", ["at"]),
        ('%%qb draft a\nALTER TABLE "Or', ['"Order Items"']),
        ("%%qb draft a\nalter table Or", ["orders", '"Order Items"', "ORDER BY"]),
    ],
)
def test_a_draft_is_completed(ready: InteractiveShell, code: str, first: list[str]) -> None:
    """Columns of the tables that the draft names come first, then tables, then keywords."""
    assert offered(ready, code)[: len(first)] == first


@pytest.mark.parametrize(
    "code",
    ["%qb plan 'open", "%qb nonsense ", "%qb init --nope ", "%%qb draft a\n", "%qb dev nope "],
)
def test_where_nothing_is_known_nothing_is_offered(ready: InteractiveShell, code: str) -> None:
    assert not {"plan", "users", "staging"} & set(offered(ready, code))


def test_python_cells_are_left_to_python(ready: InteractiveShell) -> None:
    assert "users" not in offered(ready, "%%qb draft a --py\nus")


def test_a_broken_project_does_not_break_typing(ready: InteractiveShell) -> None:
    """Completion that cannot look says so in the log, not in the cell."""
    Path("qb.toml").write_text("nonsense = [")
    session = ready.magics_manager.registry["QbMagics"].session
    session.project = type(session.project).find(Path.cwd())
    assert not {"staging", "embedded"} & set(offered(ready, "%qb plan -c "))
    assert "plan" in offered(ready, "%qb pl")


def test_names_are_read_as_sql_writes_them(database: Target, connection: object) -> None:
    """Tables outside the search path carry their schema, odd names their quotes."""
    connection.execute(  # type: ignore[attr-defined]
        'CREATE TABLE users (id int, "Full Name" text);'
        'CREATE TABLE "Order Items" (order_id int);'
        "CREATE SCHEMA app; CREATE TABLE app.events (at date) PARTITION BY RANGE (at);"
        "CREATE TABLE app.e1 PARTITION OF app.events DEFAULT;"
    )
    assert read(database.conninfo).tables == {
        '"Order Items"': ("order_id",),
        "users": ("id", '"Full Name"'),
        "app.events": ("at",),
    }


def test_names_are_refreshed_in_the_background(database: Target, connection: object) -> None:
    connection.execute("CREATE TABLE users (id int)")  # type: ignore[attr-defined]
    names = Names()
    names.refresh(database.conninfo)
    assert names.settled(20)
    assert names.catalogue.tables == {"users": ("id",)}


def test_a_server_that_is_gone_changes_nothing() -> None:
    names = Names()
    names.catalogue = Catalogue(TABLES)
    names.refresh("host=/nowhere")
    assert names.settled(20)
    assert names.catalogue.tables == TABLES
