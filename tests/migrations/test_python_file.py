"""a Python migration: methods may find nothing to do, and errors name the user's own line"""

from __future__ import annotations

from pathlib import Path

import pytest

from qb_engine.errors import InputError, QbError, ServerError
from qb_engine.migrations import load_one

HEAD = "from qb_engine import Migration\nfrom qb_engine.operations import AddColumn\n"


def write(folder: Path, body: str) -> Path:
    path = folder / "20240315_m.py"
    path.write_text(f"{HEAD}class M(Migration):\n{body}", encoding="utf-8")
    return path


def test_a_method_may_find_that_nothing_is_missing(tmp_path: Path) -> None:
    body = (
        "    def up(self, q):\n"
        "        for (name,) in q.rows('SELECT name FROM missing'):\n"
        "            q(f'CREATE TABLE {name} ()')\n"
    )
    path = write(tmp_path, body)
    assert load_one(path, lambda sql: []).up == ()
    assert len(load_one(path, lambda sql: [("a",)]).up) == 1


@pytest.mark.parametrize("body", ["    down = 'SELECT 1'\n", "    up = []\n", "    up = ''\n"])
def test_an_up_that_is_written_down_empty_is_an_error(tmp_path: Path, body: str) -> None:
    with pytest.raises(InputError, match="has no up"):
        load_one(write(tmp_path, body))


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("    up = [\n        AddColumn('t', 'a', 'text; DROP'),\n    ]\n", 5),
        ("    def up(self, q):\n        q('SELECT 1')\n        q(AddColumn('t', 'a', '('))\n", 6),
        ("    def up(self, q):\n        q.rows('SELECT 1')\n", 5),
    ],
)
def test_what_qb_refuses_names_the_line_of_the_file(tmp_path: Path, body: str, line: int) -> None:
    path = write(tmp_path, body)
    with pytest.raises(QbError) as caught:
        load_one(path)
    assert caught.value.where == f"{path}:{line}"


def test_what_is_refused_later_names_the_class(tmp_path: Path) -> None:
    path = write(tmp_path, "    up = ['SELECT 1', 5]\n")
    with pytest.raises(InputError, match="int is not something") as caught:
        load_one(path)
    assert caught.value.where == f"{path}:3"


def test_broken_sql_keeps_its_own_line(tmp_path: Path) -> None:
    path = write(tmp_path, "    up = '''\n    SELECT 1;\n    SELCT 2\n    '''\n")
    with pytest.raises(InputError) as caught:
        load_one(path)
    assert caught.value.where == f"{path}:6"


def test_a_failed_read_names_the_line_and_the_server(tmp_path: Path) -> None:
    def reader(sql: str) -> list[tuple[object, ...]]:
        raise ServerError("reading failed", where="localhost/shop")

    path = write(tmp_path, "    def up(self, q):\n        q.rows('SELECT 1')\n")
    with pytest.raises(ServerError) as caught:
        load_one(path, reader)
    assert caught.value.where == f"{path}:5, localhost/shop"


def test_a_class_that_cannot_be_made_names_its_line(tmp_path: Path) -> None:
    path = write(tmp_path, "    up = 'SELECT 1'\n    def __init__(self):\n        1 / 0\n")
    with pytest.raises(InputError, match="raised ZeroDivisionError") as caught:
        load_one(path)
    assert caught.value.where == f"{path}:6"
