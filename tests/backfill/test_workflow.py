"""the workflow on a real Temporal: short histories, orders, lanes that come and go"""

from __future__ import annotations

import json
import os

import pytest
from temporalio.client import WorkflowFailureError, WorkflowUpdateFailedError

from qb_engine.backfill.driving import resources
from tests.backfill.chains import Chain, kept, payloads
from tests.backfill.conftest import ID, Case, until

MOST_EVENTS = 2_000  # of a run, however many rows there are
BATCHES = int(os.environ.get("QB_TEST_BATCHES", "1500"))
"""Each stands for many rows; 10,000 full ones are a billion."""


def test_a_billion_rows_leave_short_histories_and_a_small_worker(driven: Case) -> None:
    """Each row stands for a full batch; slices and runs are cut as short as days would be long."""
    driven.counted(BATCHES)
    chain = Chain(driven)
    pid = chain.begin(driven.filling(batch_size=1, parallel=2), slice_s=0.3, events=40)
    fifth = f"SELECT count(*) > {BATCHES // 5} FROM qb.batch"
    until("a fifth is written", lambda: driven.one(fifth))
    early = resources.rss(pid)
    until("it ends", lambda: driven.one("SELECT state = 'completed' FROM qb.backfill"))
    ended = driven.progress()
    assert (ended.state, ended.rows_done) == ("completed", BATCHES)
    assert driven.writes() == {1: BATCHES}
    late = resources.rss(pid)
    assert chain.result() == "completed"
    runs = chain.runs()
    sizes = [len(run.events) for run in runs]
    kept("completed", runs[-1:])
    assert len(runs) > 2
    assert max(sizes) < 100 < MOST_EVENTS
    assert 0 < late < early * 1.2


def test_orders_through_temporal_go_to_the_ledger_first(driven: Case) -> None:
    driven.counted(3_000)
    chain = Chain(driven)
    driven.sql("ANALYZE t")
    chain.begin(driven.filling(slow=0.002, batch_size=20), slice_s=0.5, events=60)
    until("rows are written", lambda: driven.progress().rows_done > 0)
    assert chain.update("pause")["state"] == "paused"
    assert driven.sql("SELECT state, wanted FROM qb.backfill") == [("paused", "pause")]
    written = driven.writes()
    until("its lane has ended", lambda: not chain.state()["lanes"])
    assert driven.writes() == written
    assert chain.update("resume")["state"] == "running"
    until("rows are written again", lambda: driven.writes() != written)

    assert chain.update("tune", {"parallel": 3})["state"] == "running"
    until("more lanes run", lambda: chain.state()["lanes"] == [0, 1, 2])
    assert driven.one("SELECT parallel FROM qb.backfill") == 3
    chain.update("tune", {"parallel": 1})
    until("one lane is left", lambda: chain.state()["lanes"] == [0])
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        chain.update("tune", {"colour": "red"})
    assert "'colour' is nothing that can be tuned" in str(refused.value.__cause__)

    assert chain.update("cancel")["state"] == "cancelled"
    assert chain.result() == "cancelled"
    shown = {pair.key.name: pair.value for pair in chain.described().typed_search_attributes}
    assert (shown["QbMigration"], shown["QbTable"]) == (ID, "public.t")
    assert (shown["QbTarget"], shown["QbState"]) == ("test", "cancelled")
    assert set(driven.writes()) == {0, 1}
    runs = chain.runs()
    assert len(runs) > 1
    kept("orders", runs)
    said = [text for run in runs for text in payloads(run.to_json_dict())]
    assert max(map(len, said)) < 500


def test_a_failure_is_told_without_a_word_of_the_row(driven: Case) -> None:
    driven.counted(40)
    driven.sql("ALTER TABLE t ADD CONSTRAINT small CHECK (v <> 'v39')")
    chain = Chain(driven)
    chain.begin(driven.filling(batch_size=10))
    assert driven.ended().state == "failed"
    assert "v39" in driven.progress().error
    with pytest.raises(WorkflowFailureError):
        chain.result()
    (run,) = chain.runs()
    kept("failed", [run])
    text = json.dumps(run.to_json_dict())
    secret = driven.target.conninfo.partition("host=")[2].partition(" ")[0]
    said = [text, *(each.decode() for each in payloads(run.to_json_dict()))]
    assert not [each for each in said if "v39" in each or (secret and secret in each)]
