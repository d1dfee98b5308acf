"""how long statements will take: ranges that hold, from what was measured, and none without it"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest

from qb_engine.analysis.calibrate import calibrated
from qb_engine.analysis.estimate import (
    CHANGE,
    NO_WORK_S,
    Rate,
    Rates,
    estimate,
    history,
    rates_of,
    with_seconds,
)
from qb_engine.analysis.facts import Examined, Facts, Figures, Work, WorkKind
from qb_engine.database.embedded import EmbeddedPostgres
from qb_engine.database.target import Target
from qb_engine.ledger.install import ensure
from qb_engine.shadow import Scratch
from qb_engine.sql import read_one

RATES = Rates({
    "rewrites": Rate(rows_per_s=1e5, bytes_per_s=1e7),
    "verifies": Rate(rows_per_s=1e6, bytes_per_s=1e8),
    "builds": Rate(rows_per_s=1e6, bytes_per_s=1e8, low=0.5, high=2.0),
    "rebuilds": Rate(rows_per_s=1e6, bytes_per_s=1e8),
    CHANGE: Rate(rows_per_s=1e4, low=0.5, high=2.0),
})  # fmt: skip


def step(
    sql: str,
    *work: Work,
    rows: float | None = None,
    figures: Mapping[str, Figures] | None = None,
    outside: str = "",
) -> Examined:
    facts = Facts(work=work, rows=rows, figures=figures or {}, refuses_transaction=outside)
    return Examined(1, read_one(sql), "migration", 1, facts)


BIG = {"public.big": Figures(rows=1e6, bytes=300_000_000, table_bytes=100_000_000)}
ALTER = "ALTER TABLE big ALTER id TYPE bigint"


def test_work_is_scaled_by_rows_and_bytes() -> None:
    verified = step(ALTER, Work(WorkKind.VERIFY, "public.big"), figures=BIG)
    low, high = estimate(verified, RATES) or (0, 0)
    assert (low, high) == (1.0, 1.0 + NO_WORK_S)


def test_a_rewrite_counts_its_indexes_once() -> None:
    indexed = {**BIG, "public.big_pkey": Figures("index", bytes=100_000_000)}
    rewrite = Work(WorkKind.REWRITE, "public.big")
    rebuild = Work(WorkKind.REBUILD, "public.big", index="public.big_pkey")
    found = estimate(step(ALTER, rewrite, rebuild, figures=indexed), RATES)
    assert found == (10.0 + 1.0, 20.0 + 1.0 + NO_WORK_S)


def test_what_changes_only_the_catalog_takes_no_time_to_speak_of() -> None:
    proved = Work(WorkKind.PROVED, "public.big", column="id")
    assert estimate(step(ALTER, proved), Rates()) == (0.0, NO_WORK_S)


def test_nothing_is_guessed_of_what_nobody_knows_the_size_of() -> None:
    verify = Work(WorkKind.VERIFY, "public.big")
    assert estimate(step(ALTER, verify), RATES) is None
    assert estimate(step(ALTER, verify, figures=BIG), Rates()) is None
    assert estimate(step("DELETE FROM big", rows=10), Rates()) is None


def test_rows_that_are_changed_cost_by_their_number() -> None:
    assert estimate(step("DELETE FROM big", rows=1e5), RATES) == (5.0, 20.0 + NO_WORK_S)
    unplanned = estimate(step("DELETE FROM big", figures=BIG), RATES)
    assert unplanned == (0.0, 200.0 + NO_WORK_S)


def test_a_concurrent_build_takes_longer_than_a_plain_one() -> None:
    build = Work(WorkKind.BUILD, "public.big", index="public.i")
    plain = estimate(step("CREATE INDEX i ON big (id)", build, figures=BIG), RATES)
    sql = "CREATE INDEX CONCURRENTLY i ON big (id)"
    concurrent = estimate(step(sql, build, figures=BIG, outside="it is concurrent"), RATES)
    assert plain is not None
    assert concurrent is not None
    assert concurrent[1] > plain[1]


def test_steps_that_ran_tell_how_fast_this_target_is() -> None:
    sizes = {"public.users": Figures(table_bytes=50_000_000)}
    found = rates_of(
        [
            ("UPDATE users SET a = 1", 2.0, 20_000, 5_000_000),
            ("UPDATE users SET a = 2", 1.0, 20_000, 5_000_000),
            ("UPDATE users SET a = 2 WHERE id = 7", 1.0, 1, 5_000),
            ("ALTER TABLE users ALTER id TYPE bigint", 2.0, None, 100_000_000),
            ("ALTER TABLE users ADD b int", 2.0, None, 1_000),
            ("CREATE INDEX i ON users (a)", 0.5, None, 10_000_000),
            ("not SQL", 0.5, None, None),
        ],
        sizes,
    ).by_kind
    assert found[CHANGE].rows_per_s == pytest.approx(15_000)
    assert found["rewrites"].bytes_per_s == pytest.approx(5e7)
    assert found["builds"].bytes_per_s == found["rebuilds"].bytes_per_s == pytest.approx(1e8)
    assert "verifies" not in found


def test_a_target_without_a_ledger_has_no_history(
    connection: psycopg.Connection[tuple[Any, ...]],
) -> None:
    assert history(connection) == Rates()


def test_the_ledger_is_the_history(
    connection: psycopg.Connection[tuple[Any, ...]], database: Target
) -> None:
    ensure(connection, database)
    connection.execute("""
        INSERT INTO qb.history (migration, name, checksum, direction, status, qb_version)
        VALUES ('m', 'm', '', 'up', 'applied', '0');
        INSERT INTO qb.step (run, number, part, sql, status, transactional, seconds, rows)
        VALUES (1, 1, 'migration', 'UPDATE users SET a = 1', 'done', true, 2, 50000)
    """)
    assert history(connection).by_kind[CHANGE].rows_per_s == 25_000


def test_a_measurement_is_made_once_and_kept(server: EmbeddedPostgres, tmp_path: Path) -> None:
    scratch = Scratch(Target("scratch", server.ensure()))
    file = tmp_path / "calibration.json"
    first = calibrated(scratch, file)
    kept = file.read_text()
    assert calibrated(scratch, file) == first
    assert file.read_text() == kept
    assert {str(kind) for kind in WorkKind if kind is not WorkKind.PROVED} < set(first.by_kind)
    file.write_text("{broken")
    assert calibrated(scratch, file).by_kind.keys() == first.by_kind.keys()


def test_the_estimate_of_real_work_holds_it(
    server: EmbeddedPostgres, tmp_path: Path, connection: psycopg.Connection[tuple[Any, ...]]
) -> None:
    """A range is honest when work of ten times the measured size lies below its upper end."""
    rates = calibrated(Scratch(Target("scratch", server.ensure())), tmp_path / "calibration.json")
    known = {"public.big": Figures(rows=4e5, bytes=40_000_000, table_bytes=40_000_000)}
    verify = step(ALTER, Work(WorkKind.VERIFY, "public.big"), figures=known)
    (found,) = with_seconds([verify], rates)
    assert found.facts.seconds is not None
    low, high = found.facts.seconds
    assert 0 < low < high < 600
