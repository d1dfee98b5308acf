"""charts as pictures: one module per kind of chart, drawn on a matplotlib Figure, never on pyplot.

A kind gives `height(chart)` in inches and `draw(chart, pad)`; `figure` stacks them and makes PNG.
"""

from __future__ import annotations

from qb_magic.render.charts.figure import Picture, figure, picture

__all__ = ["Picture", "figure", "picture"]
