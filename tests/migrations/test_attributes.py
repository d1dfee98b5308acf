"""what a class says that qb does not know, or cannot use, is refused with its line"""

from __future__ import annotations

from pathlib import Path

import pytest

from qb_engine.errors import InputError
from qb_engine.migrations import load_one

MIGRATION = "from qb_engine import Migration\n\nclass M(Migration):\n    up = 'SELECT 1'\n"
BACKFILL = (
    "from qb_engine import Backfill\n\nclass B(Backfill):\n"
    "    table = 'users'\n    set = {'email': 'lower(name)'}\n"
)


def migration(tmp_path: Path, body: str) -> Path:
    path = tmp_path / "20240315_m.py"
    path.write_text(MIGRATION + body, encoding="utf-8")
    return path


def backfill(tmp_path: Path, body: str, head: str = BACKFILL) -> Path:
    folder = tmp_path / "20240315_m"
    folder.mkdir()
    (folder / "backfill.py").write_text(head + body, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("body", "near"),
    [
        ("    dwon = 'SELECT 2'\n", "down"),
        ("    constrants = {}\n", "constraints"),
        ("    transactional: bool = False\n", "transaction"),
        ("    Down = ['SELECT 2']\n", "down"),
    ],
)
def test_a_misspelt_attribute_of_a_migration_is_refused(
    tmp_path: Path, body: str, near: str
) -> None:
    path = migration(tmp_path, body)
    with pytest.raises(InputError, match="unknown attribute") as caught:
        load_one(path)
    assert caught.value.where == f"{path}:5"
    assert f"{near!r}" in caught.value.todo


@pytest.mark.parametrize(
    ("method", "near"), [("dwon", "down"), ("Down", "down"), ("downgrade", "down"), ("upp", "up")]
)
def test_a_misspelt_method_is_refused(tmp_path: Path, method: str, near: str) -> None:
    path = migration(tmp_path, f"    def {method}(self, q): q('SELECT 2')\n")
    with pytest.raises(InputError, match="which nothing calls") as caught:
        load_one(path)
    assert caught.value.where == f"{path}:5"
    assert f"{near!r}" in caught.value.todo


def test_methods_of_a_users_own_are_left_alone(tmp_path: Path) -> None:
    path = migration(
        tmp_path,
        "    def setup(self): return 1\n    def downs(self): return 'SELECT 2'\n"
        "    def down(self, q): q(self.downs())\n    def _upp(self): return 1\n",
    )
    assert [s.sql for s in load_one(path).down] == ["SELECT 2"]


@pytest.mark.parametrize(("name", "near"), [("wher", "where"), ("batchsize", "batch_size")])
def test_a_misspelt_attribute_of_a_backfill_is_refused(
    tmp_path: Path, name: str, near: str
) -> None:
    folder = backfill(tmp_path, f"    {name} = '1'\n")
    with pytest.raises(InputError, match="unknown attribute") as caught:
        load_one(folder)
    assert caught.value.where == f"{folder / 'backfill.py'}:6"
    assert f"{near!r}" in caught.value.todo


def test_an_attribute_of_a_shared_class_counts_too(tmp_path: Path) -> None:
    body = "\nclass Slow:\n    batchsize = 5\n\nclass B(Slow, Backfill):\n    table = 'users'\n"
    with pytest.raises(InputError, match="batchsize"):
        load_one(backfill(tmp_path, body, "from qb_engine import Backfill\n"))


def test_methods_properties_classes_and_private_names_are_the_users_own(tmp_path: Path) -> None:
    body = (
        "    _table = 'users'\n    class Kind: pass\n"
        "    @property\n    def name(self): return 'a'\n"
        "    @staticmethod\n    def other(): return 1\n    def more(self): return 2\n"
    )
    assert len(load_one(migration(tmp_path, body)).up) == 1


@pytest.mark.parametrize(
    "body",
    [
        "    transaction = 'false'\n",
        "    transaction = None\n",
        "    constraints = []\n",
        "    irreversible = True\n",
    ],
)
def test_a_migration_says_what_type_is_expected(tmp_path: Path, body: str) -> None:
    path = migration(tmp_path, body)
    with pytest.raises(InputError, match="of M is") as caught:
        load_one(path)
    assert caught.value.where == f"{path}:5"
    assert "is expected" in caught.value.why


@pytest.mark.parametrize(
    "body",
    [
        "    table = 5\n",
        "    set = {'n': 0}\n",
        "    set = 'n = 0'\n",
        "    where = 5\n",
        "    validate = ['SELECT 1']\n",
        "    batch_size = 'x'\n",
        "    batch_size = 0\n",
        "    batch_size = 1.5\n",
        "    parallel = True\n",
        "    parallel = None\n",
        "    key = 5\n",
        "    key = ('id', 5)\n",
        "    where = 'a = \\0'\n",
    ],
)
def test_a_backfill_says_what_type_is_expected(tmp_path: Path, body: str) -> None:
    folder = backfill(tmp_path, body)
    with pytest.raises(InputError) as caught:
        load_one(folder)
    assert caught.value.where == f"{folder / 'backfill.py'}:6"


def test_none_is_the_same_as_nothing_said(tmp_path: Path) -> None:
    plain = load_one(backfill(tmp_path, ""))
    (tmp_path / "other").mkdir()
    body = "    where = None\n    validate = None\n    key = None\n"
    assert load_one(backfill(tmp_path / "other", body)).checksum == plain.checksum


@pytest.mark.parametrize("key", ["'id'", "('a', 'b')", "['a', 'b']"])
def test_a_key_is_a_name_or_several(tmp_path: Path, key: str) -> None:
    assert load_one(backfill(tmp_path, f"    key = {key}\n")).backfill is not None
