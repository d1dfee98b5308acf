"""how fast a server works: a little work of each kind, measured once on the scratch server"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from qb_engine.analysis.estimate import CHANGE, Rate, Rates, history
from qb_engine.analysis.facts import WorkKind
from qb_engine.shadow.shadow import clone

if TYPE_CHECKING:
    from pathlib import Path

    from qb_engine.database.connect import Connection
    from qb_engine.shadow import Scratch

FILE = "calibration.json"  # in the project's own folder
VALID = timedelta(days=30)
LOW, HIGH = 0.25, 4.0  # the target is another machine, with other load and another cache
ROWS = 40_000
PARENTS = 1_000

PREPARE = (
    "SET synchronous_commit = off",
    "SET max_parallel_maintenance_workers = 0",
    "CREATE TABLE parents (id int PRIMARY KEY)",
    f"INSERT INTO parents SELECT n FROM generate_series(1, {PARENTS}) AS n",
    "CREATE TABLE rows (id int, parent int, name text)",
    f"INSERT INTO rows SELECT n, 1 + n % {PARENTS}, repeat('x', 60)"
    f" FROM generate_series(1, {ROWS}) AS n",
    "ANALYZE rows",
)
WORK = {
    (WorkKind.SCAN,): "SELECT count(name) FROM rows",
    (WorkKind.VERIFY,): "ALTER TABLE rows ADD CHECK (id > 0)",
    (WorkKind.FOREIGN_KEY,): "ALTER TABLE rows ADD FOREIGN KEY (parent) REFERENCES parents",
    (WorkKind.REWRITE,): "ALTER TABLE rows ALTER id TYPE bigint",
    (WorkKind.BUILD, WorkKind.REBUILD): "CREATE INDEX ON rows (parent, name)",
    (CHANGE,): "UPDATE rows SET parent = parent",  # last: it leaves dead rows behind
}
SIZE = "SELECT pg_catalog.pg_relation_size('rows')"


def rates(conn: Connection, scratch: Scratch, home: Path) -> Rates:
    """What is known of speed: of the target by its own history, else of the scratch server."""
    return history(conn).over(calibrated(scratch, home / FILE))


def calibrated(scratch: Scratch, file: Path) -> Rates:
    """The rates that were measured on the scratch server, measured now if they are old."""
    kept = _read(file, scratch.target.name)
    if kept is None:
        kept = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "server": scratch.target.name,
            "rates": measure(scratch),
        }
        file.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    found = {
        kind: Rate(one["rows_per_s"], one["bytes_per_s"], LOW, HIGH)
        for kind, one in kept["rates"].items()
    }
    day = str(kept["at"])[:10]
    return Rates(found, dict.fromkeys(found, f"a measurement on the scratch server, {day}"))


def measure(scratch: Scratch) -> dict[str, dict[str, float]]:
    """Do a little work of each kind in a database of its own: rows and bytes per second."""
    found: dict[str, dict[str, float]] = {}
    with clone(scratch, "template0") as name:
        conn = scratch.connect(name)
        try:
            for statement in PREPARE:
                conn.execute(statement.encode())
            for kinds, statement in WORK.items():
                row = conn.execute(SIZE).fetchone()
                size = row[0] if row else 0
                began = time.monotonic()
                conn.execute(statement.encode())
                seconds = max(time.monotonic() - began, 0.0005)
                rate = {"rows_per_s": ROWS / seconds, "bytes_per_s": size / seconds}
                found |= {str(kind): rate for kind in kinds}
        finally:
            conn.close()
    return found


def _read(file: Path, server: str) -> dict[str, Any] | None:
    """What was kept, when it is of this server and not too old."""
    try:
        kept: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        at = datetime.fromisoformat(kept["at"])
        whole = {str(kind) for kinds in WORK for kind in kinds} <= kept["rates"].keys()
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if kept.get("server") != server or not whole or datetime.now(UTC) - at > VALID:
        return None
    return kept
