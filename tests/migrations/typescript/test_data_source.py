"""what a data source says of migrations, and what it does not"""

from __future__ import annotations

from pathlib import Path

import pytest

from qb_engine.errors import InputError
from qb_engine.migrations.typescript import DataSourceOptions, data_source


def read(
    folder: Path, text: str, name: str = "src/data-source.ts", package: str = "package.json"
) -> DataSourceOptions:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    (folder / package).write_text("{}")
    return data_source(file)


def test_the_options_of_a_data_source_are_told(tmp_path: Path) -> None:
    told = read(
        tmp_path,
        """import "reflect-metadata";
import { DataSource } from "typeorm";
import { User } from "./entity/User";

export const AppDataSource = new DataSource({
  type: "postgres",
  host: process.env.DB_HOST ?? "localhost",
  password: secret(),
  entities: [User],
  schema: "shop",
  migrations: ["src/migrations/*.ts"],
  migrationsTableName: `history`,
  migrationsTransactionMode: "each" as const,
});
""",
    )
    assert told == DataSourceOptions(
        ("src/migrations/*.ts",), "history", "shop", "each", "postgres", 5, ()
    )


@pytest.mark.parametrize(
    ("globs", "told"),
    [
        ('[__dirname + "/migrations/*.ts"]', ["src/migrations/*.ts"]),
        ('[path.join(__dirname, "m", "**", "*.{ts,js}")]', ["src/m/**/*.{ts,js}"]),
        ('[join(__dirname, "../db/*.ts"), "./lib/*.js"]', ["db/*.ts", "lib/*.js"]),
        ('[`${__dirname}/../../*.ts`]', None),
        ("[...GLOBS, 'more/*.ts']", ["a/*.ts", "b/*.ts", "more/*.ts"]),
        ("GLOBS", ["a/*.ts", "b/*.ts"]),
        ('["*.ts", "!skip.ts"]', ["*.ts", "!skip.ts"]),
        ('{ a: "a/*.ts" }', ["a/*.ts"]),
        ("[]", []),
        ("undefined", []),
    ],
)  # fmt: skip
def test_globs_are_told_from_the_folder_of_the_project(
    globs: str, told: list[str] | None, tmp_path: Path
) -> None:
    said = read(
        tmp_path,
        f"""import * as path from "path"; import {{ join }} from "path";
const GLOBS = ["a/*.ts", "./b/*.ts"];
export default new DataSource({{ type: "postgres", migrations: {globs} }});""",
    )
    assert said.unread == ()
    if told is None:
        assert said.migrations == (f"{tmp_path.parent}/*.ts",)
    else:
        assert list(said.migrations) == told


def test_what_cannot_be_told_is_listed_with_reason_and_line(tmp_path: Path) -> None:
    told = read(
        tmp_path,
        """import { Add1 } from "./migrations/1-Add";
export class Local { async up() {} }
export default new DataSource({
  type: process.env.DB_TYPE as any,
  schema: config.schema,
  migrations: [Add1, Local, "src/*.ts"],
  migrationsTableName: process.env.TABLE || "migrations",
  migrationsTransactionMode: mode(),
});
""",
    )
    assert told.migrations == ("src/*.ts",)
    assert (told.type, told.schema, told.table, told.transaction_mode) == (None,) * 4
    unread = {}
    for name, reason, line in told.unread:
        unread.setdefault(name, []).append((reason, line))
    assert [line for _, line in unread["type"]] == [4]
    assert "process.env.DB_TYPE" in unread["type"][0][0]
    assert [line for _, line in unread["schema"]] == [5]
    assert [line for _, line in unread["migrations"]] == [6, 6]
    assert "./migrations/1-Add" in unread["migrations"][0][0]
    assert "the class Local" in unread["migrations"][1][0]
    assert [line for _, line in unread["migrationsTableName"]] == [7]
    assert [line for _, line in unread["migrationsTransactionMode"]] == [8]


@pytest.mark.parametrize(
    "text",
    [
        "const options = { type: 'postgres', migrations: ['m/*.ts'] };\nnew DataSource(options);",
        "const o: any = { migrations: ['m/*.ts'] };\nnew DataSource({ type: 'postgres', ...o });",
        "export const options: DataSourceOptions = { type: 'postgres', migrations: ['m/*.ts'] };",
        "export default { type: 'postgres', migrations: ['m/*.ts'] } satisfies DataSourceOptions;",
        "module.exports = { type: 'postgres', migrations: ['m/*.ts'] };",
        "module.exports = [{ type: 'postgres', migrations: ['m/*.ts'] }, { type: 'mysql' }];",
        "createConnection({ type: 'postgres', migrations: ['m/*.ts'] }).then(() => {});",
        "const x = new typeorm.DataSource({ type: 'postgres', migrations: ['m/*.ts'] } as any);",
        "const f = () => new DataSource({ type: 'postgres', migrations: ['m/*.ts'] });",
        "const base = { type: 'postgres' } as const;\n"
        "const o = { ...base, migrations: ['m/*.ts'] };\nexport default new DataSource(o);",
        "const o = { type: 'postgres', migrations: ['m/*.ts'] };\n"
        "new DataSource(Object.assign({}, o))",
    ],
)
def test_the_options_are_found_wherever_they_stand(text: str, tmp_path: Path) -> None:
    told = read(tmp_path, text)
    assert (told.type, told.migrations, told.unread) == ("postgres", ("m/*.ts",), ())


def test_options_from_elsewhere_leave_every_one_open_that_may_be_theirs(tmp_path: Path) -> None:
    told = read(
        tmp_path,
        """import { base } from "./base";
export default new DataSource({ ...base, migrations: ["m/*.ts"] });""",
    )
    assert told.migrations == ("m/*.ts",)
    assert {name for name, _, _ in told.unread} == {
        "type", "schema", "migrationsTableName", "migrationsTransactionMode",
    }  # fmt: skip
    told = read(tmp_path, 'import { o } from "./o";\nexport default new DataSource(o);')
    assert {"migrations", "type"} <= {name for name, _, _ in told.unread}


def test_an_ormconfig_is_read(tmp_path: Path) -> None:
    told = read(
        tmp_path,
        '[{"type": "postgres", "migrations": ["./m/*.ts"], "migrationsTableName": "h"}]',
        "ormconfig.json",
    )
    assert (told.type, told.migrations, told.table) == ("postgres", ("m/*.ts",), "h")


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.ts", "export const x = 1;"), ("a.ts", ""), ("o.json", "{"), ("a.ts", "new DataSource()")],
)  # fmt: skip
def test_a_file_without_options_is_an_error(name: str, text: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as raised:
        read(tmp_path, text, name)
    assert raised.value.code == "data-source"
