"""a folder is listed by names alone; what was applied byte by byte is not read again"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from qb_engine.errors import InputError
from qb_engine.migrations import LoadedMigration, Reader, load, load_one
from qb_engine.migrations.listing import entry, listing, look, raw_checksum, self_contained

FILL = (
    "from qb_engine import Backfill\n"
    "class Fill(Backfill):\n    table = 'users'\n    set = {'email': 'lower(name)'}\n"
)
CLASS = "from qb_engine import Migration\n\nclass M(Migration):\n    up = 'SELECT 1'\n"


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_listing_reads_no_file(tmp_path: Path) -> None:
    write(tmp_path, "20240102_b.sql", "SELCT nonsense")
    write(tmp_path, "20240101_a.py", "raise SystemExit")
    write(tmp_path, "20240103_c/migration.sql", "")
    write(tmp_path, "_kept_out.sql", "")
    write(tmp_path, "README.md", "")
    (tmp_path / "no_stamp").mkdir()
    assert [e.id for e in listing(tmp_path)] == ["20240101_a", "20240102_b", "20240103_c"]
    assert listing(tmp_path / "nowhere") == ()


def test_stamps_of_all_widths_are_listed_by_time_and_those_without_last(tmp_path: Path) -> None:
    for name in ("20170923200000_b", "20170923_a", "1506300000000_d", "20170924000000_c", "aa"):
        write(tmp_path, f"{name}.sql", "SELECT 1")
    assert [e.name for e in listing(tmp_path)] == ["a", "b", "c", "d", ""]


def test_the_raw_checksum_is_of_the_bytes(tmp_path: Path) -> None:
    path = write(tmp_path, "20240101_a.sql", "SELECT 1")
    before = load_one(path)
    write(tmp_path, "20240101_a.sql", "SELECT 1 -- a remark")
    after = load_one(path)
    assert before.checksum == after.checksum
    assert before.raw_checksum != after.raw_checksum == raw_checksum(path) == look(entry(path)).raw


def test_a_big_file_is_read_whole(tmp_path: Path) -> None:
    path = write(tmp_path, "20240101_a.sql", "-" * 65_536 * 2)
    before = raw_checksum(path)
    with path.open("a") as file:
        file.write("x")
    assert raw_checksum(path) != before


def test_the_raw_checksum_of_a_folder_is_of_its_parts_and_their_names(tmp_path: Path) -> None:
    folder = tmp_path / "20240101_a"
    write(folder, "migration.sql", "SELECT 1")
    seen = [raw_checksum(folder)]
    for name, text, counts in (
        ("README.md", "about it", False),
        ("_notes.sql", "SELECT 3", False),
        ("post.sql", "SELECT 2", True),
        ("backfill.py", FILL, True),
        ("migration.sql", "SELECT 2", True),
    ):
        write(folder, name, text)
        now = raw_checksum(folder)
        assert (now != seen[-1]) == counts, name
        seen.append(now)
    (folder / "post.sql").rename(folder / "post_1.sql")
    assert raw_checksum(folder) not in seen


def test_a_look_tells_what_a_folder_holds(tmp_path: Path) -> None:
    folder = tmp_path / "20240101_a"
    write(folder, "migration.sql", "SELECT 1")
    seen = look(entry(folder))
    assert (seen.plain, seen.backfill, seen.post) == (True, False, False)
    write(folder, "post_2.sql", "SELECT 1")
    write(folder, "backfill.py", FILL)
    seen = look(entry(folder))
    assert (seen.plain, seen.backfill, seen.post) == (True, True, True)


@pytest.mark.parametrize(
    ("text", "contained"),
    [
        (CLASS, True),
        ("from __future__ import annotations\nfrom qb_engine.operations import AddColumn\n", True),
        ("from names import TABLES\n" + CLASS, False),
        ("import json\n" + CLASS, False),
        ("from qb_engine import Migration; import json\n", False),
        (CLASS.replace("'SELECT 1'", "open('x.sql').read()"), False),
        (CLASS.replace("'SELECT 1'", "__import__('os').environ['SQL']"), False),
        (CLASS.replace("'SELECT 1'", "eval('1')"), False),
        ("from qb_engine import project\nup = project.os.environ['X']\n", False),
    ],
)
def test_python_that_reaches_further_is_told_from_what_stands_alone(
    text: str, contained: bool
) -> None:
    assert self_contained(text.encode()) == contained


def test_one_is_read_without_the_others(tmp_path: Path) -> None:
    write(tmp_path, "20240101_a.py", "raise ValueError('read')")
    write(tmp_path, "20240102_b.sql", "SELECT 1")
    found = load(tmp_path)
    assert found.get("20240102_b").id == found.find("b").id == "20240102_b"
    assert [e.id for e in found.entries if found.known(e)] == ["20240102_b"]
    with pytest.raises(InputError, match="ValueError"):
        found.find("20240101")
    with pytest.raises(KeyError):
        found.get("20240103_c")


def test_what_is_asked_for_together_reads_the_target_once(tmp_path: Path) -> None:
    method = (
        "from qb_engine import Migration\n"
        "class M(Migration):\n    def up(self, q):\n"
        "        q(f'SELECT {len(q.rows(\"SELECT 1\"))}')\n"
    )
    write(tmp_path, "20240101_a.py", method)
    write(tmp_path, "20240102_b.py", method)
    opened = []

    @contextmanager
    def reading() -> Iterator[Reader]:
        opened.append(1)
        yield lambda sql: [(1,)]

    found = load(tmp_path, reading=reading)
    assert opened == []
    assert len(found.all) == 2
    assert opened == [1]


def test_of_two_files_with_one_id_the_second_is_broken(tmp_path: Path) -> None:
    write(tmp_path, "20240101_a.py", CLASS)
    write(tmp_path, "20240101_a.sql", "SELECT 1")
    found = load(tmp_path)
    first, second = found.entries
    assert (found.doubled(first), found.doubled(second)) == (False, True)
    assert isinstance(found.loaded(first), LoadedMigration)
    with pytest.raises(InputError, match="the same id"):
        found.find("20240101_a")
    assert found.get("20240101_a").format == "python"


def test_a_readme_is_what_its_folder_says(tmp_path: Path) -> None:
    folder = tmp_path / "20240101_a"
    write(folder, "migration.sql", "SELECT 1")
    assert load_one(folder).readme == ""
    write(folder, "README.md", "\ufeff# Why\nbecause\n")
    assert load_one(folder).readme == "# Why\nbecause"
