"""every hazard's own examples: the bad one has it, the good one does not"""

from __future__ import annotations

import pytest

from qb_engine.analysis.hazards import Hazard, all_hazards
from tests.analysis.hazards.conftest import Lint

HAZARDS = [record for record, _ in all_hazards()]


@pytest.mark.parametrize("hazard", HAZARDS, ids=lambda h: h.id)
def test_the_bad_example_has_it(hazard: Hazard, lint: Lint) -> None:
    found = lint(hazard.bad, given=hazard.given, tx=_tx(hazard), version=hazard.version)
    assert hazard.id in {f.hazard for f in found}


@pytest.mark.parametrize("hazard", [h for h in HAZARDS if h.good], ids=lambda h: h.id)
def test_the_good_example_does_not(hazard: Hazard, lint: Lint) -> None:
    """Its statements commit one by one, where it does not say BEGIN itself."""
    own = "BEGIN" in hazard.good
    tx = "explicit" if own else "none"
    found = lint(hazard.good, given=hazard.given, tx=tx, version=hazard.version)
    assert hazard.id not in {f.hazard for f in found}
    assert not [f.message for f in found if f.hazard.startswith("data-")]


@pytest.mark.parametrize("hazard", HAZARDS, ids=lambda h: h.id)
def test_it_says_what_it_means_and_what_to_do(hazard: Hazard) -> None:
    assert all([hazard.title, hazard.fix, hazard.bad])
    assert hazard.meaning.endswith(".")


def _tx(hazard: Hazard) -> str | None:
    return None if hazard.tx == "runner" else hazard.tx
