"""every trap's own examples: the bad one has it, the good one does not"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from qb_engine.typeorm.traps import Example, File, Project, Severity, Trap, all_traps, judge
from qb_engine.typeorm.traps.gather import read
from qb_engine.typeorm.traps.names import better, reading, stamp_of
from qb_engine.typeorm.traps.project import HistoryTable, Row
from qb_engine.typeorm.traps.trap import written
from qb_engine.typeorm.unparsed import unparsed

GONE = "AddTags1710460900000"
TRAPS = [record for record, _ in all_traps()]


def made(example: Example) -> Project:
    """The example as a project; its files are nowhere on the disk."""
    files: list[File] = [read(Path("/shop") / name, text) for name, text in example.files.items()]
    return Project(tuple(files), example.options, example.history, example.edited)


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.id)
def test_the_bad_example_has_it(trap: Trap) -> None:
    found = [finding for finding in judge(made(trap.bad)) if finding.trap == trap.id]
    assert found
    for each in found:
        assert each.message
        assert each.fix
        assert not re.search(r"\{\w+\}", each.message)  # no place of the title is left open
        text = trap.bad.files.get(each.file.removeprefix("/shop/"))
        assert text is None or 0 < each.line <= len(text.splitlines())


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.id)
def test_the_good_example_has_nothing_wrong(trap: Trap) -> None:
    """Neither this trap, nor any other that would end a check with 1."""
    found = judge(made(trap.good))
    assert trap.id not in {finding.trap for finding in found}
    assert not [finding for finding in found if finding.severity is not Severity.NOTICE]


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.id)
def test_it_says_what_it_means_and_what_to_do(trap: Trap) -> None:
    assert all([trap.title, trap.fix])
    assert trap.meaning.endswith(".")


def test_their_ids_are_those_of_their_files() -> None:
    """So that a trap is found by the name that a report shows."""
    import qb_engine.typeorm.traps as room

    files = {path.stem.replace("_", "-") for path in Path(room.__path__[0]).glob("*.py")}
    assert {trap.id for trap in TRAPS} <= files


@pytest.mark.parametrize(
    ("name", "stamp", "how"),
    [
        ("AddUserEmail1710460800000", 1710460800000, "good"),
        ("AddUserEmail20240315", None, "date"),
        ("X20240315", None, "date"),
        ("1710460800000-add-status", None, "in-front"),
        ("20240315_add_user_emails", None, "date-in-front"),
        ("20240315_add_status", 15, "date-in-front"),
        ("20240315", 20240315, "small"),
        ("AddStatus0000020240315", 20240315, "small"),
        ("AddStatus20240315120000", 240315120000, "fourteen"),
        ("Foo1710460800000abc", 460800000, "text-after"),
        ("Foo1710460800000123", 460800000123, "long"),
        ("Foo-171046080000", -171046080000, "negative"),
        ("Foo0000000000000", None, "zeros"),
        ("Add notes 1710460800000", 1710460800000, "unusual"),
        ("AddNotes", None, "no-stamp"),
        ("AddNotes1710460800", None, "short"),
    ],
)
def test_names_are_read_as_typeorm_reads_them(name: str, stamp: int | None, how: str) -> None:
    assert stamp_of(name) == stamp
    assert reading(name) == how


def test_a_date_is_written_as_milliseconds() -> None:
    assert better("AddNotes20240315") == "AddNotes1710460800000"
    assert better("AddNotes20240315120000") == "AddNotes1710504000000"
    assert reading(better("AddNotes99999999")) == "good"


@pytest.mark.parametrize(
    "code",
    [
        "await queryRunner.query<{ id: number }[]>(`SELECT 1`)",
        "return queryRunner.query(`SELECT 1`)",
        "await Promise.all(['a', 'b'].map((t) => queryRunner.query(`ANALYZE ${t}`)))",
        "await queryRunner.query(String.raw`SELECT '\\d+' ~ E'x\\n'`)",
        "await queryRunner.query('SELECT \\'a\\'')",
        "await queryRunner.query(`UPDATE notes SET a = 1`)",
        "await queryRunner.query(`ALTER TABLE a ADD b int`);"
        " await queryRunner.query(`UPDATE a SET b = 1 WHERE id = 5`)",
        "await queryRunner.query(`CREATE TYPE mood AS ENUM ('a')`);"
        " await queryRunner.query(`ALTER TYPE mood ADD VALUE 'b'`);"
        " await queryRunner.query(`SELECT 'b'::mood`)",
        "await queryRunner.query(`SAVEPOINT a`); await queryRunner.query(`RELEASE a`)",
    ],
)
def test_what_only_looks_like_a_trap_is_none(code: str) -> None:
    text = written("AddNotes1710460800000", code=code, back="throw new Error('no way back')")
    file = read(Path("/shop/1710460800000-AddNotes.ts"), text)
    assert judge(Project((file,))) == ()


def test_exports_that_typeorm_leaves_alone_are_no_trap() -> None:
    text = written("AddNotes1710460800000") + "".join(
        f"export {each}\n"
        for each in (
            "enum Colour { Red }", "interface Row { f(): void }", "type Name = string",
            "const size = 5", "const at = new Date(0)", "const found = [/x/, { deep: [1] }]",
        )
    )  # fmt: skip
    file = read(Path("/shop/1710460800000-AddNotes.ts"), text)
    assert judge(Project((file,))) == ()


def test_a_row_is_not_called_lost_while_its_file_does_not_parse() -> None:
    name = "2faThing1710460800000"
    file = read(Path("/shop/1710460800000-2fa.ts"), written(name))
    history = HistoryTable(rows=(Row(1, 1710460800000, name), Row(2, 1710460900000, GONE)))
    found = [(one.trap, one.migration) for one in judge(Project((file,), history=history))]
    assert ("does-not-parse", "") in found
    assert [name for trap, name in found if trap == "row-without-file"] == [GONE]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("const a = 1;\n", None),
        ("const a = ;\n", "line 1, column 9 does not parse, at: const a = ;"),
        ('// ok\nconst é = "é"; class 2fa {}\n', "line 2, column 22 does not parse"),
        ("function f() {\n", "line 1, "),
        ("", None),
    ],
)
def test_where_a_script_does_not_parse(text: str, place: str | None) -> None:
    """Counted from 1, in characters."""
    found = unparsed(Path("a.ts"), text)
    assert found is None if place is None else str(found).startswith(place)
