"""finding a TypeORM project, and saying in qb.toml where it is"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from qb_engine.errors import InputError, RefusedError
from qb_engine.migrations import load
from qb_engine.migrations.formats.typeorm import matched
from qb_engine.migrations.typescript.recordings import (
    FILE,
    Recording,
    Refusal,
    digest,
    recordings_of,
    refusals_of,
    write,
)
from qb_engine.migrations.typescript.values import Query
from qb_engine.project import TEMPLATE, Project
from qb_engine.typeorm.finding import compiled_of, data_source_file, source_of
from qb_engine.typeorm.judging import judged
from qb_engine.typeorm.node import NOWHERE, environment
from qb_engine.typeorm.recording import extensions
from qb_engine.typeorm.settings import Settings, edited
from qb_engine.typeorm.sources import Said, read, refuse_unread, settings_of
from qb_engine.typeorm.traps.trap import written
from tests.conftest import Qb


def put(root: Path, name: str, text: str = "") -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


# -- the data source -------------------------------------------------------------------------------


def test_package_json_comes_before_the_usual_places(tmp_path: Path) -> None:
    """What the project's own scripts name is what its commands use."""
    usual = put(tmp_path, "src/data-source.ts")
    assert data_source_file(tmp_path).path == usual
    named = put(tmp_path, "src/db/source.ts")
    scripts = {"m": "typeorm migration:run -d dist/db/source.js", "x": "echo -d no"}
    put(tmp_path, "package.json", json.dumps({"scripts": scripts}))
    put(tmp_path, "tsconfig.json", '{ // yes\n "compilerOptions": { "outDir": "./dist", } }')
    assert data_source_file(tmp_path).path == named
    scripts["y"] = "typeorm migration:generate --dataSource=src/data-source.ts"
    put(tmp_path, "package.json", json.dumps({"scripts": scripts}))
    with pytest.raises(InputError, match="several data sources"):
        data_source_file(tmp_path)
    assert data_source_file(tmp_path, Path("src/data-source.ts")).path == usual


def test_where_the_sources_were_left_out_the_compiled_one_is_found(tmp_path: Path) -> None:
    put(tmp_path, "dist/data-source.d.ts")
    built = put(tmp_path, "dist/data-source.js")
    assert data_source_file(tmp_path).path == built
    source = put(tmp_path, "src/data-source.ts")
    assert data_source_file(tmp_path).path == source


def test_no_data_source_is_said_with_the_way_round(tmp_path: Path) -> None:
    """The message names the places and the options."""
    with pytest.raises(InputError) as error:
        data_source_file(tmp_path)
    assert "--migrations" in error.value.todo
    with pytest.raises(InputError, match="no data source nope"):
        data_source_file(tmp_path, Path("nope.ts"))


def test_why_there_is_no_data_source_is_what_is_there(tmp_path: Path) -> None:
    """A folder is called one, and a package.json that is missing names nothing."""
    with pytest.raises(InputError) as error:
        data_source_file(tmp_path)
    assert error.value.why.startswith("there is no package.json that names one")
    put(tmp_path, "package.json", "{}")
    with pytest.raises(InputError) as error:
        data_source_file(tmp_path)
    assert error.value.why.startswith("package.json names none with -d")
    put(tmp_path, "sources/data-source.ts")
    with pytest.raises(InputError, match="sources is a folder, and no data source") as error:
        data_source_file(tmp_path, Path("sources"))
    assert error.value.why.endswith("; sources/data-source.ts looks like it")


def test_compiled_files_and_their_sources_find_each_other(tmp_path: Path) -> None:
    """Through outDir and rootDir of tsconfig.json."""
    put(tmp_path, "tsconfig.json", '{"compilerOptions": {"outDir": "out", "rootDir": "lib"}}')
    source, built = put(tmp_path, "lib/a/b.ts"), put(tmp_path, "out/a/b.js")
    assert source_of(tmp_path, built) == source
    assert compiled_of(tmp_path, source) == built
    assert compiled_of(tmp_path, put(tmp_path, "lib/c.ts")) == tmp_path / "lib" / "c.ts"


