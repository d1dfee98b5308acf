"""files as editors and users leave them: byte order marks, other encodings, NULs, and exits"""

from __future__ import annotations

from pathlib import Path

import pytest

from qb_engine.errors import InputError
from qb_engine.migrations import load, load_one

GOOD = "CREATE TABLE a ();"
CLASS = "from qb_engine import Migration\nclass M(Migration):\n    up = 'SELECT 1'\n"


def write(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    "text",
    [
        "raise SystemExit\n",
        "import sys\nsys.exit(0)\n",
        "raise GeneratorExit\n",
        f"{CLASS}    def __init__(self):\n        raise SystemExit(0)\n",
        "from qb_engine import Migration\nclass M(Migration):\n"
        "    def up(self, q):\n        raise SystemExit(3)\n",
        f"{CLASS}    def down(self, q):\n        quit()\n",
    ],
)
def test_a_file_that_exits_is_broken_and_hides_no_other(tmp_path: Path, text: str) -> None:
    bad = write(tmp_path, "20240314_bad.py", text)
    write(tmp_path, "20240315_good.sql", GOOD)
    found = load(tmp_path)
    assert [m.name for m in found.all] == ["good"]
    (broken,) = found.broken
    assert "Exit" in broken.error.what
    assert broken.error.where.startswith(f"{bad}:")


def test_an_interrupt_is_the_users_and_goes_through(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        load_one(write(tmp_path, "20240314_bad.py", "raise KeyboardInterrupt\n"))


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    sql = load_one(write(tmp_path, "20240314_a.sql", "\ufeff" + GOOD))
    python = load_one(write(tmp_path, "20240315_b.py", "\ufeff" + CLASS))
    assert [s.sql for s in (*sql.up, *python.up)] == ["CREATE TABLE a ()", "SELECT 1"]


def test_a_section_is_found_behind_a_byte_order_mark(tmp_path: Path) -> None:
    text = "\ufeff-- qb:up\nCREATE TABLE a ();\n-- qb:down\nDROP TABLE a;\n"
    assert len(load_one(write(tmp_path, "20240314_a.sql", text)).down) == 1


@pytest.mark.parametrize("name", ["20240314_a.sql", "20240314_a.py"])
def test_a_file_that_is_not_utf8_says_what_to_do(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, name, "-- é\n".encode("latin-1"))
    with pytest.raises(InputError, match="cannot be read") as caught:
        load_one(path)
    assert caught.value.where == str(path)
    assert "UTF-8" in caught.value.todo


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("20240314_a.sql", "SELECT 1;\nSELECT '\0'; DROP TABLE a;\n", 2),
        ("20240314_a.py", CLASS + "# \0\n", 4),
        ("20240314_a.py", CLASS + "    down = '\\n\\n\\0'\n", 6),
        ("20240314_a.py", CLASS.replace("'SELECT 1'", "['SELECT 1', 'SELECT \\0']"), 3),
    ],
)
def test_a_nul_is_refused_with_its_line(tmp_path: Path, name: str, text: str, line: int) -> None:
    path = write(tmp_path, name, text)
    with pytest.raises(InputError, match="NUL") as caught:
        load_one(path)
    assert caught.value.where == f"{path}:{line}"


def test_the_way_back_has_a_checksum_of_its_own(tmp_path: Path) -> None:
    def sums(down: str) -> tuple[str, str]:
        text = f"-- qb:up\nCREATE TABLE a ();\n-- qb:down\n{down}\n"
        found = load_one(write(tmp_path, "20240314_a.sql", text))
        return found.checksum, found.down_checksum

    first = sums("DROP TABLE a;")
    assert sums("-- gone\ndrop  table A;") == first
    edited = sums("DROP TABLE a CASCADE;")
    assert edited[0] == first[0]
    assert edited[1] != first[1]
