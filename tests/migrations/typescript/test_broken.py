"""odd files: broken, huge, deep, or written in a way that nobody would"""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

from qb_engine.errors import InputError
from qb_engine.migrations.typescript import describe, methods
from tests.typeorm.reading_cases import CASES

A = Path("/nowhere/a.ts")


def wrapped(body: str) -> str:
    return f"export class A1710460800000 {{\n  async up(q) {{\n{body}\n  }}\n}}\n"


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("await q.query(`a`;", 3),
        ("await q.query('a)\nawait q.query('b')", 3),
        ("if (true { await q.query('a') }", 3),
        ("await q.query('a')\n\n\n} } }", 6),
    ],
)
def test_a_file_that_does_not_parse_is_unread_with_its_line(body: str, line: int) -> None:
    script = describe(A, wrapped(body))
    assert min(script.errors) <= line + 3
    read = methods(A, "A1710460800000", text=wrapped(body)) if script.classes else None
    assert read is None or read.up.unread is not None


def test_an_error_anywhere_in_the_file_makes_it_unread() -> None:
    unread = methods(A, text="const a = ;\n" + wrapped("await q.query('a')")).up.unread
    assert unread is not None
    assert (unread.cause, unread.line) == ("value", 1)
    assert "does not parse" in unread.reason


@pytest.mark.parametrize(
    "text", ["", "\n", "// only\n", "\ufeff", "}", "🙂", "export", "class", "`"]
)
def test_a_file_that_says_nothing_has_no_class(text: str) -> None:
    assert describe(A, text).classes == ()


def test_a_file_that_is_no_text_is_an_error_of_input(tmp_path: Path) -> None:
    file = tmp_path / "a.ts"
    file.write_bytes(b"export class A1 { async up(q) { await q.query('\xff') } }")
    with pytest.raises(InputError):
        describe(file)
    with pytest.raises(InputError):
        methods(tmp_path / "missing.ts")


DEEP = {
    "parentheses": lambda n: "await q.query(" + "(" * n + "'a'" + ")" * n + ")",
    "arrays": lambda n: "await q.query('a', " + "[" * n + "]" * n + ")",
    "objects": lambda n: "await q.query('a', [" + "{a:" * n + "1" + "}" * n + "])",
    "calls": lambda n: "await q.query(" + "f(" * n + "'a'" + ")" * n + ")",
    "blocks": lambda n: "{" * n + "await q.query('a')" + "}" * n,
    "conditions": lambda n: "if (true) " * n + "await q.query('a')",
    "members": lambda n: "await q.query(a" + ".a" * n + ")",
    "signs": lambda n: "await q.query('' + " + "- " * n + "1)",
    "templates": lambda n: "await q.query(" + "`${" * n + "1" + "}`" * n + ")",
    "arrows": lambda n: "const f = " + "() => " * n + "1",
    "choices": lambda n: "await q.query(" + "true ? " * n + "'a'" + " : 'b'" * n + ")",
    "waiting": lambda n: "await " * n + "q.query('a')",
}


LONG = ("parentheses", "arrows", "conditions")  # gone down without a call each


@pytest.mark.parametrize("kind", DEEP)
def test_deep_nesting_ends_in_an_answer(kind: str) -> None:
    for depth in (50, 400, 20_000):
        text = wrapped(DEEP[kind](depth))
        describe(A, text)
        method = methods(A, text=text).up if describe(A, text).classes else None
        if depth == 20_000 and method is not None and kind not in LONG:
            assert method.unread is not None


def test_deep_values_are_told_or_refused_below_any_limit() -> None:
    grown = "let a = []; for (let i = 0; i < 5000; i++) a = [a]; await q.query('x', a);"
    assert methods(A, text=wrapped(grown)).up.unread is not None
    depth = sys.getrecursionlimit()

    def below(n: int) -> object:
        return below(n - 1) if n else methods(A, text=wrapped("await q.query('a' + 'b')")).up

    assert below(depth // 3).unread is None  # type: ignore[attr-defined]


def test_long_chains_are_no_depth() -> None:
    many = 5_000
    text = wrapped("await q.query(" + " + ".join(["'a'"] * many) + ")")
    assert len(methods(A, text=text).up.queries[0].sql) == many
    text = wrapped("if (1 > 2) {} " + "else if (1 > 2) {} " * 300 + "else await q.query('a')")
    assert methods(A, text=text).up.unread is None


def test_a_file_of_a_megabyte_is_read() -> None:
    rows = "\n".join(
        f"    await q.query(`INSERT INTO t VALUES ({i}, 'é{i}')`);" for i in range(20_000)
    )
    text = wrapped(rows)
    assert len(text) > 1_000_000
    method = methods(A, text=text).up
    assert (method.unread, len(method.queries)) == (None, 20_000)
    assert method.queries[-1].line == 20_002
    blob = wrapped("await q.query(`" + "x" * 2_000_000 + "`)")
    assert len(methods(A, text=blob).up.queries[0].sql) == 2_000_000


def test_broken_text_is_never_an_error_of_ours() -> None:
    """Random damage to files that are read: an answer, or an error that a user understands."""
    chance = random.Random(20240315)
    signs = [*list("{}()[]`'\",;=\\#@?:.!-<>\n0"), "${", "=>", "async ", "class ", "export ", "..."]
    signs += ["static ", "/*", "*/", "//", "for(", "switch(x){", "function*", "import ", "<T>"]
    for _ in range(300):
        case = CASES[chance.choice(list(CASES))]
        text = case.text("A1710460800000")
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(text))
            cut = chance.choice((0, 0, 1, 5))
            text = text[:at] + chance.choice([*signs, ""]) + text[at + cut :]
        script = describe(A, text)
        if script.classes:
            told = methods(A, script.classes[0].class_name, text=text)
            assert told.up.unread is not None or not script.errors
