"""what the user writes: migrations and backfills, and one loader per format of file"""

from __future__ import annotations

from qb_engine.migrations.collection import Broken, Migrations
from qb_engine.migrations.declaration import Backfill, Migration
from qb_engine.migrations.folder import load, load_one
from qb_engine.migrations.listing import Entry
from qb_engine.migrations.model import LoadedMigration, Part, Reader, to_sql

__all__ = [
    "Backfill",
    "Broken",
    "Entry",
    "LoadedMigration",
    "Migration",
    "Migrations",
    "Part",
    "Reader",
    "load",
    "load_one",
    "to_sql",
]
