"""in a dry run, too, an error is drawn under the statement as it stands in the file"""

from __future__ import annotations

from typing import Any


def test_the_caret_stands_under_the_word(qb: Any, write: Any) -> None:
    write("20240101_a.sql", "CREATE TABLE a (id int);\nUPDATE a SET wrong = 1;")
    report = qb("dryrun")
    assert not report.ok
    notes = report.notes()
    caret = next(i for i, line in enumerate(notes) if line.strip() == "^")
    assert notes[caret].index("^") == notes[caret - 1].index("wrong")
