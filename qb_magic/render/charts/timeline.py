"""spans in lanes over time: which lock was held, on what, from when to when"""

from __future__ import annotations

from qb_engine.report import Span, Timeline
from qb_magic.render.charts.ink import TITLE_HEIGHT, Pad, amount, ticks, tone, width_of

ROW = 0.36
LANE_GAP = 0.12
AXIS = 0.34
SIZE = 8.5
LABEL_GAP = 0.12


def height(chart: Timeline) -> float:
    lanes = rows(chart.spans)
    return TITLE_HEIGHT + sum(ROW * len(packed) + LANE_GAP for packed in lanes.values()) + AXIS


def draw(chart: Timeline, pad: Pad) -> None:
    """Draw each span as a bar under its label, lanes named on the left, seconds below."""
    pad.title(chart.title)
    lanes = rows(chart.spans)
    widest = max((width_of(lane, SIZE, mono=True) for lane in lanes), default=0)
    left = min(widest, pad.width * 0.35) + 0.2
    room = pad.width - left - 0.1
    top = max((span.end for span in chart.spans), default=0) or 1
    y = TITLE_HEIGHT
    for lane, packed in lanes.items():
        pad.write(0, y + ROW * 0.5, lane, size=SIZE, mono=True, bold=True, room=left - 0.2)
        for row in packed:
            free = left  # from here on no label stands yet
            for span in sorted(row, key=lambda span: span.start):
                free = _span(pad, span, y, left=left, scale=room / top, free=free)
            y += ROW
        y += LANE_GAP
        pad.line((0, pad.width), (y - LANE_GAP * 0.4,) * 2, width=0.3)
    for tick in ticks(top):
        x = left + room * tick / top
        pad.line((x, x), (TITLE_HEIGHT, y), width=0.4)
        pad.write(x, y + 0.14, amount(tick, "seconds") if tick else "0", size=8, align="center")


def _span(pad: Pad, span: Span, y: float, *, left: float, scale: float, free: float) -> float:
    """Draw a bar, and its label where it has room; where the next label may begin.

    A label moves left at the right edge, and right behind the one before it as long as it stands
    over its own bar. Where it does not fit, colour and hatching tell the mode.
    """
    color, hatch = tone(span.weight)
    x, length = left + span.start * scale, (span.end - span.start) * scale
    pad.box(x, y + ROW * 0.74, length, ROW * 0.34, color, hatch)
    wide = width_of(span.label, SIZE, mono=False)
    start = max(min(x, pad.width - wide), free)
    if free > left and (start > x + length or start + wide > pad.width):
        return free
    pad.write(start, y + ROW * 0.3, span.label, size=SIZE, room=pad.width - left)
    return start + wide + LABEL_GAP


def rows(spans: tuple[Span, ...]) -> dict[str, list[list[Span]]]:
    """Spans by lane, and in each lane by rows in which none overlaps another."""
    lanes: dict[str, list[list[Span]]] = {}
    for span in spans:
        packed = lanes.setdefault(span.lane, [])
        for row in packed:
            if all(span.start >= other.end or span.end <= other.start for other in row):
                row.append(span)
                break
        else:
            packed.append([span])
    return lanes
