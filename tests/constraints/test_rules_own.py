"""rules of the user's own: in rules.py, in rules/, and from an installed package"""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from qb_engine.constraints.rules import DeclaredRule, Memo, after, before, later
from qb_engine.errors import InputError

Connection = psycopg.Connection[Any]
Rules = Callable[..., tuple[DeclaredRule, ...]]

OWN = '''
from qb_engine.constraints.rules import Verdict

def few(read, *, table, most=2):
    """There are few rows.

    Not more than most.
    """
    ((count,),) = read("SELECT count(*) FROM users WHERE id > %s", [0])
    return Verdict(count <= most, f"{count} rows", f"at most {most}", "delete some")

def yes(read):
    return read("SELECT true")[0][0]

def odd(read):
    return 5

def wrong(read):
    return read("SELECT 1")["x"]

def writes(read):
    read("DELETE FROM users")

def writes_in_secret(read):
    read._conn.execute("DELETE FROM users")
    return True

def lost(read):
    return read("SELECT nowhere FROM users") == []

def quits(read):
    raise SystemExit

class Grows:
    def __init__(self, table):
        self.table = table

    def describe(self):
        return f"{self.table} grows"

    def before(self, read):
        return read("SELECT count(*) FROM users")[0][0]

    def check(self, read, memo, seen):
        now = read("SELECT count(*) FROM users")[0][0]
        return Verdict(now > memo, f"{now} after {len(seen)} steps", f"more than {memo}")

class Early:
    when = "before"

    def describe(self):
        return "early"

    def check(self, read, memo, seen):
        return Verdict(memo is None and not seen, "early")

class NoRule:
    pass

class Raises:
    def __init__(self):
        raise ValueError("no way")

_private = yes
number = 5
'''


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "rules.py"
    path.write_text(OWN, encoding="utf-8")
    return path


@pytest.fixture
def shop(connection: Connection) -> Connection:
    connection.execute("CREATE TABLE users (id int); INSERT INTO users VALUES (1), (2)")
    return connection


def test_a_function_is_a_rule_with_options(own: Path, shop: Connection, rules: Rules) -> None:
    found = rules(
        {"rule": "few", "table": "users"}, {"rule": "few", "table": "users", "most": 1},
        {"rule": "yes", "when": "both"},
    )  # fmt: skip
    outcomes = after(shop, found, Memo(), ())
    assert [(o.rule.what, o.expected, o.found, o.ok) for o in outcomes] == [
        ("There are few rows", "at most 2", "2 rows", True),
        ("There are few rows", "at most 1", "2 rows", False),
        ("yes()", "met", "met", True),
    ]
    assert [o.ok for o in before(shop, found).outcomes] == [True]


def test_a_class_may_compare_with_what_was_before(
    own: Path, shop: Connection, rules: Rules
) -> None:
    found = rules({"rule": "Grows", "table": "users"}, {"rule": "Early"})
    memo = before(shop, found)
    assert [(o.rule.what, o.ok) for o in memo.outcomes] == [("early", True)]
    (outcome,) = after(shop, found, memo, ())
    assert (outcome.rule.what, outcome.ok) == ("users grows", False)
    shop.execute("INSERT INTO users VALUES (3)")
    (outcome,) = after(shop, found, memo, ())
    assert (outcome.found, outcome.expected) == ("3 after 0 steps", "more than 2")
    assert all(o.verdict is None for o in later(shop, found))


