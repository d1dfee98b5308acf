"""every file of a folder is a part, or is said to be none; no two migrations share an id"""

from __future__ import annotations

from pathlib import Path

import pytest

from qb_engine.errors import InputError
from qb_engine.migrations import load, load_one

FOLDER = "20240316_split"


def write(folder: Path, **files: str) -> Path:
    """Files by name, a dot in it written as `__`, in a migration folder."""
    path = folder / FOLDER
    path.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (path / name.replace("__", ".")).write_text(text, encoding="utf-8")
    return path


def test_a_part_may_have_a_name_or_a_number_behind_its_kind(tmp_path: Path) -> None:
    names = ("post_index.sql", "pre_1.sql", "pre2.sql", "migration.users.sql", "post-last.sql")
    folder = write(tmp_path, **{name.replace(".", "__"): "SELECT 1" for name in names})
    assert [(p.kind, p.file) for p in load_one(folder).parts] == [
        ("pre", "pre2.sql"),
        ("pre", "pre_1.sql"),
        ("migration", "migration.users.sql"),
        ("post", "post-last.sql"),
        ("post", "post_index.sql"),
    ]


@pytest.mark.parametrize("name", ["index.sql", "postindex.sql", "Post.sql", "backfill.sql", "x.py"])
def test_a_file_that_would_never_run_is_named(tmp_path: Path, name: str) -> None:
    folder = write(tmp_path, migration__sql="SELECT 1", **{name.replace(".", "__"): "SELECT 2"})
    with pytest.raises(InputError, match=f"{name} is no part of a migration") as caught:
        load_one(folder)
    assert caught.value.where.endswith(f"{FOLDER}/{name}")
    for known in ("migration.*", "pre.*", "post.*", "backfill.py"):
        assert known in caught.value.why


def test_other_files_of_a_folder_are_left_alone(tmp_path: Path) -> None:
    folder = write(
        tmp_path, migration__sql="SELECT 1", README__md="x", data__csv="x", _note__sql="SELCT"
    )
    (folder / ".hidden.sql").write_text("SELCT")
    (folder / "__pycache__").mkdir()
    assert [p.file for p in load_one(folder).parts] == ["migration.sql"]


def test_two_migrations_of_one_id_are_not_both_taken(tmp_path: Path) -> None:
    (tmp_path / "20240101_a.py").write_text(
        "from qb_engine import Migration\nclass A(Migration):\n    up = 'SELECT 1'\n"
    )
    (tmp_path / "20240101_a.sql").write_text("SELECT 2")
    (tmp_path / "20240102_b.sql").write_text("SELECT 3")
    found = load(tmp_path)
    assert [m.path.name for m in found.all] == ["20240101_a.py", "20240102_b.sql"]
    (broken,) = found.broken
    assert broken.path.name == "20240101_a.sql"
    assert "the same id, 20240101_a" in broken.error.what
    assert "20240101_a.py" in broken.error.why


def test_a_folder_and_a_file_of_one_id_are_not_both_taken(tmp_path: Path) -> None:
    write(tmp_path, migration__sql="SELECT 1")
    (tmp_path / f"{FOLDER}.sql").write_text("SELECT 2")
    found = load(tmp_path)
    assert [m.format for m in found.all] == ["folder"]
    assert [b.path.name for b in found.broken] == [f"{FOLDER}.sql"]


def test_what_parts_require_of_one_table_adds_up(tmp_path: Path) -> None:
    pre = "-- qb:constraints\n-- {}\n-- qb:up\nSELECT 1".format(
        "{users: {must_exist: true, columns: {id: {type: bigint}, a: {nullable: true}}}}"
    )
    post = "-- qb:constraints\n-- {}\n-- qb:up\nSELECT 1".format(
        "{users: {columns: {id: {type: text, nullable: false}, b: {}}}, orders: {}}"
    )
    folder = write(tmp_path, pre__sql=pre, post__sql=post)
    assert load_one(folder).constraints == {
        "users": {
            "must_exist": True,
            "columns": {
                "id": {"type": "bigint", "nullable": False},
                "a": {"nullable": True},
                "b": {},
            },
        },
        "orders": {},
    }


def test_numbered_parts_run_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    folder = tmp_path / "20240101000000_many"
    folder.mkdir()
    for name in ("pre_10.sql", "pre_2.sql", "pre.sql", "migration.sql"):
        (folder / name).write_text("SELECT 1")
    files = [part.file for part in load_one(folder).parts]
    assert files == ["pre.sql", "pre_2.sql", "pre_10.sql", "migration.sql"]
