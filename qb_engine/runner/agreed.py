"""a plan that was read and approved: kept in a file, and nothing else is run

The file binds what will run to what it was looked at with: the migrations, by their checksums (and
by their statements, where a method makes them), and the schema of the target, by its fingerprint.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qb_engine.errors import InputError, RefusedError
from qb_engine.secrets import mask

if TYPE_CHECKING:
    from qb_engine.migrations import LoadedMigration

FORMAT = 1


def written(
    target: str, fingerprint: str, migrations: Sequence[LoadedMigration], steps: list[Any]
) -> str:
    """A plan as the text of a file. `steps` are what whoever reads it sees."""
    found = {
        "qb_plan": FORMAT,
        "target": target,
        "fingerprint": fingerprint,
        "migrations": [{"id": m.id, "checksum": m.whole_checksum} for m in migrations],
        "steps": steps,
    }
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"


def read(path: Path) -> dict[str, Any]:
    """The plan in a file. Raise InputError when the file holds none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            "the plan file cannot be read",
            where=str(path),
            why=error.strerror or str(error),
            todo="write it with: qb plan --out FILE",
            code="broken-file",
        ) from None
    except ValueError as error:
        raise _no_plan(path, f"it is no JSON: {error}") from None
    if not isinstance(found, dict) or found.get("qb_plan") != FORMAT:
        raise _no_plan(path, f'"qb_plan": {FORMAT} is expected in it')
    if not isinstance(found.get("migrations"), list) or not isinstance(
        found.get("fingerprint"), str
    ):
        raise _no_plan(path, "it names no migrations, or no fingerprint")
    return found


def insist(
    agreed: dict[str, Any], migrations: Sequence[LoadedMigration], fingerprint: str | None
) -> None:
    """Raise RefusedError when what would run, or what it would run on, is not what was agreed."""
    wanted = {str(each.get("id")): str(each.get("checksum")) for each in agreed["migrations"]}
    now = {m.id: m.whole_checksum for m in migrations}
    differs = [f"{name} is not pending" for name in wanted if name not in now]
    differs += [f"{name} is pending, and not in the plan" for name in now if name not in wanted]
    differs += [
        f"{name} was edited since" for name in now if name in wanted and wanted[name] != now[name]
    ]
    if not differs and list(wanted) != list(now):
        differs.append("the order is another one")
    if agreed["fingerprint"] != fingerprint:
        differs.append("the schema of the target has changed since")
    if differs:
        raise RefusedError(
            "what would run is not what was planned",
            why="\n".join(differs),
            todo="look at it again: qb plan --out FILE, then run with the new file",
            code="plan-differs",
        )


def insist_on(agreed: dict[str, Any], migration: LoadedMigration) -> None:
    """Raise RefusedError when a migration, read again before it runs, is not the one agreed on.

    Of one whose SQL is made by a method the statements are compared; its checksum is the method's.
    """
    steps = [each for each in agreed.get("steps", ()) if isinstance(each, dict)]
    wanted = [each.get("sql") for each in steps if each.get("migration") == migration.id]
    now = [mask(s.sql) for part in migration.before_backfill() for s in part.up]
    if wanted not in (now, [mask(s.sql) for s in migration.up]):
        raise RefusedError(
            f"what {migration.id} would run is not what was planned",
            where=str(migration.path),
            why="its SQL is made from what the target holds, and after the migrations before it "
            "that is something else",
            todo="plan and run up to it first (--to), then plan it: qb plan --out FILE",
            code="plan-differs",
        )


def _no_plan(path: Path, why: str) -> InputError:
    return InputError(
        "the file holds no plan",
        where=str(path),
        why=why,
        todo="write it with: qb plan --out FILE",
        code="broken-file",
    )