@pytest.mark.parametrize(
    ("globs", "folder", "files"),
    [
        (("src/migrations/**/*.ts",), "src/migrations", ()),
        (("src/migrations/*{.ts,.js}",), "src/migrations", ("src/migrations/*{.ts,.js}",)),
        (("dist/migrations/*.js",), "src/migrations", ("src/migrations/*.ts",)),
        (("./src/migrations/1-A.ts",), "src/migrations", ("src/migrations/1-A.ts",)),
        (
            ("src/migrations/*.ts", "src/more/*.ts"),
            "src",
            ("src/migrations/*.ts", "src/more/*.ts"),
        ),
    ],
)
def test_globs_become_a_folder_and_files(
    tmp_path: Path, globs: tuple[str, ...], folder: str, files: tuple[str, ...]
) -> None:
    """Exactly what TypeORM would load; the sources of what is compiled."""
    put(tmp_path, "src/migrations/1-A.ts")
    put(tmp_path, "src/more/2-B.ts")
    settings, notes = settings_of(tmp_path, Said(globs, type="postgres"), None)
    assert (settings.migrations, settings.files) == (folder, files)
    assert bool(notes) == globs[0].startswith("dist")


def test_what_is_no_project_of_postgres_or_has_no_folder_is_refused(tmp_path: Path) -> None:
    """Another database, or globs that lead nowhere."""
    with pytest.raises(InputError, match="one of mysql"):
        settings_of(tmp_path, Said(("*.ts",), type="mysql"), None)
    with pytest.raises(InputError, match="no folder of migrations"):
        settings_of(tmp_path, Said(("nope/*.ts",)), None)


def test_an_option_that_the_text_does_not_tell_is_named(tmp_path: Path) -> None:
    """The option, its line, the way round; one that was given is not asked for."""
    said = Said(unread={"migrations": ("it is a call", 7), "logging": ("whatever", 9)})
    assert not said.lacking(["migrations"])
    with pytest.raises(InputError) as error:
        refuse_unread(tmp_path / "ds.ts", said.lacking())
    assert error.value.where.endswith("ds.ts:7")
    assert "--migrations" in error.value.todo
    assert "--allow-execution" in error.value.todo


# -- qb.toml ---------------------------------------------------------------------------------------

WANTED = Settings("src/m", ("src/m/*.ts",), "src/ds.ts", "history", "app")


def test_a_data_source_that_a_function_makes_tells_nothing_and_stops_nobody(
    tmp_path: Path,
) -> None:
    """Node can load it, and who names everything needs it not."""
    path = tmp_path / "data-source.ts"
    path.write_text('import { make } from "./make";\nexport default make("shop");\n')
    said = read(path)
    assert set(said.lacking()) == {"migrations", "migrationsTableName", "schema"}
    assert not said.lacking(["migrations", "migrationsTableName", "schema"])
    with pytest.raises(InputError) as refused:
        refuse_unread(path, said.lacking(["migrations"]))
    assert "--table ... --schema ...; or let node load" in refused.value.todo


def test_a_new_file_is_what_init_writes_with_the_keys_in_it() -> None:
    """All comments stay, and the keys stand after what shows them."""
    made = edited(None, WANTED)
    assert [line for line in TEMPLATE.splitlines() if line.startswith("#")] == [
        line for line in made.text.splitlines() if line.startswith("#")
    ]
    data = tomllib.loads(made.text)
    assert data["migrations"] == "src/m"
    assert data["format"] == "typeorm"
    assert data["typeorm"] == {
        "files": ["src/m/*.ts"],
        "data_source": "src/ds.ts",
        "table": "history",
        "schema": "app",
    }
    assert edited(made.text, WANTED).text == made.text  # a second time nothing is added
    assert not edited(made.text, WANTED).added


@pytest.mark.parametrize(
    "text",
    [
        "",
        '# mine\n\n[aliases]\na = "embedded" # here\n',
        'default = "embedded"\r\n[typeorm]\r\n# none\r\n\r\n[hazards]\r\nsmall_rows = 1\r\n',
        '[typeorm]\ndata_source = "src/ds.ts"',
    ],
)
def test_everything_else_of_a_file_stays(text: str) -> None:
    """Every line is still there, in its order."""
    made = edited(text, WANTED, fresh="migrations")
    rest = iter(made.text.splitlines())
    assert all(line in rest for line in text.splitlines())
    assert ("\r\n" in made.text) == ("\r\n" in text)
    assert made.text.count("\r") in (0, made.text.count("\n"))
    assert tomllib.loads(made.text)["typeorm"]["table"] == "history"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('format = "dbmate"', 'format = "dbmate"'),
        ('migrations = "db"', 'migrations = "db"'),
        ('[typeorm]\ntable = "other"', 'table = "other"'),
        ('[typeorm]\nfiles = ["x/*.ts"]', "files"),
    ],
)
def test_what_the_file_says_is_not_contradicted(text: str, what: str) -> None:
    """Whoever wrote it decides."""
    with pytest.raises(RefusedError) as error:
        edited(text, WANTED)
    assert what in error.value.what


