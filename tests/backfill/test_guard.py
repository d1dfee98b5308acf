"""the plan of a batch is looked at: it uses the key, or it is told"""

from __future__ import annotations

import pytest

from qb_engine.backfill import records
from qb_engine.backfill.batches import guard
from qb_engine.backfill.batches.batch import Held
from qb_engine.backfill.spec import Spec, describe
from qb_engine.errors import RefusedError
from tests.backfill.conftest import ID, Case


def spec_of(case: Case, rows: int = 5_000) -> Spec:
    case.counted(rows)
    case.sql("ANALYZE t")
    migration = case.filling()
    case.written_down(migration)
    return describe(case.conn, migration)


def held(spec: Spec) -> Held:
    return Held(spec.id, 0, 1, ["100"], ["4000"], None)


def test_a_batch_that_uses_the_key_is_kept_as_it_was_explained(case: Case) -> None:
    spec = spec_of(case)
    guard.Guard().before(case.conn, spec, held(spec), 50)
    (kept,) = case.sql("SELECT explained FROM qb.backfill")[0]
    assert kept["ok"]
    assert "Index Scan using t_pkey on t" in kept["node"] or "Bitmap" in kept["node"]
    assert "id" in kept["condition"]


def test_a_plan_that_reads_a_large_table_is_mended_where_it_can_be(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of(case)
    monkeypatch.setattr(guard, "SMALL", 1)
    case.sql("SET random_page_cost = 1e4; SET cpu_index_tuple_cost = 1e4")
    watch = guard.Guard()
    watch.before(case.conn, spec, held(spec), 50)
    assert case.one("SHOW enable_seqscan") == "off"
    assert case.one("SELECT explained ->> 'remedy' FROM qb.backfill") == guard.OFF
    watch.close(case.conn)
    assert case.one("SHOW enable_seqscan") == "on"


def test_a_plan_that_cannot_be_mended_stops_a_large_one_and_not_a_small_one(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of(case)
    case.sql("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 't_pkey'::regclass")
    guard.Guard().before(case.conn, spec, held(spec), 50)
    assert case.one("SELECT explained ->> 'node' FROM qb.backfill") == "Seq Scan on t"
    monkeypatch.setattr(guard, "SMALL", 1)
    monkeypatch.setattr(guard, "LARGE", 1)
    with pytest.raises(RefusedError, match="would read all of public"):
        guard.Guard().before(case.conn, spec, held(spec), 50)
    assert records.read(case.conn, ID) is not None


def test_it_looks_seldom_and_after_a_batch_that_took_too_long(case: Case) -> None:
    spec = spec_of(case)
    watch = guard.Guard()
    watch.before(case.conn, spec, held(spec), 50)
    case.sql("UPDATE qb.backfill SET explained = NULL")
    for _ in range(guard.EVERY):
        watch.before(case.conn, spec, held(spec), 50)
    assert case.one("SELECT explained FROM qb.backfill") is None
    watch.before(case.conn, spec, held(spec), 50)
    assert case.one("SELECT explained FROM qb.backfill") is not None