def test_whatever_an_own_rule_does_wrong_is_a_verdict_with_its_line(
    own: Path, shop: Connection, rules: Rules
) -> None:
    names = ("odd", "wrong", "writes", "writes_in_secret", "lost", "quits")
    shop.execute("BEGIN")
    outcomes = after(shop, rules(*({"rule": name} for name in names)), Memo(), ())
    shop.execute("COMMIT")
    found = {name: o.found for name, o in zip(names, outcomes)}
    assert not any(o.ok for o in outcomes)
    assert "it gave 5, and a Verdict, True or False is expected" in found["odd"]
    assert "raised TypeError" in found["wrong"]
    at = OWN.splitlines().index('    return read("SELECT 1")["x"]') + 1
    assert f"in {own}:{at}" in found["wrong"]
    assert "may only read" in found["writes"]
    assert "read-only transaction" in found["writes_in_secret"]
    assert 'column "nowhere" does not exist' in found["lost"]
    assert "raised SystemExit" in found["quits"]
    assert shop.execute("SELECT count(*) FROM users").fetchall() == [(2,)]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"rule": "few"}, ("missing a required argument: 'table'", "few(read, *, table, most=2)")),
        ({"rule": "few", "tabel": "u"}, ("does not take these options",)),
        ({"rule": "Grows"}, ("missing a required argument: 'table'",)),
        ({"rule": "NoRule"}, ("NoRule is no rule", "describe()")),
        ({"rule": "Raises"}, ("raised ValueError: no way", "rules.py:")),
        ({"rule": "fwe"}, ("no rule of that name", "did you mean 'few'?")),
        ({"rule": "number"}, ("no rule of that name",)),
        ({"rule": "_private"}, ("no rule of that name",)),
        ({"rule": "Verdict"}, ("no rule of that name",)),
        ({"rule": 5}, ("the name of the rule is 5",)),
        ({"rule": "Grows", "table": "u", "when": "before"}, ("cannot be asked before",)),
    ],
)
def test_a_declaration_that_does_not_fit_is_refused(
    own: Path, rules: Rules, said: Any, words: tuple[str, ...]
) -> None:
    with pytest.raises(InputError) as caught:
        rules(said)
    assert caught.value.where == "a.py:1"
    for word in words:
        assert word in str(caught.value)


def test_a_file_of_rules_that_is_broken_is_named(own: Path, rules: Rules) -> None:
    own.write_text("def a(read):\n    return (\n", encoding="utf-8")
    with pytest.raises(InputError, match="invalid Python") as caught:
        rules({"rule": "a"})
    assert caught.value.where == f"{own}:2"
    rules("SELECT 1")  # files are read only where a rule asks for them


def test_rules_may_be_spread_over_a_folder(tmp_path: Path, rules: Rules) -> None:
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "one.py").write_text("def one(read):\n    return True\n", encoding="utf-8")
    (folder / "two.py").write_text("def two(read):\n    return True\n", encoding="utf-8")
    (folder / "_not.py").write_text("raise ValueError\n", encoding="utf-8")
    assert [r.what for r in rules({"rule": "one"}, {"rule": "two"})] == ["one()", "two()"]
    (folder / "two.py").write_text("def one(read):\n    return True\n", encoding="utf-8")
    with pytest.raises(InputError, match="two rules 'one'"):
        rules({"rule": "one"})


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that gives rules, as an installer leaves it."""
    site = tmp_path / "site"
    info = site / "shop_rules-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shop-rules\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[qb.rules]\nsold = shop_rules_of_a_test:sold\nyes = shop_rules_of_a_test:sold\n"
        "gone = shop_rules_of_a_test:gone\nnumber = shop_rules_of_a_test:number\n"
    )
    (site / "shop_rules_of_a_test.py").write_text(
        textwrap.dedent("""
        number = 5

        def sold(read, *, most):
            "Nothing is sold twice"
            return read("SELECT count(*) FROM users")[0][0] <= most
        """)
    )
    monkeypatch.syspath_prepend(str(site))
    return site


def test_a_package_gives_rules_by_entry_point(
    installed: Path, own: Path, shop: Connection, rules: Rules
) -> None:
    found = rules({"rule": "sold", "most": 2}, {"rule": "sold", "most": 1})
    outcomes = after(shop, found, Memo(), ())
    assert [(o.rule.what, o.ok) for o in outcomes] == [
        ("Nothing is sold twice", True), ("Nothing is sold twice", False),
    ]  # fmt: skip
    (project_first,) = rules({"rule": "yes"})
    assert project_first.what == "yes()"


@pytest.mark.parametrize(
    ("name", "words"), [("gone", "raised AttributeError"), ("number", "a class or a function")]
)
def test_a_package_that_is_broken_is_named(
    installed: Path, rules: Rules, name: str, words: str
) -> None:
    with pytest.raises(InputError, match="installed package") as caught:
        rules({"rule": name})
    assert words in caught.value.why
    assert "shop_rules_of_a_test" in caught.value.why
