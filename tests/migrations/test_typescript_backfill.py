"""a backfill as constants, and constants as a backfill"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from qb_engine.drafting import typescript_text
from qb_engine.errors import InputError
from qb_engine.migrations import Backfill, load_one
from qb_engine.migrations.attributes import BACKFILL
from qb_engine.migrations.typescript_backfill import (
    backfill_of,
    constants_of,
    in_python,
    read_constants,
    same,
)

TS = Path("backfill.ts")


class Whole(Backfill):
    table = "app.users"
    set = {"email": "lower(\"näme\") || E'\\\\ `${x}`'", "b": "1"}
    columns = ("a", "b")
    where = "email IS NULL"
    key = ("a", "b")
    validate = "SELECT 1 WHERE false"
    batch_size = 100
    parallel = 3
    target_ms = 12.5
    max_rate = 1000.0
    window = "22:00-06:00"
    throttle = {"replica_lag": {"stop": 5}, "archive_queue": False}
    on_error = "quarantine"
    max_errors = 7
    retry = {"attempts": 10, "classes": ["retry", "shrink"]}
    keep_in_sync = True


def test_all_that_a_backfill_says_is_held_and_comes_back(tmp_path: Path) -> None:
    """Through the file itself: written, read, made a backfill again."""
    held = constants_of(Whole())
    assert held.keys() == BACKFILL.keys() - {"sql", "transform"}
    file = tmp_path / "backfill.ts"
    file.write_text(typescript_text.backfill(held, "20240316_fill", "fills email\u2028of users"))
    assert read_constants(file) == held
    found = backfill_of(read_constants(file), file)
    for name in BACKFILL:
        assert getattr(found, name) == getattr(Whole, name), name
    assert same(held, Whole())


def test_what_is_as_usual_is_not_said() -> None:
    class Small(Backfill):
        table = "t"
        sql = "DELETE FROM t WHERE {batch}"

    assert constants_of(Small()) == {"table": "t", "sql": Small.sql}


def test_methods_are_named_and_stay_python() -> None:
    class Fill(Backfill):
        table = "t"

        def transform(self, rows: Any) -> Any:
            return rows

        def on_error(self, error: Exception, key: Any) -> str:
            return "skip"

    held = constants_of(Fill())
    assert held == {"table": "t", "python": ["transform", "on_error"]}
    assert in_python(held) == ("transform", "on_error")
    with pytest.raises(InputError, match="transform and on_error of this backfill are Python"):
        backfill_of(held, TS)
    assert same(held, Fill())


@pytest.mark.parametrize(
    ("constants", "what"),
    [
        ({"tabel": "t"}, "'tabel' is nothing that a backfill has"),
        ({"table": "t"}, "do not say what to fill"),
        ({"table": "t", "set": {"a": "1"}, "sql": "DELETE FROM t WHERE {batch}"},
         "do not say what to fill"),
        ({"table": "t", "set": {"a": 1}}, "set of backfill"),
        ({"table": "t", "set": {"a": "1"}, "batch_size": 0}, "batch_size of backfill is 0"),
        ({"table": "t", "sql": "UPDATE t SET a = 1"}, "not bounded"),
    ],
)  # fmt: skip
def test_constants_that_are_no_backfill_are_refused(constants: Any, what: str) -> None:
    with pytest.raises(InputError, match=what) as caught:
        backfill_of(constants, TS)
    assert "backfill.ts" in caught.value.where
    assert caught.value.todo


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("export const where = process.env.WHERE;", "where cannot be read"),
        ("export function helper() {}", "helper is a function or a class"),
        ("export const later = async () => {};", "later is a function or a class"),
        ("export const = ;", "does not parse"),
    ],
)
def test_a_file_that_is_more_than_constants_is_refused(
    tmp_path: Path, line: str, what: str
) -> None:
    """Left out, the rest would fill other rows than the file says."""
    file = tmp_path / "backfill.ts"
    file.write_text(f'export const table = "t";\nexport const set = {{ a: "1" }};\n{line}\n')
    with pytest.raises(InputError, match=what) as caught:
        read_constants(file)
    assert caught.value.where.endswith(":3")


def test_a_folder_whose_two_backfills_differ_is_refused(tmp_path: Path) -> None:
    whole = tmp_path / "20240316_fill"
    whole.mkdir()
    (whole / "backfill.ts").write_text(
        'export const table = "t";\nexport const set = { a: "1" };\n'
    )
    found = load_one(whole).backfill
    assert found is not None
    assert found.set == {"a": "1"}
    text = 'from qb_engine import Backfill\n\n\nclass F(Backfill):\n    table = "t"\n'
    (whole / "backfill.py").write_text(text + '    set = {"a": "1"}\n    batch_size = 7\n')
    found = load_one(whole).backfill
    assert found is not None
    assert found.batch_size == 7  # how fast it goes is Python's to say
    (whole / "backfill.py").write_text(text + '    set = {"a": "2"}\n')
    with pytest.raises(InputError, match="do not fill the same"):
        load_one(whole)
