"""a column that gives way to another of its name, in one transaction, is nobody's loss"""

from __future__ import annotations

from qb_engine.analysis.arrange import Tx
from qb_engine.analysis.lint import lint_text
from qb_engine.database.embedded import EmbeddedPostgres
from qb_engine.database.target import Target
from qb_engine.shadow import Scratch
from qb_engine.shadow.shadow import loaded

SWAP = "ALTER TABLE t DROP COLUMN a;\nALTER TABLE t RENAME COLUMN new_a TO a;\n"


def test_a_swap_of_columns_drops_nothing_that_is_read(server: EmbeddedPostgres) -> None:
    scratch = Scratch(Target("scratch", server.ensure()))
    with loaded(scratch, "CREATE TABLE t (a int, new_a bigint)") as shadow:
        together = lint_text(shadow, SWAP).findings
    with loaded(scratch, "CREATE TABLE t (a int, new_a bigint)") as shadow:
        apart = lint_text(shadow, SWAP, tx=Tx.NONE).findings
    assert "drop-column" not in {f.hazard for f in together}
    assert "drop-column" in {f.hazard for f in apart}
