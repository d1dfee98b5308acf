"""an edited file is shown beside what ran of it, and accepted only by somebody who says so"""

from __future__ import annotations

import pytest

from qb_engine.errors import InputError, RefusedError
from qb_engine.runner.checksums import aligned

BEFORE = "-- qb:up\nCREATE TABLE a (id int);\nCREATE TABLE b ();\n-- qb:down\nDROP TABLE a, b"
AFTER = "-- qb:up\ncreate table a (id int); CREATE TABLE b (id int); CREATE TABLE c ();\n"
WAY_BACK = "-- qb:down\nDROP TABLE a, b, c"


def test_the_file_is_shown_beside_what_ran(qb, write) -> None:
    write("20240101_a.sql", BEFORE)
    qb("run")
    assert qb("checksum", "a").ok
    write("20240101_a.sql", AFTER + WAY_BACK)
    report = qb("checksum", "a")
    assert report.exit_code == 1
    assert [(x.recorded, x.file, x.same) for x in report.compared.lines] == [
        ("CREATE TABLE a (id int)", "create table a (id int)", True),
        ("CREATE TABLE b ()", "CREATE TABLE b (id int)", False),
        ("", "CREATE TABLE c ()", False),
    ]
    assert not report.compared.down_same
    assert [s.state for s in qb("status").migrations] == ["edited"]


def test_an_accepted_file_is_what_was_applied_and_says_who_accepted_it(
    qb, write, connection
) -> None:
    write("20240101_a.sql", BEFORE)
    qb("run")
    write("20240101_a.sql", AFTER + WAY_BACK)
    connection.execute("DROP TABLE b; CREATE TABLE b (id int); CREATE TABLE c ()")
    report = qb("checksum", "a", "--accept", "--reason", "done by hand")
    assert report.accepted
    assert [s.state for s in qb("status").migrations] == ["applied"]
    assert qb("checksum", "a").ok
    assert qb("validate").ok
    row = connection.execute(
        "SELECT who, reason, detail -> 'old' ->> 'checksum', detail -> 'new' ->> 'checksum'"
        " FROM qb.event WHERE what = 'checksum accepted'"
    ).fetchone()
    assert row == (
        "postgres", "done by hand", report.compared.recorded, report.compared.file,
    )  # fmt: skip
    qb("rollback")
    assert qb("validate").ok


def test_what_differs_at_the_end_of_a_long_statement_is_shown(qb, write) -> None:
    long = "CREATE TABLE a (" + ", ".join(f"column_number_{n} int" for n in range(9)) + ", {})"
    write("20240101_a.sql", long.format("last int"))
    qb("run")
    write("20240101_a.sql", long.format("last text"))
    text = str(qb("checksum", "a"))
    assert "last int" in text
    assert "last text" in text


def test_what_was_accepted_does_not_read_as_a_failure(qb, write) -> None:
    write("20240101_a.sql", "CREATE TABLE a (id int)")
    qb("run")
    write("20240101_a.sql", "CREATE TABLE a (id bigint)")
    assert "FAIL" in str(qb("checksum", "a"))
    text = str(qb("checksum", "a", "--accept", "--reason", "changed by hand"))
    assert "FAIL" not in text
    assert text.count("  accepted") == 2
    told = str(qb("history", "a"))
    assert "-> " in told
    assert "{" not in told.split("decisions")[1]


def test_only_the_way_back_may_have_been_edited(qb, write) -> None:
    write("20240101_a.sql", BEFORE)
    qb("run")
    write("20240101_a.sql", BEFORE.replace("DROP TABLE a, b", "DROP TABLE b, a"))
    report = qb("checksum", "a")
    assert "its way down" in report.headline()
    qb("checksum", "a", "--accept", "--reason", "the order of tables")
    qb("rollback")


def test_an_edit_is_not_accepted_without_a_reason(qb, write, connection) -> None:
    write("20240101_a.sql", "CREATE TABLE a (id int)")
    qb("run")
    write("20240101_a.sql", "CREATE TABLE a (id bigint)")
    with pytest.raises(RefusedError, match="without a reason") as refused:
        qb("checksum", "a", "--accept", "--reason", " ")
    assert "--reason" in refused.value.todo
    assert [s.state for s in qb("status").migrations] == ["edited"]
    assert connection.execute("SELECT count(*) FROM qb.event").fetchone() == (0,)


def test_a_comment_is_no_edit_and_nothing_is_accepted(qb, write, connection) -> None:
    write("20240101_a.sql", BEFORE)
    qb("run")
    write("20240101_a.sql", BEFORE.replace("CREATE TABLE b", "-- more\nCREATE  TABLE b"))
    assert not qb("checksum", "a", "--accept").accepted
    assert connection.execute("SELECT count(*) FROM qb.event").fetchone() == (0,)


def test_an_adopted_one_has_no_statements_to_compare_but_is_accepted(qb, write, connection) -> None:
    connection.execute("CREATE TABLE a (id int)")
    write("20240101_a.sql", "CREATE TABLE a (id int)")
    qb("baseline", "a", "--yes")
    write("20240101_a.sql", "CREATE TABLE a (id int, b int)")
    report = qb("checksum", "a", "--accept", "--reason", "adopted before it was written")
    assert report.accepted
    assert report.compared.adopted
    assert [s.state for s in qb("status").migrations] == ["applied"]


def test_what_is_not_applied_or_only_half_cannot_be_accepted(qb, write) -> None:
    write("20240101_a.sql", "CREATE TABLE a (); VACUUM nowhere")
    with pytest.raises(InputError, match="not applied here"):
        qb("checksum", "a", "--accept")
    with pytest.raises(Exception, match="statement 2 failed"):
        qb("run")
    with pytest.raises(RefusedError, match="not applied as a whole"):
        qb("checksum", "a", "--accept")


def test_statements_are_aligned_by_what_they_say() -> None:
    lines = list(aligned(["SELECT 1", "SELECT 2"], ["SELECT 0", "select 1", "SELECT 2"]))
    assert [(x.recorded, x.file) for x in lines] == [
        ("", "SELECT 0"), ("SELECT 1", "select 1"), ("SELECT 2", "SELECT 2"),
    ]  # fmt: skip
