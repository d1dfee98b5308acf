"""every error names a page of the catalogue, and every page says what is to be known"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import qb_engine
from qb_engine import catalogue, errors
from qb_engine.commands import Session, invoke
from qb_engine.errors import InputError, QbError, RefusedError

ROOT = Path(qb_engine.__file__).parents[1]
SOURCES = sorted([*(ROOT / "qb_engine").rglob("*.py"), *(ROOT / "qb_magic").rglob("*.py")])
WORDS = re.compile(r"[a-z]+(-[a-z]+)*")


def constants(node: ast.AST) -> Iterator[str]:
    """Every text that stands in a piece of source."""
    for each in ast.walk(node):
        if isinstance(each, ast.Constant) and isinstance(each.value, str):
            yield each.value


@cache
def parsed(source: Path) -> ast.Module:
    return ast.parse(source.read_text("utf-8"))


def named(node: ast.expr) -> str:
    """The last name of what is called, or assigned to."""
    return getattr(node, "attr", "") or getattr(node, "id", "")


def given() -> dict[str, str]:
    """Every code that the source gives to an error, and where."""
    found = {}
    for source in SOURCES:
        for node in ast.walk(parsed(source)):
            values: list[ast.AST] = []
            if isinstance(node, ast.Call) and named(node.func).endswith("Error"):
                values = [word.value for word in node.keywords if word.arg == "code"]
            elif isinstance(node, ast.Assign) and named(node.targets[0]) == "default_code":
                values = [node.value]
            elif isinstance(node, ast.AnnAssign) and named(node.target) == "default_code":
                values = [node.value] if node.value else []
            for value in values:
                for text in constants(value):
                    if text:
                        found[text] = f"{source.relative_to(ROOT)}:{node.lineno}"
    return found


def kinds(kind: type[QbError] = QbError) -> Iterator[type[QbError]]:
    """Every kind of error that is loaded."""
    yield kind
    for each in kind.__subclasses__():
        yield from kinds(each)


# -- codes and pages ---------------------------------------------------------------------------


def test_every_code_that_an_error_is_given_has_a_page() -> None:
    without = {code: where for code, where in given().items() if code not in catalogue.codes()}
    assert without == {}


def test_every_page_is_about_errors_that_there_are() -> None:
    said = {text for source in SOURCES for text in constants(parsed(source))}
    told = {text.rpartition("qb error ")[2] for text in said if "qb error " in text}
    assert [code for code in catalogue.codes() if code not in said | told] == []


@pytest.mark.parametrize("kind", [e for e in vars(errors).values() if isinstance(e, type)])
def test_every_kind_of_error_has_a_code_of_its_own(kind: type) -> None:
    if issubclass(kind, QbError):
        assert kind.default_code in catalogue.codes()
        assert kind("what").code == kind.default_code


def test_kinds_that_are_defined_elsewhere_have_a_page_too() -> None:
    assert {kind.default_code for kind in kinds()} <= set(catalogue.codes())


@pytest.mark.parametrize("code", catalogue.codes())
def test_a_page_has_its_parts_and_an_example(code: str) -> None:
    page = catalogue.page(code)
    assert WORDS.fullmatch(code)
    assert page.code == code
    assert "\n" not in page.title
    assert not page.title.endswith(".")
    for text in (page.meaning, page.state, page.todo):
        assert text.endswith((".", "}}}}."))
        assert max(map(len, text.splitlines())) <= 100
    assert f"more: qb error {code}" in page.example.splitlines()[-1]


def test_an_example_looks_like_what_is_printed() -> None:
    """Its lines begin as those of an error do."""
    for code in catalogue.codes():
        first, *rest = catalogue.page(code).example.splitlines()
        if first.startswith("NOT OK: "):
            continue  # a report, not an error
        assert re.match(r"\w+(Error|Failed|Run|Broken): ", first), code
        for line in rest:
            assert line.startswith(("  why: ", "  next: ", "  more: ", "       ")), (code, line)


BAD = {
    "another name": "# b\n\nIt happened\n",
    "no title": "# a\n\n## What it means\n",
    "a heading is missing": "# a\n\nIt happened\n\n## What it means\n\nx\n\n## Example\n\ny\n",
    "no block": "# a\n\nIt\n\n"
    + "".join(f"## {heading}\n\nx\n\n" for heading in catalogue.HEADINGS),
}


@pytest.mark.parametrize("wrong", BAD)
def test_a_page_that_lacks_something_is_found(wrong: str) -> None:
    with pytest.raises(ValueError, match="a: "):
        catalogue.parsed("a", BAD[wrong])


# -- how errors show their code ----------------------------------------------------------------


def test_a_raise_may_name_another_page_than_its_kind() -> None:
    error = RefusedError("no", code="production-guard")
    assert error.code == "production-guard"
    assert error.lines()[-1] == "  more: qb error production-guard"
    assert error.as_dict()["code"] == "production-guard"


def test_json_of_the_command_line_holds_the_code(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "qb_engine.commands", "error", "nope", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 2
    assert json.loads(ran.stdout)["error"]["code"] == "bad-option"
    assert ran.stderr.splitlines()[-1] == "  more: qb error bad-option"


# -- the command -------------------------------------------------------------------------------


def test_error_shows_a_page(tmp_path: Path) -> None:
    report = invoke(Session(root=tmp_path), ["error", "lock-timeout"])
    page = catalogue.page("lock-timeout")
    text = str(report)
    assert report is not None
    assert report.ok
    assert page.title in text
    for part in (page.meaning, page.state, page.todo, page.example):
        assert part.splitlines()[0] in text
    assert json.loads(report.to_json())["todo"] == page.todo


def test_error_lists_every_code(tmp_path: Path) -> None:
    report = invoke(Session(root=tmp_path), ["error"])
    assert report is not None
    assert list(report.df["code"]) == list(catalogue.codes())


def test_an_unknown_code_is_met_with_what_is_near(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no error code") as raised:
        invoke(Session(root=tmp_path), ["error", "lock-timeot"])
    assert "lock-timeout" in raised.value.todo


def test_codes_are_completed() -> None:
    import click

    from qb_engine.commands.error import command

    (argument,) = (p for p in command.params if p.name == "code")
    items = argument.shell_complete(click.Context(command), "lock-")
    assert {item.value for item in items} >= {"lock-lost", "lock-timeout"}
