"""what looks like a password, or is known to be one, is masked"""

from __future__ import annotations

import pytest

from qb_engine.errors import ServerError
from qb_engine.secrets import mask, remember


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://u:canary7@h/d",
        "postgresql://u:can@ary:7@h/d canary",
        "host=h password=canary7 user=u",
        "host=h password='canary 7' user=u",
        "postgresql://h/d?user=u&password=canary7&x=1",
        "PGPASSWORD: canary7",
        'api_key = "canary7"',
    ],
)
def test_passwords_are_masked_in_every_form(text: str) -> None:
    masked = mask(text)
    assert "canary7" not in masked
    assert "ary:7" not in masked
    assert "***" in masked


def test_the_rest_of_a_text_stays() -> None:
    assert mask("postgresql://u:x@h:5432/d") == "postgresql://u:***@h:5432/d"
    assert mask("password=x sslmode=require") == "password=*** sslmode=require"
    assert mask("no secret: at all @ here") == "no secret: at all @ here"


def test_a_remembered_password_is_masked_everywhere() -> None:
    remember("hunter-22")
    error = ServerError("it said hunter-22", where="hunter-22", why="hunter-22", todo="hunter-22")
    assert "hunter" not in str(error) + repr(error) + str(error.as_dict())
