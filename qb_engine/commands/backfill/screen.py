"""a backfill's progress on a terminal: drawn in place, or as lines where there is none"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from qb_engine.backfill.reporting import telling
from qb_engine.report import format_seconds, format_value
from qb_engine.secrets import mask

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from qb_engine.backfill.reporting.measure import Progress, SegmentProgress

LINE_S = 2.0  # between two lines, where nothing but the rows has changed
REFRESH = 4  # a second
WIDTH = 40  # of the bar
NARROW = 16  # of a segment's
SHOWN = 12  # segments that have a bar of their own
BLOCKS = " ▁▂▃▄▅▆▇█"


@contextmanager
def watching(console: Console) -> Iterator[Callable[[Progress], None]]:
    """Show every progress that is given, until the context ends."""
    if not console.is_terminal:
        yield Lines(console).show
        return
    from rich.live import Live

    with Live(console=console, refresh_per_second=REFRESH, transient=True) as live:
        yield lambda found: live.update(drawn(found))


class Lines:
    """A line now and then: at once when the state or what it waits for changes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last: tuple[str, str] | None = None
        self._at = 0.0

    def show(self, found: Progress) -> None:
        waits = telling.waits(found)
        key = (found.state, found.holds[0].signal if found.holds else found.note)
        if key == self._last and time.monotonic() - self._at < LINE_S:
            return
        self._last, self._at = key, time.monotonic()
        text = f"{found.state}: {telling.rows(found)} ({found.fraction:.0%})"
        parts = [text, telling.pace(found), telling.counts(found), *waits]
        self._console.print(mask("; ".join(p for p in parts if p)), markup=False, soft_wrap=True)


def drawn(found: Progress) -> RenderableType:
    """The whole as something rich draws: bar, rate, range, why it waits, a bar per segment."""
    from rich.console import Group
    from rich.text import Text

    line = Text.assemble(
        (f"{found.state} ", "bold"),
        bar(found.fraction, WIDTH),
        f" {found.fraction:4.0%}  {telling.rows(found)} of {found.table}",
    )
    parts: list[RenderableType] = [Text(mask(f"backfill {found.id}"), style="italic"), line]
    facts = [telling.pace(found), f"rate {spark(found.rates)}" if len(found.rates) > 1 else ""]
    if found.batch_size:
        facts.append(f"{found.batch_size:,} rows a batch")
    facts += [telling.counts(found), f"{format_seconds(found.spent)} so far"]
    parts.append(Text("  " + "   ".join(each for each in facts if each), style="dim"))
    parts += [Text(f"  ! {mask(each)}", style="yellow") for each in telling.waits(found)]
    parts += [_segment(each) for each in shown(found)]
    hidden = len(_current(found)) - SHOWN
    if hidden > 0:
        done = sum(each.status == "done" for each in _current(found))
        parts.append(Text(f"  {hidden} more segments; {done} are done", style="dim"))
    parts.append(Text("  Ctrl-C ends the watching; the backfill goes on", style="dim"))
    return Group(*parts)


def shown(found: Progress) -> list[SegmentProgress]:
    """The segments of the current pass that get a bar: those that run first."""
    order = {"running": 0, "open": 1, "done": 2}
    chosen = sorted(_current(found), key=lambda each: (order[each.status], each.number))[:SHOWN]
    return sorted(chosen, key=lambda each: each.number)


def _current(found: Progress) -> list[SegmentProgress]:
    return [each for each in found.segments if each.sweep == found.sweeps]


def _segment(each: SegmentProgress) -> RenderableType:
    from rich.text import Text

    name = f"segment {each.number}" if not each.sweep else f"sweep {each.sweep}.{each.number}"
    rest = f" {each.share:4.0%} {each.status:<7} {format_value(each.rows_done, 'count')} rows"
    if each.part:
        rest += f" of {each.part}"
    if each.retries:
        rest += f", {each.retries} tried again"
    return Text.assemble(f"  {name:<12}", bar(each.share, NARROW), mask(rest))


def bar(share: float, width: int) -> str:
    """A bar that can be read without colour."""
    full = round(min(max(share, 0.0), 1.0) * width)
    return "█" * full + "░" * (width - full)


def spark(rates: tuple[float, ...]) -> str:
    """The rates of the recent past as a row of blocks."""
    top = max(rates, default=0.0)
    if top <= 0:
        return ""
    return "".join(BLOCKS[round(each / top * (len(BLOCKS) - 1))] for each in rates)
