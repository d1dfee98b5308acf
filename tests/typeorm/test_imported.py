"""a recording is not run after a file that the migration imports was edited"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from qb_engine.errors import RefusedError
from qb_engine.migrations.typescript import Query, recordings
from qb_engine.migrations.typescript.imported import imported
from qb_engine.migrations.typescript.recordings import Recording, digest, imports_of
from qb_engine.project import Project
from tests.conftest import Qb

NAME = "AddTenant1710460800000"
TEXT = f"""
import {{ TENANT }} from "../tenant.js";
export class {NAME} {{
  async up(q) {{ await q.query(`CREATE TABLE ${{TENANT}} ()`); }}
  async down(q) {{ await q.query(`DROP TABLE ${{TENANT}}`); }}
}}
"""
FILES = {
    "src/migrations/1710460800000-AddTenant.ts": TEXT,
    "src/tenant.ts": 'import { x } from "./deep";\nexport const TENANT = x;\n',
    "src/deep/index.ts": 'export { x } from "./names"; import "typeorm"; require("./gone");\n',
    "src/deep/names.ts": 'export const x = "one"; export * from "..//tenant";\n',
    "src/other.ts": "export const y = 1;\n",
}


@pytest.fixture
def home(project: Project) -> Path:
    for name, text in FILES.items():
        path = project.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    settings = 'migrations = "src/migrations"\nformat = "typeorm"\n'
    project.file.write_text(settings + project.file.read_text())
    path = project.root / "src/migrations/1710460800000-AddTenant.ts"
    up, down = (Query("CREATE TABLE one ()"),), (Query("DROP TABLE one"),)
    one = Recording(NAME, path.name, digest(path), up, down, imports=imports_of(path))
    recordings.write(path.parent, {NAME: one})
    return project.root


def test_what_is_imported_is_found_wherever_it_stands(home: Path) -> None:
    found = imported(home / "src/migrations/1710460800000-AddTenant.ts")
    assert list(found) == ["../deep/index.ts", "../deep/names.ts", "../tenant.ts"]


def test_a_link_to_a_migration_is_recorded_like_any_other(home: Path, qb: Qb) -> None:
    """Node goes by the file that is meant; the recording stands beside the link."""
    path = home / "src/migrations/1710460800000-AddTenant.ts"
    (home / "elsewhere").mkdir()
    moved = path.rename(home / "elsewhere" / path.name)
    for folder in ("deep", "tenant.ts"):
        (home / "src" / folder).rename(home / folder)
    path.symlink_to(moved)
    made = recordings.recordings_of(path.parent)[NAME]
    linked = replace(made, imports=imports_of(path))
    recordings.write(path.parent, {NAME: linked})
    assert list(linked.imports) == ["../deep/index.ts", "../deep/names.ts", "../tenant.ts"]
    assert qb("run").ok


def test_an_edit_of_what_is_imported_stops_the_run_and_not_the_rest(home: Path, qb: Qb) -> None:
    names = home / "src/deep/names.ts"
    names.write_text(names.read_text().replace("one", "two"))
    with pytest.raises(RefusedError) as caught:
        qb("run")
    assert "before ../deep/names.ts was edited" in caught.value.what
    assert "qb typeorm import --allow-execution" in caught.value.todo
    names.write_text(FILES["src/deep/names.ts"])
    (home / "src/other.ts").write_text("")
    assert qb("run").ok
    names.write_text("")  # it is applied: nothing of it is to be run
    assert qb("run").ok
    assert qb("rollback").ok
    assert "../deep/names.ts was edited since" in qb("status").to_json()


# -- through aliases of tsconfig.json --------------------------------------------------------------

ALIASED = {
    "tsconfig.json": """{
      "extends": ["typeorm-base", "./config/base"], // a package's, and one of the project
      "compilerOptions": { "strict": true, },
    }""",
    "config/base.json": """{ "compilerOptions": {
      /* "paths": {}, */
      "paths": {
        "@/*": ["../src/*"], "@/deep/*": ["../lib/*", "../src/deep/*"],
        "names": ["../src/names.ts"], "typeorm": ["../node_modules/typeorm"],
      },
    }}""",
    "lib/only.ts": "",
    "src/names.ts": 'import "@/other"; export const x = 1;\n',
    "node_modules/typeorm/index.ts": "",
}


def aliased(home: Path, text: str, files: dict[str, str]) -> list[str]:
    """What a migration imports in a project with these files besides."""
    for name, said in files.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(said)
    script = home / "src/migrations/1710460800000-AddTenant.ts"
    script.write_text(text)
    return list(imported(script))


def test_an_alias_of_the_tsconfig_leads_to_the_file_that_it_means(home: Path) -> None:
    """The longest beginning counts, then the first place that has the file; what is meant by a
    package's name stands in node_modules.
    """
    for text, found in {
        'import { x } from "@/tenant.js"': "../deep/index.ts ../deep/names.ts ../tenant.ts",
        'import { x } from "@/deep/names"': "../deep/index.ts ../deep/names.ts ../tenant.ts",
        'import "@/deep/only"': "../../lib/only.ts",
        'import { x } from "names"': "../names.ts ../other.ts",
        'await import("@/other")': "../other.ts",
        'import { y } from "@/gone"; import { q } from "typeorm"; import z from "@nestjs/x"': "",
    }.items():
        assert aliased(home, text, ALIASED) == found.split(), text


@pytest.mark.parametrize(
    "tsconfig",
    [
        '{"compilerOptions": {"baseUrl": "."}}',
        '{"compilerOptions": {"baseUrl": "./src", "paths": {"src/*": ["./*"]}}}',
        '{"compilerOptions": {"paths": {"src/*": ["${configDir}/src/*"]}}}',
    ],
)
def test_names_count_from_the_base_url_where_there_is_one(home: Path, tsconfig: str) -> None:
    found = aliased(home, 'import "src/other"; import "typeorm";', {"tsconfig.json": tsconfig})
    assert found == ["../other.ts"]


@pytest.mark.parametrize(
    "tsconfig",
    [
        "{",
        "[]",
        '{"extends": "./tsconfig.json"}',
        '{"extends": ["./gone", "./", "../../../../../../../..", 7]}',
        "\udcff",
        '{"compilerOptions": {"baseUrl": 7, "paths": {"@/*": "src", "*/*": [], "@/x": [1]}}}',
    ],
)
def test_a_tsconfig_that_cannot_be_read_keeps_nothing_else_from_being_watched(
    home: Path, tsconfig: str
) -> None:
    (home / "tsconfig.json").write_text(tsconfig, errors="surrogateescape")
    found = aliased(home, f'import "@/other"; import "../other"; import "@/{"x" * 500}";', {})
    assert found == ["../other.ts"]


def test_an_edit_of_what_an_alias_leads_to_stops_the_run(home: Path, qb: Qb) -> None:
    path = home / "src/migrations/1710460800000-AddTenant.ts"
    aliased(home, TEXT.replace("../tenant.js", "@/tenant"), ALIASED)
    one = recordings.recordings_of(path.parent)[NAME]
    one = replace(one, raw=digest(path), imports=imports_of(path))
    recordings.write(path.parent, {NAME: one})
    names = home / "src/deep/names.ts"
    names.write_text(names.read_text().replace("one", "two"))
    with pytest.raises(RefusedError) as caught:
        qb("run")
    assert "before ../deep/names.ts was edited" in caught.value.what
    names.write_text(FILES["src/deep/names.ts"])
    assert qb("run").ok
