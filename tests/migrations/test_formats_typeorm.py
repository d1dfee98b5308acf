"""migrations of TypeORM: as a form of qb's own folder, and as a project of TypeORM's stands"""

from __future__ import annotations

from pathlib import Path

import pytest

from qb_engine.errors import InputError
from qb_engine.migrations import load, load_one
from qb_engine.migrations.sent import sql_of
from qb_engine.migrations.typescript import Query, recordings
from qb_engine.migrations.typescript.recordings import Recording, digest
from qb_engine.project import FILE

HEAD = 'import { MigrationInterface, QueryRunner } from "typeorm";\n'


def migration(
    name: str, up: str, down: str = "", *, more: str = "", between: str = "", args: str = "q"
) -> str:
    """A file as `migration:generate` writes it, with its statements on lines 5 and after."""
    back = f"  async down({args}: QueryRunner): Promise<void> {{\n    {down}\n  }}\n"
    return (
        f"{HEAD}export class {name} implements MigrationInterface {{\n"
        f"  {more or f'name = {name!r}'};\n"
        f"  async up({args}: QueryRunner): Promise<void> {{\n    {up}\n  }}\n{between}{back}}}\n"
    )


def put(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


USERS = migration(
    "AddUsers1710460800000",
    'await q.query(`CREATE TABLE "users" (\n      "id" integer)`);\n'
    "    await q.query(`CREATE INDEX a ON users (id); COMMENT ON TABLE users IS 'x'`);",
    "await q.query('DROP TABLE users');",
)
EMAIL = migration(
    "AddEmail1710460900000",
    "await q.query(`ALTER TABLE users ADD email text`);",
    "await q.query(`ALTER TABLE users DROP email`);",
    more="static constraints = { users: { must_exist: true } }; transaction = false",
)


def test_a_file_of_qb_s_own_folder(tmp_path: Path) -> None:
    """Its id is the name of the file; statements have the lines of the SQL."""
    put(tmp_path, {"20240315103000_add_users.ts": USERS, "20240316_b.sql": "SELECT 1"})
    found = load(tmp_path)
    assert found.format == "qb"
    assert [m.id for m in found] == ["20240315103000_add_users", "20240316_b"]
    one = found.all[0]
    assert (one.stamp, one.name, one.format) == ("20240315103000", "add_users", "typescript")
    assert [(s.sql.split()[0], s.source.line) for s in one.up] == [
        ("CREATE", 5), ("CREATE", 7), ("COMMENT", 7),
    ]  # fmt: skip
    assert [s.sql for s in one.down] == ["DROP TABLE users"]
    assert one.parts[0].history_name == "AddUsers1710460800000"
    assert one.checksum
    assert one.raw_checksum == found.look(found.entries[0]).raw


def test_a_project_of_typeorm(tmp_path: Path) -> None:
    """Names of files say nothing: what the class is called does. Helpers are left out, and told."""
    files = {
        "deep/er/whatever.ts": EMAIL,
        "1710460800000-AddUsers.ts": USERS,
        "1710460800000-AddUsers.js": "exports.x = 1",
        "helpers.ts": "export function help() { return 1; }",
        "types.d.ts": "export declare class A { up(): void }",
        "constants.ts": "const a = 1;",
    }
    found = load(put(tmp_path, files))
    assert found.format == "typeorm"
    assert [e.id for e in found.entries] == ["AddUsers1710460800000", "AddEmail1710460900000"]
    assert not found.broken
    one = found.get("AddEmail1710460900000")
    assert (one.stamp, one.name) == ("1710460900000", "AddEmail")
    assert one.constraints == {"users": {"must_exist": True}}
    assert not one.parts[0].transaction
    assert [n.split(" ", 1)[1] for n in found.notes] == [
        "is what 1710460800000-AddUsers in TypeScript was compiled to",
        "holds no migration, and is left out",
    ]
    assert found.find("AddEmail").id == one.id


def test_globs_of_qb_toml_say_where_they_are(tmp_path: Path) -> None:
    put(tmp_path, {
        FILE: '[typeorm]\nfiles = ["./src/{a,b}/**/*{.ts,.js}", "!src/b/old/*"]\n',
        "src/a/1.ts": USERS, "src/b/2.ts": EMAIL, "src/b/old/3.ts": "class", "src/c/4.ts": "class",
    })  # fmt: skip
    found = load(tmp_path / "migrations")
    assert [e.id for e in found.entries] == ["AddUsers1710460800000", "AddEmail1710460900000"]
    assert not found.broken


def test_what_begins_with_an_underscore_is_run_by_typeorm_and_so_by_qb(tmp_path: Path) -> None:
    below = tmp_path / "migrations" / "_old"
    below.mkdir(parents=True)
    (below / "x.ts").write_text(migration("Old1600000000002", "await q.query('SELECT 1')"))
    (below.parent / "_y.ts").write_text(migration("Y1700000000003", "await q.query('SELECT 2')"))
    (below.parent / "1700000000001-A.ts").write_text(
        migration("A1700000000001", "await q.query('SELECT 3')")
    )
    found = [entry.id for entry in load(tmp_path / "migrations").entries]
    assert found == ["Old1600000000002", "A1700000000001", "Y1700000000003"]


def test_a_folder_of_parts_stands_among_them(tmp_path: Path) -> None:
    """It runs where the stamp of its class says, and keeps its own name."""
    fill = (
        "from qb_engine import Backfill\nclass F(Backfill):\n"
        "    table = 'users'\n    set = {'email': \"''\"}\n"
    )
    late = migration("NotNull1710460850001", "await q.query(`SELECT 2`)")
    files = {
        "1710460800000-AddUsers.ts": USERS, "1710460900000-AddEmail.ts": EMAIL,
        "20240315_emails/migration.ts": migration("Emails1710460850000", "q.query(`SELECT 1`)"),
        "20240315_emails/post.ts": late,
        "20240315_emails/backfill.py": fill,
    }  # fmt: skip
    found = load(put(tmp_path, files))
    assert found.format == "typeorm"
    assert [e.id for e in found.entries][1] == "20240315_emails"
    one = found.get("20240315_emails")
    assert [(p.kind, p.history_name) for p in one.parts] == [
        ("migration", "Emails1710460850000"), ("post", "NotNull1710460850001"),
    ]  # fmt: skip
    assert one.backfill is not None
    assert one.after_backfill()
    assert found.names_in_history(found.entries[1]) == {
        "migration.ts": "Emails1710460850000", "post.ts": "NotNull1710460850001",
    }  # fmt: skip


def test_forms_may_be_mixed_in_qb_s_own_folder(tmp_path: Path) -> None:
    files = {
        "20240315103000_a.ts": USERS, "20240316103000_b.sql": "-- qb:up\nSELECT 1",
        "20240317103000_c/migration.ts": EMAIL, "20240317103000_c/pre.sql": "SELECT 1",
    }  # fmt: skip
    found = load(put(tmp_path, files))
    assert found.format == "qb"
    assert not found.broken
    assert [p.file for p in found.all[2].parts] == ["pre.sql", "migration.ts"]


@pytest.mark.parametrize(
    ("down", "why"),
    [
        ("", "its down does nothing"),
        ('throw new Error("rows are gone");', "rows are gone"),
        ("await q.query(process.env.DOWN!);", "its down cannot be read: "),
    ],
)
def test_what_has_no_way_back_says_why(tmp_path: Path, down: str, why: str) -> None:
    path = tmp_path / "20240315_a.ts"
    path.write_text(migration("A1710460800000", "await q.query(`SELECT 1`)", down))
    assert load_one(path).irreversible.startswith(why)


UP = "await q.query(`SELECT 1`)"
TWO = migration("A1710460800000", UP) + migration("B1710460800001", UP).removeprefix(HEAD)
BAD = {
    "two classes": (TWO, 11, "holds 2 migrations"),
    "none": ("export const a = 1;", 0, "holds no migration"),
    "a helper": ("export function help() {}", 1, "exports help"),
    "a barrel": ("export * from './a';", 1, "exports again"),
    "not exported": (migration("A1710460800000", UP).replace("export class", "class"), 2, "not"),
    "no stamp": (migration("AddUserEmail20240315", UP), 3, "does not end in a timestamp"),
    "does not parse": ("export class {{{", 1, "does not parse"),
    "environment": (migration("A1710460800000", "await q.query(process.env.SQL!)"), 5, "cannot be"),
    "bad SQL": (migration("A1710460800000", "await q.query(`SELECT 1;\nSELEC 2`)"), 6, "syntax"),
    "two with parameters": (
        migration("A1710460800000", "await q.query(`SELECT $1; SELECT 2`, [1])"), 5, "2 statements",
    ),
    "no value": (migration("A1710460800000", "await q.query(`SELECT $2`, [1])"), 5, "value for $2"),
    "constraints": (
        migration("A1710460800000", UP, more="static constraints = made()"), 3, "constraints",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_migration_says_where_and_why(tmp_path: Path, case: str) -> None:
    text, line, said = BAD[case]
    path = tmp_path / "20240315_a.ts"
    path.write_text(text)
    with pytest.raises(InputError) as raised:
        load_one(path)
    error = raised.value
    assert said in error.what
    assert error.where.endswith(f"20240315_a.ts:{line}" if line else "20240315_a.ts")
    assert error.why
    assert error.todo


def test_a_glob_that_matches_a_helper_or_a_barrel_is_told_at_its_file(tmp_path: Path) -> None:
    put(tmp_path, {
        FILE: '[typeorm]\nfiles = ["src/*.ts"]\n', "src/1.ts": USERS,
        "src/2.ts": "export const run = () => 1;", "src/index.ts": "export * from './1';",
        "src/3.ts": "export const a = 1;",
    })  # fmt: skip
    found = load(tmp_path / "migrations")
    assert [(b.path.name, b.error.where[-5:]) for b in found.broken] == [
        ("2.ts", ".ts:1"), ("index.ts", ".ts:1"),
    ]  # fmt: skip
    assert [m.id for m in found] == ["AddUsers1710460800000"]


def test_two_of_one_name_and_two_of_one_stamp(tmp_path: Path) -> None:
    """A name is an identity; a stamp is not, and TypeORM's order of two is nobody's."""
    other = migration("Other1710460800000", UP)
    found = load(put(tmp_path, {"a.ts": USERS, "b/c.ts": USERS, "d.ts": other}))
    assert [b.error.code for b in found.broken] == ["duplicate-migration"]
    assert [m.id for m in found] == ["AddUsers1710460800000", "Other1710460800000"]
    assert "have the same stamp" in found.notes[0]


def test_the_stamp_of_a_file_that_is_not_the_class_s_is_a_note(tmp_path: Path) -> None:
    found = load(put(tmp_path, {"1610460800000-AddUsers.ts": USERS}))
    assert found.all[0].stamp == "1710460800000"
    assert "the stamp of the class counts" in found.notes[0]


def test_parameters_are_written_as_the_driver_sends_them() -> None:
    """All of them are texts of a type that the server finds out (pg's prepareValue)."""
    given = [1, -0.5, 1e21, 1e-7, 0.000001, True, None, "it's \\", ["a", None, [1, 'q"']],
             {"a": [1, "ü"]}]  # fmt: skip
    assert [sql_of(value) for value in given] == [
        "'1'", "'-0.5'", "'1e+21'", "'1e-7'", "'0.000001'", "'true'", "NULL", "E'it''s \\\\'",
        "E'{\"a\",NULL,{\"1\",\"q\\\\\"\"}}'", "'{\"a\":[1,\"ü\"]}'",
    ]  # fmt: skip


def test_parameters_stand_where_the_grammar_has_places_for_them(tmp_path: Path) -> None:
    path = tmp_path / "20240315_a.ts"
    up = "await q.query(`INSERT INTO a VALUES ($1, '$1', $2, $$ $1 $$) -- $3`, [\"x\", 2])"
    path.write_text(migration("A1710460800000", up))
    (one,) = load_one(path).up
    assert one.sql == "INSERT INTO a VALUES ('x', '$1', '2', $$ $1 $$) -- $3"


def test_a_parameter_with_unlike_casts_is_refused_as_its_type_is_the_server_s(
    tmp_path: Path,
) -> None:
    """`'01'` sent once for `$1::int, concat($1)` is 1 and '1'; written out, 1 and '01'."""
    path = tmp_path / "20240315_a.ts"
    up = 'await q.query("INSERT INTO a SELECT $1::int, concat(\'x\', $1), $2", ["01", null])'
    path.write_text(migration("A1710460800000", up))
    with pytest.raises(InputError, match=r"\$1 stands in one statement as \$1::int and as \$1"):
        load_one(path)
    for same in ("$1, $1", "$1::int, CAST($1 AS integer)", "$1, $2::text"):
        given = '["01", 1]' if "$2" in same else '["01"]'
        path.write_text(migration("A1710460800000", f'await q.query("SELECT {same}", {given})'))
        assert len(load_one(path).up) == 1, same


def test_statements_are_placed_by_their_words_where_lines_differ(tmp_path: Path) -> None:
    path = tmp_path / "20240315_a.ts"
    up = 'await q.query("SELECT 1;\\n\\n\\nSELECT 2;" +\n      "ALTER TABLE a ADD b int");'
    path.write_text(migration("A1710460800000", up))
    assert [s.source.line for s in load_one(path).up] == [5, 5, 6]


def test_a_file_is_plain_when_nothing_else_decides_what_it_runs(tmp_path: Path) -> None:
    reads = USERS.replace(HEAD, HEAD + 'import { readFileSync } from "fs";\n')
    own = USERS.replace(HEAD, HEAD + 'import { sql } from "./sql";\n')
    found = load(put(tmp_path, {"20240315_a.ts": USERS, "20240316_b.ts": reads,
                                "20240317_c.ts": own}))  # fmt: skip
    assert [found.look(e).plain for e in found.entries] == [True, False, False]


def test_what_cannot_be_read_is_taken_from_a_fresh_recording(tmp_path: Path) -> None:
    """One of another text of the file says nothing, and the error says that."""
    text = migration("A1710460800000", "await q.query(process.env.SQL!)", "await q.query(x())")
    put(tmp_path, {"src/deep/a.ts": text, FILE: 'migrations = "src"'})
    path = tmp_path / "src/deep/a.ts"
    up = (Query("SELECT $1", (1,)), Query("SELECT 2"))
    one = Recording("A1710460800000", "deep/a.ts", digest(path), up, (Query("SELECT 3"),),
                    typeorm="1.1.1", notes=("hasTable(users) was false",))  # fmt: skip
    recordings.write(tmp_path / "src", {one.name: one})
    (found,) = load(tmp_path / "src")
    (part,) = found.parts
    assert [s.sql for s in found.up] == ["SELECT '1'", "SELECT 2"]
    assert [s.sql for s in found.down] == ["SELECT 3"]
    assert part.recorded == "recorded from TypeORM 1.1.1: hasTable(users) was false"
    path.write_text(text + "// changed\n")
    (broken,) = load(tmp_path / "src").broken
    assert broken.error.code == "dynamic-migration"
    assert "recorded from another text of this file" in broken.error.why
