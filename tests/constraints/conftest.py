"""rules made of what a migration file says, and asked of a real database"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from qb_engine.constraints.rules import DeclaredRule, Outcome, rules_of
from qb_engine.constraints.rules import later as ask_later
from qb_engine.migrations.model import Expectation, LoadedMigration, Part
from qb_engine.sql import Source

Rules = Callable[..., tuple[DeclaredRule, ...]]
Ask = Callable[[Any], Outcome]


def expecting(*said: Any) -> LoadedMigration:
    """A migration that expects these, each on a line of its own."""
    found = tuple(Expectation(each, Source("a.py", n)) for n, each in enumerate(said, 1))
    part = Part("migration", "a.py", (), expect=found)
    return LoadedMigration("20240101_a", "20240101", "a", Path("a.py"), "python", (part,))


@pytest.fixture
def rules(tmp_path: Path) -> Rules:
    """The rules that are written so, in a project in `tmp_path`."""
    return lambda *said: rules_of(expecting(*said), tmp_path)


@pytest.fixture
def ask(rules: Rules, connection: psycopg.Connection[Any]) -> Ask:
    """What a rule says of the database as it is now."""

    def one(said: Any) -> Outcome:
        (outcome,) = ask_later(connection, rules(said))
        return outcome

    return one