def test_a_form_that_cannot_be_edited_is_left_alone() -> None:
    """An inline table: the lines to write by hand are named."""
    with pytest.raises(InputError, match="cannot edit") as error:
        edited('typeorm = { naming = "typeorm" }\n', WANTED)
    assert 'typeorm.table = "history"' in error.value.todo


def test_globs_name_what_typeorm_finds_with_them(tmp_path: Path) -> None:
    """As glob 10 (TypeORM 0.3) and tinyglobby (1.x) read them: dots are hidden, ^ is not."""
    for name in ("1-A.ts", "index.ts", "2-B.test.ts", "3-C.js", ".d.ts", "sub/4-D.ts", ".git/x.ts"):
        put(tmp_path, f"m/{name}", "")
    every = "m/1-A.ts m/2-B.test.ts m/3-C.js m/index.ts m/sub/4-D.ts"
    for glob, found in {
        "m/[^i]*.ts": "m/1-A.ts m/2-B.test.ts",
        "m/!(index).ts": "m/1-A.ts m/2-B.test.ts",
        "m/!(index|*.test).{ts,js}": "m/1-A.ts m/3-C.js",
        "m/*.@(ts|js)": "m/1-A.ts m/2-B.test.ts m/3-C.js m/index.ts",
        "m/?(1-)A.ts": "m/1-A.ts",
        "m/**.ts": "m/1-A.ts m/2-B.test.ts m/index.ts",
        "m/**": every,
        "**/*.{ts,js}": every,
    }.items():
        assert [p.relative_to(tmp_path).as_posix() for p in matched(tmp_path, [glob])] == (
            found.split()
        ), glob
    for glob in ("m/+([0-9])-*.ts", "m/a!(b)*.ts"):
        with pytest.raises(InputError, match="no glob that qb knows"):
            matched(tmp_path, [glob])


# -- recordings ------------------------------------------------------------------------------------


def test_recordings_are_kept_and_become_stale(tmp_path: Path) -> None:
    """What is written is read; another text of the file, and it says nothing any more."""
    path = put(tmp_path, "1-A.ts", "one")
    made = Recording(
        "A1", "1-A.ts", digest(path), (Query("SELECT $1", ("é", None, [1])),), None, "no", "1.1.1",
        ("hasTable(a): no",),
    )  # fmt: skip
    write(tmp_path, {"A1": made}, {"B1": Refusal("ff", "rows")})
    assert recordings_of(tmp_path)["A1"].up == (Query("SELECT $1", ("é", None, [1])),)
    assert recordings_of(tmp_path)["A1"].said == "recorded from TypeORM 1.1.1: hasTable(a): no"
    assert refusals_of(tmp_path) == {"B1": Refusal("ff", "rows")}
    assert not made.stale(path)
    path.write_text("two")
    assert made.stale(path)
    put(tmp_path, FILE, "{}")
    with pytest.raises(InputError, match="cannot be read"):
        recordings_of(tmp_path)


def test_no_password_is_kept_in_a_reason(tmp_path: Path) -> None:
    """An error of the project's code may hold what it read in .env."""
    why = "cannot connect: postgres://shop:hunter2@db.example.com/shop"
    made = Recording("A1", "1-A.ts", "ff", (Query("SELECT 1"),), None, why)
    text = write(tmp_path, {"A1": made}, {"B1": Refusal("ff", why)}).read_text()
    assert text.count("postgres://shop:***@db") == 2
    assert "hunter2" not in text


def sent(sql: str, **more: Any) -> dict[str, Any]:
    usual = {"parameters": None, "used": False, "structured": False, "api": None, "failed": None}
    return {"sql": sql, **usual, **more}


def told(*entries: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "sent": list(entries),
        "looks": [],
        "control": None,
        "direct": None,
        "late": False,
    } | more


