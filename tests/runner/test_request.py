"""which migrations a request means; pure"""

from __future__ import annotations

import pytest

from qb_engine.errors import RefusedError
from qb_engine.runner.request import Request, selected
from qb_engine.runner.status import State, Status


def states(**found: State) -> list[Status]:
    return [Status(name, state) for name, state in found.items()]


def ids(found: tuple[Status, ...]) -> list[str]:
    return [s.migration for s in found]


def test_what_is_applied_is_left_out() -> None:
    found = states(a="applied", b="contracted", c="missing", d="expanded", e="pending")
    assert ids(selected(found, Request())) == ["d", "e"]


def test_what_it_requires_comes_first() -> None:
    found = states(a="pending", b="pending")
    needs = {"b": ("a",)}
    assert ids(selected(found, Request(), requires=needs)) == ["a", "b"]
    with pytest.raises(RefusedError, match="b requires a") as caught:
        selected(found, Request(only="b"), requires=needs)
    assert caught.value.code == "out-of-order"


def test_steps_and_an_end_are_counted_in_the_order_of_the_folder() -> None:
    found = states(a="applied", b="pending", c="pending", d="pending")
    assert ids(selected(found, Request(to="c"))) == ["b", "c"]
    assert ids(selected(found, Request(steps=1))) == ["b"]
    assert ids(selected(found, Request(to="c", steps=5))) == ["b", "c"]


@pytest.mark.parametrize("request_", [Request(), Request(only="b")])
def test_an_edited_one_stops_everything(request_: Request) -> None:
    with pytest.raises(RefusedError, match="edited"):
        selected(states(a="pending", b="edited"), request_)
    assert ids(selected(states(a="pending", b="edited"), Request(only="a"))) == ["a"]
