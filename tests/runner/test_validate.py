"""the schema is compared with what the applied migrations make of the baseline"""

from __future__ import annotations

import pytest

from qb_engine.errors import InputError


def test_what_stood_before_the_first_migration_is_the_baseline(qb, write, connection) -> None:
    connection.execute("CREATE TABLE old (id int PRIMARY KEY); INSERT INTO old VALUES (1)")
    write("20240101_a.sql", "ALTER TABLE old ADD COLUMN b text; CREATE INDEX ON old (b)")
    qb("run")
    report = qb("validate")
    assert report.ok
    assert report.validation.applied == ("20240101_a",)


def test_a_change_by_hand_is_a_difference_with_a_sentence(qb, write, connection) -> None:
    write("20240101_a.sql", "CREATE TABLE a (id int, b text)")
    qb("run")
    connection.execute("ALTER TABLE a ALTER b TYPE varchar(20), ADD COLUMN c int")
    report = qb("validate")
    assert report.exit_code == 1
    sentences = " | ".join(d.sentence() for d in report.validation.differences)
    assert "public.a.b" in sentences
    assert "character varying(20)" in sentences
    assert "public.a.c" in sentences


def test_columns_in_another_order_are_said_and_are_no_failure(qb, write, connection) -> None:
    write("20240101_a.sql", "CREATE TABLE a (id int, b text, c text)")
    qb("run")
    connection.execute("ALTER TABLE a DROP b; ALTER TABLE a ADD b text")
    report = qb("validate")
    assert report.ok
    assert "column order is id, c, b, expected id, b, c" in str(report)
    assert report.as_dict()["column_order"]
    connection.execute("ALTER TABLE a ADD d text")
    report = qb("validate")
    assert report.exit_code == 1
    assert "column order" in str(report)


def test_a_rolled_back_migration_is_not_expected(qb, write) -> None:
    write("20240101_a.sql", "-- qb:up\nCREATE TABLE a ();\n-- qb:down\nDROP TABLE a")
    qb("run")
    qb("rollback")
    assert qb("validate").ok


def test_a_half_applied_migration_is_expected_as_far_as_it_came(qb, write) -> None:
    write("20240101_a.sql", "CREATE TABLE a (id int); VACUUM nowhere; CREATE TABLE b ()")
    with pytest.raises(Exception, match="statement 2 failed"):
        qb("run")
    assert qb("validate").ok


def test_without_a_ledger_there_is_nothing_to_compare(qb) -> None:
    with pytest.raises(InputError, match="no migration was ever run"):
        qb("validate")
