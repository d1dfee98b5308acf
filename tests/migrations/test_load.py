"""a folder of migrations: every form, in order, a broken one named and never in the way"""

from __future__ import annotations

from pathlib import Path

import pytest

from qb_engine.errors import InputError
from qb_engine.migrations import load, load_one, to_sql

PYTHON = '''
from qb_engine import Migration

class AddEmail(Migration):
    constraints = {"users": {"must_exist": True}}
    up = """
        ALTER TABLE users ADD COLUMN email text;
        CREATE INDEX ON users (email);
    """
    down = "ALTER TABLE users DROP COLUMN email"
'''


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_python_file_gives_statements_with_their_lines(tmp_path: Path) -> None:
    path = write(tmp_path, "20240315103000_add_email.py", PYTHON)
    found = load_one(path)
    assert found.id == "20240315103000_add_email"
    assert found.constraints == {"users": {"must_exist": True}}
    assert [(s.sql, s.source.line) for s in found.up] == [
        ("ALTER TABLE users ADD COLUMN email text", 7),
        ("CREATE INDEX ON users (email)", 8),
    ]
    assert [s.sql for s in found.down] == ["ALTER TABLE users DROP COLUMN email"]


def test_an_sql_file_has_sections(tmp_path: Path) -> None:
    text = (
        "-- qb:constraints\n-- users: {must_exist: true}\n"
        "-- qb:up\nCREATE TABLE a ();\n-- qb:down\nDROP TABLE a;\n"
    )
    found = load_one(write(tmp_path, "20240315_a.sql", text))
    assert found.constraints == {"users": {"must_exist": True}}
    assert [s.sql for s in found.up] == ["CREATE TABLE a ()"]
    assert [str(s.source.line) for s in found.down] == ["6"]


def test_an_sql_file_without_sections_is_all_up(tmp_path: Path) -> None:
    found = load_one(write(tmp_path, "20240315_a.sql", "CREATE TABLE a (); CREATE TABLE b ();"))
    assert len(found.up) == 2
    assert found.irreversible


def test_a_folder_holds_parts_in_order(tmp_path: Path) -> None:
    folder = "20240316090000_fill"
    write(tmp_path, f"{folder}/post.sql", "ALTER TABLE users ALTER email SET NOT NULL")
    write(tmp_path, f"{folder}/migration.sql", "ALTER TABLE users ADD email text")
    write(tmp_path, f"{folder}/pre.sql", "SELECT 1")
    fill = (
        "from qb_engine import Backfill\n"
        "class Fill(Backfill):\n    table = 'users'\n    set = {'email': 'lower(name)'}\n"
    )
    write(tmp_path, f"{folder}/backfill.py", fill)
    found = load_one(tmp_path / folder)
    assert [p.file for p in found.parts] == ["pre.sql", "migration.sql", "post.sql"]
    assert found.backfill is not None
    assert found.backfill.table == "users"
    assert [p.kind for p in found.before_backfill()] == ["pre", "migration"]
    assert [p.kind for p in found.after_backfill()] == ["post"]


def test_a_recorded_method_gives_its_sql_and_may_read(tmp_path: Path) -> None:
    text = (
        "from qb_engine import Migration\n"
        "class M(Migration):\n"
        "    def up(self, q):\n"
        "        for (name,) in q.rows('SELECT name FROM t'):\n"
        "            q(f'CREATE TABLE {name} ()')\n"
    )
    path = write(tmp_path, "20240315_m.py", text)
    found = load_one(path, lambda sql: [("a",), ("b",)])
    assert [s.sql for s in found.up] == ["CREATE TABLE a ()", "CREATE TABLE b ()"]
    with pytest.raises(InputError, match="reads the target"):
        load_one(path)


def test_sqlalchemy_and_text_mix_in_one_list(tmp_path: Path) -> None:
    text = (
        "import sqlalchemy as sa\nfrom qb_engine import Migration\n"
        "t = sa.table('t', sa.column('a', sa.Text))\n"
        "class M(Migration):\n"
        "    up = ['CREATE TABLE t (a text)', t.insert().values(a='50 % of :x')]\n"
    )
    found = load_one(write(tmp_path, "20240315_m.py", text))
    assert [s.sql for s in found.up] == [
        "CREATE TABLE t (a text)",
        "INSERT INTO t (a) VALUES ('50 % of :x')",
    ]


def test_broken_files_are_named_and_hide_nothing(tmp_path: Path) -> None:
    write(tmp_path, "20240101_good.sql", "SELECT 1")
    write(tmp_path, "20240102_syntax.sql", "SELECT 1;\nSELCT 2")
    write(tmp_path, "20240103_raises.py", "x = 1\ny = 1 / 0\n")
    write(tmp_path, "20240104_none.py", "x = 1\n")
    write(tmp_path, "nostamp.sql", "SELECT 1")
    (tmp_path / "0001_folder").mkdir()
    (tmp_path / "fixtures").mkdir()
    write(tmp_path, "20240105_good.py", PYTHON)
    found = load(tmp_path)
    assert [m.id for m in found.all] == ["20240101_good", "20240105_good"]
    errors = {b.path.name: b.error for b in found.broken}
    assert errors["20240102_syntax.sql"].where.endswith("20240102_syntax.sql:2")
    assert errors["20240103_raises.py"].where.endswith("20240103_raises.py:2")
    assert "one Migration class is expected" in errors["20240104_none.py"].what
    assert "no timestamp" in errors["nostamp.sql"].what
    assert "no timestamp" in errors["0001_folder"].what
    assert "fixtures" not in errors


def test_all_widths_of_stamps_sort_by_time(tmp_path: Path) -> None:
    for name in ("20170923200000_b", "20170923_a", "1506300000000_d", "20170924000000_c"):
        write(tmp_path, f"{name}.sql", "SELECT 1")
    assert [m.name for m in load(tmp_path).all] == ["a", "b", "c", "d"]


def test_a_migration_is_found_by_id_name_or_unique_part(tmp_path: Path) -> None:
    for name in ("20240101_add_email", "20240102_add_phone"):
        write(tmp_path, f"{name}.sql", "SELECT 1")
    found = load(tmp_path)
    assert found.find("add_email").id == found.find("email").id == "20240101_add_email"
    with pytest.raises(InputError, match="names 2 migrations"):
        found.find("add")
    with pytest.raises(InputError) as caught:
        found.find("add_emial")
    assert "add_email" in caught.value.todo


def test_comments_and_space_do_not_change_the_checksum(tmp_path: Path) -> None:
    one = load_one(write(tmp_path, "20240101_a.sql", "SELECT  1 -- note\n")).checksum
    two = load_one(write(tmp_path, "20240101_a.sql", "/* other */ select 1;")).checksum
    three = load_one(write(tmp_path, "20240101_a.sql", "SELECT 2")).checksum
    assert one == two != three


def test_what_cannot_become_sql_is_refused() -> None:
    with pytest.raises(InputError, match="int is not something"):
        to_sql(5)


def test_an_untyped_value_is_refused_with_the_remedy() -> None:
    import sqlalchemy as sa

    table = sa.table("t", sa.column("a"))
    with pytest.raises(InputError, match="cannot be written as SQL") as caught:
        to_sql(table.insert().values(a=object()))
    assert "types" in caught.value.todo
