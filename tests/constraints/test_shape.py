"""constraints of another form: the error names the file"""

from __future__ import annotations

from typing import Any

import pytest

from qb_engine.constraints import check_shape
from qb_engine.errors import InputError


@pytest.mark.parametrize(
    "constraints",
    [
        [],
        {5: {}},
        {"users": []},
        {"users": {"must_exit": True}},
        {"users": {"must_exist": 1}},
        {"users": {"columns": []}},
        {"users": {"columns": {"id": {"typ": "bigint"}}}},
        {"users": {"columns": {"id": {"type": 5}}}},
        {"users": {"columns": {"id": {"default": 5}}}},
        {"users": {"indexes": {"i": {"valid": "yes"}}}},
        {"users": {"primary_key": "id"}},
        {"users": {"must_exist": False, "columns": {}}},
    ],
)
def test_every_error_of_the_form_names_the_place(constraints: Any) -> None:
    with pytest.raises(InputError) as caught:
        check_shape(constraints, "20240315_m.py")
    assert caught.value.where == "20240315_m.py"
    assert caught.value.todo
