"""what TypeORM does with the examples of traps: those that stop it stop it, the good ones do not"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import psycopg
import pytest

from qb_engine.database import Target
from qb_engine.typeorm.traps import Severity, all_traps
from tests.typeorm.real import VERSIONS, TypeOrm, needs_node

# what a title says of traps that keep every migration of a project from running
STOPS = ("refuses every migration", "nothing runs", "and stops", "can be loaded")
STOPPING = [
    trap
    for trap, _ in all_traps()
    if trap.severity is Severity.ERROR and any(words in trap.title for words in STOPS)
]
SCRIPT = """
import source from "./data-source";
import { DataSource } from "typeorm";

async function main() {
  const said: Record<string, string> = {};
  for (const name of %s) {
    const mode = name.startsWith("transaction-forbidden-good") ? "each" : "all";
    const options = { ...source.options, migrations: [`src/examples/${name}/**/*.ts`] };
    const one = new DataSource({ ...options, migrationsTransactionMode: mode } as any);
    try {
      await one.initialize();
      await one.runMigrations();
      said[name] = "";
    } catch (error) {
      said[name] = String(error) || "an error";
    }
    await one.query("DROP TABLE IF EXISTS notes, migrations").catch(() => {});
    await one.destroy().catch(() => {});
  }
  console.log(JSON.stringify(said));
}
main();
"""


@needs_node
@pytest.mark.node
@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_said_to_stop_typeorm_stops_it(
    version: str, tmp_path: Path, database: Target
) -> None:
    project = TypeOrm.make(tmp_path, version, database)
    bad = [_write(project, f"{trap.id}-bad", trap.bad.files) for trap in STOPPING]
    good = {json.dumps(dict(trap.good.files)): trap for trap in STOPPING}  # many are the same
    fine = [_write(project, f"{each.id}-good", each.good.files) for each in good.values()]
    said = json.loads(project.script(SCRIPT % json.dumps(bad + fine)).splitlines()[-1])
    assert [name for name, error in said.items() if not error] == fine
    assert len(bad) > 12
    with psycopg.connect(database.conninfo) as conn:
        assert conn.execute("SELECT to_regclass('notes')").fetchone() == (None,)


def _write(project: TypeOrm, name: str, files: Mapping[str, str]) -> str:
    for file, text in files.items():
        path = project.root / "src" / "examples" / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return name
