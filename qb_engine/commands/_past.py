"""charts of a recorded run: the time of its statements, the locks it held, whom it kept waiting"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from qb_engine.commands._steps import short
from qb_engine.report import Bars, Chart, Line, Span, Timeline

if TYPE_CHECKING:
    from qb_engine.ledger import PartRow, StepRow
    from qb_engine.ledger.past import Seen


def charts(
    title: str, steps: Sequence[StepRow], parts: Sequence[PartRow], seen: Sequence[Seen]
) -> list[Chart]:
    """What can be drawn of a run; nothing of one whose statements took no time."""
    ran = [s for s in steps if s.status == "done" and s.seconds is not None]
    found: list[Chart] = []
    if len(ran) > 1:
        labels = tuple(f"{s.number} {short(s.sql, 34)}" for s in ran)
        found.append(
            Bars(f"{title}: time per statement", labels, tuple(s.seconds or 0.0 for s in ran))
        )
    if spans := tuple(_sampled(seen) if seen else _worked_out(ran, parts)):
        found.append(Timeline(f"{title}: locks held", spans))
    if any(each.blocked for each in seen):
        found.append(
            Line(
                f"{title}: sessions kept waiting",
                tuple(each.at for each in seen),
                tuple(float(each.blocked) for each in seen),
                y_label="sessions",
            )
        )
    return found


def lock_lines(locks: dict[str, str]) -> str:
    """Locks as lines of text: the mode as the documentation writes it, and the relation."""
    from qb_engine.execution import Lock

    return "\n".join(f"{Lock(name, mode).sql_mode} {name}" for name, mode in locks.items())


def _sampled(seen: Sequence[Seen]) -> Iterator[Span]:
    """Spans from what was looked at: a lock lasts as long as consecutive looks see it."""
    names = dict.fromkeys(name for each in seen for name in each.held)
    for name in names:
        for mode, looks in groupby(enumerate(seen), key=lambda pair: pair[1].held.get(name)):
            if mode is None:
                continue
            group = list(looks)
            after = group[-1][0] + 1  # it may have lasted until the next look
            end = seen[min(after, len(seen) - 1)].at
            yield _span(name, group[0][1].at, end, mode)


def _worked_out(ran: Sequence[StepRow], parts: Sequence[PartRow]) -> Iterator[Span]:
    """Spans from the statements' times: a transaction holds its locks to its end."""
    one = {part.file for part in parts if part.transaction == "one"}
    now = 0.0
    for (_, together), group in groupby(ran, key=lambda s: (s.part, s.part in one)):
        steps = list(group)
        end = now + sum(s.seconds or 0.0 for s in steps)
        for step in steps:
            until = end if together else now + (step.seconds or 0.0)
            for name, mode in step.locks.items():
                yield _span(name, now, until, mode)
            now += step.seconds or 0.0


def _span(name: str, start: float, end: float, mode: str) -> Span:
    from qb_engine.execution import Lock
    from qb_engine.execution.observation import strength

    return Span(name, start, end, Lock(name, mode).sql_mode, max(strength(mode), 1))
