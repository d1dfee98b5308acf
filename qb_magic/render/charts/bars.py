"""a horizontal bar per label, its value written behind it"""

from __future__ import annotations

from qb_engine.report import Bars
from qb_magic.render.charts.ink import BLUE, TITLE_HEIGHT, Pad, amount, width_of

ROW = 0.29
SIZE = 9
VALUE_ROOM = 0.95


def height(chart: Bars) -> float:
    return TITLE_HEIGHT + ROW * max(1, len(chart.labels)) + 0.12


def draw(chart: Bars, pad: Pad) -> None:
    """Draw labels on the left, bars to scale, values where the bars end."""
    pad.title(chart.title)
    widest = max((width_of(label, SIZE, mono=True) for label in chart.labels), default=0)
    left = min(widest, pad.width * 0.48) + 0.15
    room = pad.width - left - VALUE_ROOM
    top = max((v for v in chart.values), default=0) or 1
    for i, (label, value) in enumerate(zip(chart.labels, chart.values)):
        y = TITLE_HEIGHT + ROW * (i + 0.5)
        pad.write(0, y, label, size=SIZE, mono=True, room=left - 0.15)
        length = room * max(0.0, value) / top
        pad.box(left, y, length, ROW * 0.56, BLUE)
        pad.write(left + length + 0.08, y, amount(value, chart.unit), size=SIZE)
