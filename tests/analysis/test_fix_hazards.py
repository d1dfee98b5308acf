"""every hazard with a recipe: its own bad example is fixed, and has it no more"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from qb_engine.analysis.fixing import Fixed, Ground, fix
from qb_engine.analysis.hazards import Circumstances, all_hazards
from qb_engine.database.embedded import EmbeddedPostgres
from qb_engine.database.target import Target
from qb_engine.migrations import load_one
from qb_engine.shadow import Scratch
from qb_engine.shadow.shadow import loaded
from tests.analysis.hazards.conftest import GIVEN

Fix = Callable[..., Fixed]
HAZARDS = {record.id: record for record, _ in all_hazards()}
RECIPES = [
    "add-column-rewrite", "add-not-null-no-default", "check-scan", "concurrently-on-partitioned",
    "domain-constraint-scan", "enum-value-used-in-same-tx", "fk-missing-index", "fk-scan",
    "index-build-blocks-writes", "index-drop-blocks", "matview-no-unique-index",
    "matview-refresh-blocks", "multi-table-access-exclusive", "not-null-scan",
    "partition-attach-scan", "partition-create-blocks", "partition-default-scan",
    "partition-detach-blocks", "pk-index-build", "pk-nullable-columns-scan", "reindex-blocks",
    "rename-table", "replace-index-window", "type-change-index-rebuild",
    "type-change-revalidates-check", "type-change-rewrite", "unique-index-build",
    "validate-under-strong-lock",
]  # fmt: skip
# what is said of it is all that can be done
NONE = ["exclusion-constraint-build", "rename-column", "unsupported-with-default-partition"]


@pytest.fixture
def fixed(server: EmbeddedPostgres, tmp_path: Path) -> Fix:
    """Fix the bad example of a hazard, on its own schema."""

    def made(id: str) -> Fixed:
        hazard = HAZARDS[id]
        path = tmp_path / "20240101000000_it.sql"
        path.write_text(hazard.bad, encoding="utf-8")
        scratch = Scratch(Target("scratch", server.ensure()))
        with loaded(scratch, hazard.given or GIVEN) as shadow:
            return fix(load_one(path), Ground(shadow, Circumstances(version=150000)))

    return made


@pytest.mark.parametrize("id", RECIPES)
def test_a_bad_example_is_made_good(fixed: Fix, id: str) -> None:
    found = fixed(id)
    assert found.proof.why == ""
    assert found.files
    assert id in {finding.hazard for finding in found.proof.before}
    assert id not in {f.hazard for f in found.proof.after if not f.accepted}
    assert not found.proof.left


@pytest.mark.parametrize("id", NONE)
def test_what_has_no_safe_way_is_said_and_not_written(fixed: Fix, id: str) -> None:
    found = fixed(id)
    assert not found.files
    assert [each.reason for each in found.left] != []
