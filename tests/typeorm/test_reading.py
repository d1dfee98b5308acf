"""what is read is what the real TypeORM hands to the driver, byte for byte"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qb_engine.database import Target
from qb_engine.migrations.typescript import Method, describe, methods, sent
from tests.typeorm.reading_cases import CASES, FILES, Case
from tests.typeorm.real import VERSIONS, TypeOrm, needs_node

# A real query runner of a real data source; only the connection to the server is another one.
RECORD = r"""
process.env.TZ = "UTC";
import * as fs from "fs";
import * as path from "path";
import { DataSource } from "typeorm";
const { prepareValue } = require("pg/lib/utils");

const folder = path.join(__dirname, "migrations");
const source = new DataSource({ type: "postgres" });
const quiet = () => {};
Object.assign(console, { info: quiet, error: quiet, warn: quiet });

async function recorded(file: string, method: "up" | "down") {
  const found = Object.values(await import(file)).flatMap((x: any) =>
    typeof x === "function" ? [x] : typeof x?.prototype?.up === "function" ? [x] : []);
  const migration: any = new (found as any[])[0]();
  const runner: any = source.createQueryRunner();
  const sent: any[] = [];
  const client = {
    query: async (sql: string, parameters?: any[]) => {
      sent.push({ sql, parameters: parameters ? parameters.map((p) => prepareValue(p)) : null });
      return { rows: [], rowCount: 0, command: "" };
    },
  };
  runner.connect = async () => client;
  let threw = "";
  const log = console.log;
  console.log = quiet;
  try {
    await migration[method](runner);
  } catch (error: any) {
    threw = error.message ?? String(error);
  }
  await new Promise((done) => setTimeout(done, 1));
  console.log = log;
  return { sent, threw };
}

async function main() {
  const found: any = {};
  for (const file of fs.readdirSync(folder)) {
    if (!/\.[cm]?[jt]s$/.test(file)) continue;
    const whole = path.join(folder, file);
    found[file] = { up: await recorded(whole, "up"), down: await recorded(whole, "down") };
  }
  console.log(JSON.stringify(found));
}
main();
"""


def write(folder: Path) -> dict[str, Path]:
    """The cases as files."""
    for name, data in FILES.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return {name: _write(folder, name, case) for name, case in CASES.items()}


def _write(folder: Path, name: str, case: Case) -> Path:
    file = folder / f"{name}{case.suffix}"
    text = ("\ufeff" if case.bom else "") + case.text(name)
    file.write_bytes(text.replace("\n", case.newline).encode())
    return file


def told(method: Method | None) -> dict[str, Any]:
    """A method that was read, in the words of the recording."""
    assert method is not None
    assert method.unread is None, method.unread
    return {
        "sent": [
            {
                "sql": query.sql,
                "parameters": None
                if query.parameters is None
                else [sent(value) for value in query.parameters],
            }
            for query in method.queries
        ],
        "threw": method.throws,
    }


SAID = Path(__file__).with_name("reading_cases.json")  # what TypeORM sent, for where no node is


@needs_node
@pytest.mark.node
@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_read_is_what_typeorm_sends(version: str, tmp_path: Path, database: Target) -> None:
    project = TypeOrm.make(tmp_path, version, database)
    files = write(project.migrations)
    recorded = json.loads(project.script(RECORD))
    differing = []
    for name, file in files.items():
        read = methods(file)
        for method, what in (("up", read.up), ("down", read.down)):
            if told(what) != recorded[file.name][method]:
                differing.append((name, method, told(what), recorded[file.name][method]))
    assert not differing
    assert {Path(name).stem: said for name, said in recorded.items()} == json.loads(
        SAID.read_text("utf-8")
    )


def test_enough_is_compared() -> None:
    said = json.loads(SAID.read_text("utf-8"))
    assert said.keys() == CASES.keys()
    assert len(said) >= 60
    assert sum(len(each[m]["sent"]) for each in said.values() for m in ("up", "down")) > 250


def test_every_case_reads_as_typeorm_sent_it(tmp_path: Path) -> None:
    said = json.loads(SAID.read_text("utf-8"))
    for name, file in write(tmp_path / "migrations").items():
        script = describe(file)
        assert [each.class_name for each in script.classes] == [name]
        assert script.errors == ()
        read = methods(file)
        assert told(read.up) == said[name]["up"], name
        assert told(read.down) == said[name]["down"], name
