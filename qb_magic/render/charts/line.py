"""one quantity over another, as a line"""

from __future__ import annotations

from qb_engine.report import Line
from qb_magic.render.charts.ink import BLUE, FAINT, TEXT, TITLE_HEIGHT, Pad

PLOT = 1.7
BELOW = 0.5
LEFT = 0.75


def height(chart: Line) -> float:
    return TITLE_HEIGHT + PLOT + BELOW + 0.1


def draw(chart: Line, pad: Pad) -> None:
    """Draw the line on axes of its own, both named in words."""
    pad.title(f"{chart.title} ({chart.y_label})" if chart.y_label else chart.title)
    below = (pad.height - TITLE_HEIGHT - PLOT) / pad.height
    wide = (pad.width - LEFT - 0.15) / pad.width
    axes = pad.axes.inset_axes((LEFT / pad.width, below, wide, PLOT / pad.height))
    axes.set_facecolor("none")
    axes.fill_between(chart.xs, chart.ys, color=BLUE, alpha=0.2, linewidth=0)
    few = len(chart.xs) <= 40
    axes.plot(chart.xs, chart.ys, color=BLUE, linewidth=1.8, marker="o" if few else "", ms=3.5)
    axes.set_ylim(bottom=0)
    axes.margins(x=0.01)
    axes.grid(axis="y", color=FAINT, linewidth=0.4)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(FAINT)
    axes.tick_params(colors=TEXT, labelsize=8.5)
    axes.yaxis.set_major_formatter(lambda value, _position: f"{value:,.6g}")
    axes.set_xlabel(chart.x_label, color=TEXT, fontsize=8.5, parse_math=False)
