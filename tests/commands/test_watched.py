"""looks from outside become a timeline, a table and a phrase; pure"""

from __future__ import annotations

from qb_engine.commands._watched import kept_waiting, live, timeline, waited_for
from qb_engine.execution import Lock, Observation
from qb_engine.execution.progress import Progress
from qb_engine.execution.sample import Sample, Waiting, thinned, waits


def looked(at: float, *blocked: Waiting, **more: object) -> Sample:
    held = {"public.a": "AccessExclusiveLock"}
    return Sample(at, 1, **{"held": held, "blocked": blocked} | more)  # type: ignore[arg-type]


def shop(seconds: float) -> Waiting:
    return Waiting(7, "shop", seconds, "SELECT 1", "AccessShareLock on public.a")


def observed(number: int, start: float, until: float, *, relation: str = "public.a") -> Observation:
    locks = (Lock(relation, "AccessExclusiveLock"),)
    sql = "ALTER TABLE a ADD b int"
    return Observation(
        number, sql, "", "m.sql", 1, until - start, start, held_until=until, locks=locks
    )


def test_a_wait_is_one_wait_however_often_it_is_seen() -> None:
    found = waits([looked(1.0, shop(0.5)), looked(1.2, shop(0.7)), looked(1.4, shop(0.9))])
    assert [(wait.start, wait.end, wait.seconds) for wait in found] == [(0.5, 1.4, 0.9)]


def test_a_session_that_waits_again_waits_twice() -> None:
    found = waits([looked(1.0, shop(0.5)), looked(1.2), looked(9.0, shop(0.2)), looked(9.4)])
    assert [wait.seconds for wait in found] == [0.5, 0.2]
    found = waits([looked(1.0, shop(0.5)), looked(9.0, shop(0.6))])
    assert [round(wait.start, 1) for wait in found] == [8.4, 0.5]


def test_a_run_without_looks_is_drawn_from_its_observations() -> None:
    drawn = timeline("m", [observed(1, 0.0, 2.0)])
    assert drawn is not None
    assert [(s.lane, s.start, s.end, s.label) for s in drawn.spans] == [
        ("public.a", 0.0, 2.0, "ACCESS EXCLUSIVE")
    ]
    assert timeline("m", []) is None


def test_an_attempt_that_was_given_up_is_drawn_before_the_one_that_was_kept() -> None:
    samples = [
        looked(0.2, shop(0.1)),
        looked(0.5, shop(0.4), cancelled=True),
        looked(0.6, held={}),
        looked(2.2),
        looked(2.4, held={}),
    ]
    drawn = timeline("m", [observed(1, 2.0, 2.4)], samples)
    assert drawn is not None
    spans = [(s.lane, round(s.start, 1), round(s.end, 1), s.label) for s in drawn.spans]
    assert spans == [
        ("public.a", 1.9, 2.3, "ACCESS EXCLUSIVE"),
        ("public.a", 0.1, 0.5, "ACCESS EXCLUSIVE (given up)"),
        ("pid 7 (shop)", 0.0, 0.4, "waits 400 ms, cancelled"),
    ]


def test_what_was_looked_at_and_observed_is_drawn_once() -> None:
    drawn = timeline("m", [observed(1, 0.0, 1.0)], [looked(0.2), looked(0.8), looked(1.1, held={})])
    assert drawn is not None
    assert len(drawn.spans) == 1


def test_who_was_kept_waiting_is_a_short_table() -> None:
    many = [looked(1.0, *(Waiting(pid, "shop", pid / 100, "SELECT 1") for pid in range(50, 0, -1)))]
    table = kept_waiting([observed(1, 0.0, 1.0)], many)
    assert table is not None
    assert table.title == "kept waiting (the longest 20 of 50 waits)"
    assert table.rows[0] == (
        *("pid 50 (shop)", "SELECT 1", None, 0.5, "1 ALTER TABLE a ADD b int", None),
    )
    assert kept_waiting([], [looked(1.0)]) is None


def test_who_was_in_the_way_is_named_once_for_each_statement() -> None:
    tool = [Waiting(9, "support tool", age, "UPDATE a SET b = 1") for age in (0.4, 1.1)]
    samples = [looked(0.2, waits_for=tool[:1]), looked(0.9, waits_for=tool[1:]), looked(1.4)]
    table = waited_for([observed(1, 1.3, 1.4)], samples)
    assert table is not None
    assert table.rows == (
        ("pid 9 (support tool)", 1.1, "UPDATE a SET b = 1", "1 ALTER TABLE a ADD b int"),
    )
    assert waited_for([], [looked(1.0)]) is None


def test_a_look_is_a_phrase_for_the_progress_bar() -> None:
    progress = Progress("CREATE INDEX", "a", "building index", 43, 100)
    text = live(looked(1.0, shop(1.2), progress=progress, waits_for=(Waiting(9, "dump", 60.0),)))
    assert text == (
        "CREATE INDEX on a: building index, 43%; waits for pid 9 (dump); "
        "1 session waits for it, 1.2 s"
    )
    assert live(looked(1.0)) == ""


def test_of_very_many_looks_the_telling_ones_are_kept() -> None:
    samples = [looked(at / 10, cancelled=at == 777) for at in range(10_000)]
    kept = thinned(samples, 100)
    assert len(kept) <= 101
    assert any(sample.cancelled for sample in kept)
    assert thinned(samples[:5], 100) == tuple(samples[:5])
