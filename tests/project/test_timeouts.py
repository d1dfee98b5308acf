"""a timeout that would mean no timeout is refused, unless that is what was asked for"""

from __future__ import annotations

from pathlib import Path

import pytest

from qb_engine.errors import InputError
from qb_engine.project import Project


def made(root: Path, line: str) -> Project:
    (root / "qb.toml").write_text(f"[timeouts]\n{line}\n", encoding="utf-8")
    return Project(root)


@pytest.mark.parametrize("value", ['"0s"', "0", '"0.5ms"', "0.0009"])
def test_a_lock_timeout_that_is_none_to_postgresql_is_refused(tmp_path: Path, value: str) -> None:
    with pytest.raises(InputError, match="no limit at all to PostgreSQL") as caught:
        _ = made(tmp_path, f"lock = {value}").config
    assert "timeouts.lock" in caught.value.what
    assert "at least 1ms" in caught.value.what
    assert caught.value.where.endswith("qb.toml:2")


def test_a_lock_timeout_of_a_millisecond_passes(tmp_path: Path) -> None:
    assert made(tmp_path, 'lock = "1ms"').config.timeouts.lock == "1ms"


@pytest.mark.parametrize("key", ["lock_deadline", "max_blocked", "statement", "runner"])
def test_the_others_may_be_zero(tmp_path: Path, key: str) -> None:
    assert getattr(made(tmp_path, f'{key} = "0s"').config.timeouts, key) == "0s"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('statement = "0.2ms"', "or 0 for no limit"),
        ("runner = -1", "not a length of time"),
        ("lock = inf", "not a length of time"),
        ("lock_deadline = nan", "not a length of time"),
        ('statement = "30d"', "longer than PostgreSQL can count"),
    ],
)
def test_what_is_no_duration_for_postgresql_is_refused(tmp_path: Path, line: str, why: str) -> None:
    with pytest.raises(InputError, match=why):
        _ = made(tmp_path, line).config
