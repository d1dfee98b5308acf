"""workflows that run while qb is upgraded: what they did before is what the new code would do"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from qb_engine.backfill.driving.converting import CONVERTER
from qb_engine.backfill.driving.workflow import BackfillWorkflow
from tests.backfill.chains import HISTORIES, payloads

ALL = sorted(HISTORIES.glob("*.json"))


def history(file: Path) -> WorkflowHistory:
    return WorkflowHistory.from_json("qb-backfill-test", file.read_text())


@pytest.mark.parametrize("file", ALL, ids=lambda file: file.stem)
def test_what_an_older_worker_began_goes_on_with_this_one(file: Path) -> None:
    replayer = Replayer(workflows=[BackfillWorkflow], data_converter=CONVERTER)
    asyncio.run(replayer.replay_workflow(history(file)))


def test_a_change_that_is_not_patched_would_be_noticed() -> None:
    """The replay tells two histories apart: it does not nod at everything."""
    text = (HISTORIES / "orders-0.json").read_text()
    assert '"qb-backfill-lane"' in text
    other = WorkflowHistory.from_json("x", text.replace('"qb-backfill-lane"', '"qb-backfill-row"'))
    with pytest.raises(Exception, match=r"[Nn]ondeterminism"):
        asyncio.run(Replayer(workflows=[BackfillWorkflow]).replay_workflow(other))


def test_histories_hold_no_row_no_address_and_no_path() -> None:
    assert len(ALL) >= 3
    for file in ALL:
        text = file.read_text()
        said = [text, *(each.decode() for each in payloads(history(file).to_json_dict()))]
        for word in (
            "v39",
            "conninfo",
            "password",
            "host=",
            "postgresql://",
            "site-packages",
            ".py",
        ):
            assert not [each for each in said if word in each], (file.name, word)
        assert max(len(each) for each in said[1:]) < 400