@pytest.mark.parametrize(
    ("entries", "refused"),
    [
        ([sent("SELECT id FROM users", used=True)], "rows"),
        ([sent("SELECT setval('s', 1)")], ""),
        ([sent("SELECT count_users()", used=True)], "rows"),
        ([sent("SELECT now()", used=True)], "moment"),
        ([sent("DELETE FROM users", used=True)], "rows"),
        ([sent("INSERT INTO t VALUES (1) RETURNING id", structured=True)], "rows"),
        ([sent("UPDATE t SET a = 1", structured=True)], ""),
        ([sent("SELECT 1/0", failed="division by zero")], "went on"),
        ([sent("SELECT 1 FROM users", used=True, api="getTable")], ""),
        ([sent("SELECT x FROM pg_class, users", used=True)], "rows"),
    ],
)
def test_only_what_shows_the_one_path_is_a_recording(
    entries: list[dict[str, Any]], refused: str
) -> None:
    """Nothing that may be otherwise on the target may have decided what was sent."""
    found = judged({"up": told(*entries)})
    assert (refused in found.refused) if refused else found.refused == ""


def test_a_look_at_the_schema_is_a_condition_and_no_statement() -> None:
    """What it saw is noted; two runs that differ are none."""
    look = sent("SELECT 1 FROM information_schema.tables", used=True)
    found = judged({"up": told(look, sent("CREATE TABLE a ()"))})
    assert found.queries == (Query("CREATE TABLE a ()"),)
    assert found.looks == ("read: SELECT 1 FROM information_schema.tables",)
    differs = {"up": told(sent("COMMENT 1")), "again": told(sent("COMMENT 2"))}
    assert "run again" in judged(differs).refused
    assert "environment" in judged({"up": told(), "env": ["STAGE"]}).refused
    assert "transactions itself" in judged({"up": told(control="COMMIT")}).refused


def test_node_sees_nothing_that_leads_to_a_database() -> None:
    """Addresses lead nowhere, passwords are gone, the rest is as it is."""
    away = {
        "PGPASSWORD": "x",
        "DB_HOST": "prod",
        "QB_X": "y",
        "MY_PASSWORD": "z",
        "NODE_OPTIONS": "-r x",
        "API_URL": "postgresql://u:secret@prod/db",
    }
    other = {"PATH": "/bin", "NODE_ENV": "test", "OTHER_URL": "postgres://prod/db"}
    kept = environment({**away, **other})
    assert kept["PATH"] == "/bin"
    assert kept["NODE_ENV"] == "test"
    assert kept["DATABASE_URL"] == kept["OTHER_URL"] == NOWHERE
    assert not set(away) & set(kept)
    assert "prod" not in "".join(kept.values())


def test_extensions_that_typeorm_makes_are_told_from_the_sql() -> None:
    """Those that a migration makes itself are not needed."""
    assert extensions(["a uuid DEFAULT uuid_generate_v4()", "b citext"]) == ("uuid-ossp", "citext")
    assert extensions(['CREATE EXTENSION "uuid-ossp"', "uuid_generate_v4()"]) == ()


WHY = "recording it was tried: rows"  # a reason that begins as the sentence about it does


@pytest.mark.parametrize("way", ["up", "down"])
def test_that_recording_was_tried_is_told_once_and_asked_for_no_more(
    qb: Qb, project: Project, way: str
) -> None:
    """Until the file is another one."""
    code = "await queryRunner.query(process.env.SQL)"
    text = written("AddNotes1710460800000", **{"code" if way == "up" else "back": code})
    path = put(project.root, "src/migrations/1710460800000-AddNotes.ts", text)
    settings = 'migrations = "src/migrations"\nformat = "typeorm"\n'
    project.file.write_text(settings + project.file.read_text())
    words = ("typeorm", "import", "--migrations", "src/migrations/*.ts")

    def told() -> tuple[int, bool, bool]:
        """How often it is told, whether it is offered, and whether the error offers it."""
        report = qb(*words)
        (one,) = report.migrations
        offered = any("can be recorded" in note for note in report.notes())
        broken = load(path.parent, project=project).broken
        return one.reason.count(WHY), offered, any("record what" in b.error.todo for b in broken)

    assert told() == (0, True, way == "up")
    write(path.parent, {}, {"AddNotes1710460800000": Refusal(digest(path), WHY)})
    assert told() == (1, False, False)
    path.write_text(text + "// edited")
    assert told() == (0, True, way == "up")
