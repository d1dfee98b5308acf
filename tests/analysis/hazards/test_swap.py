"""a column that gives way to another of its name, in one transaction, is nobody's loss"""

from __future__ import annotations

from tests.analysis.hazards.conftest import Lint

GIVEN = "CREATE TABLE t (a int, new_a bigint)"
SWAP = "ALTER TABLE t DROP COLUMN a;\nALTER TABLE t RENAME COLUMN new_a TO a;\n"


def test_a_swap_of_columns_drops_nothing_that_is_read(lint: Lint) -> None:
    together, apart = lint(SWAP, GIVEN), lint(SWAP, GIVEN, tx="none")
    assert "drop-column" not in {f.hazard for f in together}
    assert "drop-column" in {f.hazard for f in apart}
