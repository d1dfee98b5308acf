"""a password written in SQL is masked, in whatever quotes; sentences about passwords are not"""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from qb_engine.report import Report
from qb_engine.secrets import mask


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("ALTER ROLE a PASSWORD 'canary7'", "ALTER ROLE a PASSWORD ***"),
        ("create role a password 'canary7' login", "create role a password *** login"),
        (r"ENCRYPTED PASSWORD E'can\'ary7' LOGIN", "ENCRYPTED PASSWORD *** LOGIN"),
        ("PASSWORD U&'canary7'", "PASSWORD ***"),
        ("PASSWORD $tag$can'ary7$tag$ LOGIN", "PASSWORD *** LOGIN"),
        ("PASSWORD $$canary7$$", "PASSWORD ***"),
        ("PASSWORD 'it''s canary7' LOGIN", "PASSWORD *** LOGIN"),
        ("PASSWORD\n  'can'\n  'ary7' LOGIN", "PASSWORD\n  *** LOGIN"),
        ("PASSWORD /* new */ 'canary7'LOGIN", "PASSWORD /* new */ ***LOGIN"),
        ("OPTIONS (password 'canary7', user 'bob')", "OPTIONS (password ***, user 'bob')"),
        ("OPTIONS (user 'bob', SET password 'canary7')", "OPTIONS (user 'bob', SET password ***)"),
        ("OPTIONS (\"password\" 'canary7')", 'OPTIONS ("password" ***)'),
        ("EXECUTE 'ALTER ROLE a PASSWORD ''canary7'''", "EXECUTE 'ALTER ROLE a PASSWORD ***'"),
        ("CONNECTION 'user=u password=''can ary7'''", "CONNECTION 'user=u password=***'"),
        ("ALTER ROLE a PASSWORD 'canary7 and the re", "ALTER ROLE a PASSWORD ***"),
        (r"ALTER ROLE a PASSWORD E'a\'canary7 and", "ALTER ROLE a PASSWORD ***"),
        ("ALTER ROLE a PASSWORD $x$canary7 and the", "ALTER ROLE a PASSWORD ***"),
    ],
)
def test_a_literal_after_the_word_is_masked_and_the_rest_stays(text: str, masked: str) -> None:
    assert mask(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        'password authentication failed for user "bob"',
        "fe_sendauth: no password supplied",
        "ALTER TABLE users ADD column password text DEFAULT 'x'",
        "SELECT 1 FROM users WHERE password IS NULL AND name = 'x'",
        "SELECT password, 'x' FROM users",
        "COMMENT ON COLUMN users.password IS 'a hash'",
        "ALTER ROLE a PASSWORD NULL VALID UNTIL '2030-01-01'",
        "the password's wrong, isn't it",
        "passwords 'of old'",
        "PASSWORD $1 and $2",
    ],
)
def test_ordinary_words_about_passwords_stay(text: str) -> None:
    assert mask(text) == text


@dataclass(frozen=True)
class Said(Report):
    sql: tuple[str, ...]
    note: str


def test_json_stays_json_whatever_was_cut_off_in_it() -> None:
    said = Said(("ALTER ROLE a\nPASSWORD 'canary7", r"PASSWORD E'can\'ary7'"), "it's said")
    text = said.to_json(indent=2)
    assert "ary7" not in text
    assert json.loads(text)["note"] == "it's said"
    assert json.loads(text)["sql"] == ["ALTER ROLE a\nPASSWORD ***", "PASSWORD ***"]
