"""charts stacked in one figure, and the figure as a PNG with a transparent background"""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qb_engine.report import Bars, Chart, Line, Timeline, Tree
from qb_magic.render.charts import bars, line, timeline, tree
from qb_magic.render.charts.ink import Pad

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH = 8.0  # inches
MARGIN = 0.08
GAP = 0.18
DPI = 160
CSS_DPI = 96

KINDS: dict[type[Any], tuple[Callable[[Any], float], Callable[[Any, Pad], None]]] = {
    Bars: (bars.height, bars.draw),
    Timeline: (timeline.height, timeline.draw),
    Tree: (tree.height, tree.draw),
    Line: (line.height, line.draw),
}

_fonts = threading.Lock()  # matplotlib's font cache and the warning filters are global


@dataclass(frozen=True)
class Picture:
    """A PNG with its size in CSS pixels and the words that stand for it."""

    png: bytes
    width: int
    height: int
    alt: str


def figure(charts: Sequence[Chart]) -> Figure:
    """All charts, one below the other, in one figure."""
    from matplotlib.figure import Figure

    heights = [KINDS[type(chart)][0](chart) for chart in charts]
    total = sum(heights) + GAP * (len(heights) - 1) + 2 * MARGIN
    made = Figure(figsize=(WIDTH, total), dpi=DPI)
    made.patch.set_alpha(0)
    y = total - MARGIN
    for chart, tall in zip(charts, heights):
        wide = WIDTH - 2 * MARGIN
        axes = made.add_axes((MARGIN / WIDTH, (y - tall) / total, wide / WIDTH, tall / total))
        axes.set_axis_off()
        axes.set_xlim(0, wide)
        axes.set_ylim(tall, 0)
        axes.set_autoscale_on(False)
        KINDS[type(chart)][1](chart, Pad(axes, wide, tall))
        y -= tall + GAP
    return made


def picture(charts: Sequence[Chart]) -> Picture | None:
    """All charts as one PNG; None when there is nothing to draw."""
    if not charts:
        return None
    out = io.BytesIO()
    with _fonts, warnings.catch_warnings():
        # a name in a script that the font lacks is drawn as a box; the table has it in full
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        made = figure(charts)
        made.savefig(out, format="png", dpi=DPI, metadata={"Software": None})
    wide, tall = made.get_size_inches()
    alt = "; ".join(chart.title for chart in charts)
    return Picture(out.getvalue(), round(wide * CSS_DPI), round(tall * CSS_DPI), alt)
