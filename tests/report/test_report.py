"""a result reads the same everywhere: plain text, JSON, data frame"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar

import pytest

from qb_engine.errors import InputError
from qb_engine.report import Column, Report, Table, format_bytes, format_seconds, format_value


@dataclass(frozen=True)
class Fruit(Report):
    name: ClassVar[str] = "fruit"
    kinds: tuple[tuple[str, int], ...]

    @property
    def ok(self) -> bool:
        return bool(self.kinds)

    def headline(self) -> str:
        return f"{len(self.kinds)} kinds"

    def tables(self) -> Sequence[Table]:
        return (Table("fruit", (Column("kind"), Column("count", "count")), self.kinds),)


def test_plain_text_is_aligned_and_says_ok_in_words() -> None:
    text = str(Fruit((("apple", 1200), ("fig", 3))))
    assert text == (
        "ok: 2 kinds\n\nfruit\n  kind   count\n  -----  -----\n  apple  1,200\n  fig        3"
    )
    assert str(Fruit(())).startswith("NOT OK: 0 kinds")


def test_json_holds_the_name_ok_and_the_facts() -> None:
    assert json.loads(Fruit((("fig", 3),)).to_json()) == {
        "report": "fruit",
        "ok": True,
        "kinds": [["fig", 3]],
    }
    assert Fruit(()).exit_code == 1


def test_the_first_table_is_the_data_frame() -> None:
    frame = Fruit((("fig", 3),)).df
    assert list(frame.columns) == ["kind", "count"]
    assert frame["count"].tolist() == [3]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.00025, "250 µs"), (0.0082, "8.2 ms"), (0.48, "480 ms"), (1.94, "1.9 s"),
     (75, "1 min 15 s"), (3700, "1 h 01 min")],
)  # fmt: skip
def test_durations(seconds: float, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert format_seconds(seconds) == text


def test_sizes_checks_and_times() -> None:
    assert [format_bytes(n) for n in (0, 999, 2048, 5 << 20)] == [
        "0 B",
        "999 B",
        "2.0 kB",
        "5.0 MB",
    ]
    assert [format_value(v, "check") for v in (True, False, None, "WARN")] == [
        "PASS", "FAIL", "-", "WARN",
    ]  # fmt: skip
    moment = datetime(2024, 3, 15, 10, 30, tzinfo=UTC)
    assert format_value(moment, "time") == "2024-03-15 10:30:00"
    assert format_value(None, "bytes") == "-"


def test_stable_mode_hides_what_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QB_STABLE", "1")
    assert format_seconds(0.02) == format_seconds(0.9) == "<1 s"
    assert format_value(datetime.now(UTC), "time") == "(time)"


def test_an_error_says_four_things_and_names_its_page() -> None:
    error = InputError("what", where="where", why="why\nmore", todo="todo")
    assert error.lines() == [
        "InputError: what  [where]",
        "  why: why",
        "       more",
        "  next: todo",
        "  more: qb error bad-input",
    ]
    assert error._render_traceback_() == error.lines()
