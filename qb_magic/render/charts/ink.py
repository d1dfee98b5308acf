"""what all charts draw with: a pad measured in inches, colours that work on light and on dark"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from qb_engine.report import Kind, exact_seconds, format_value
from qb_engine.secrets import mask

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Mid tones: each has a contrast of at least 3.5 on white and on JupyterLab's dark grey.
TEXT = "#7c7c7c"
FAINT = "#9a9a9a"
BLUE = "#3f87d0"
# By strength: weak locks blue, those that stop writers amber, those that stop everybody red.
TONES = ("#3f87d0", "#2f9485", "#c77f1c", "#d8434e")
HATCHES = ("", "//", "xx", "")

TITLE_HEIGHT = 0.36
MONO_ADVANCE = 0.602 / 72  # inches per character and point of DejaVu Sans Mono
SANS_ADVANCE = 0.56 / 72  # the same for DejaVu Sans, on average
WIDE_ADVANCE = 0.70 / 72  # ... and for its capitals


@dataclass(frozen=True)
class Pad:
    """A blank area whose coordinates are inches, the origin at its upper left."""

    axes: Axes
    width: float
    height: float

    def write(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float = 9,
        color: str = TEXT,
        bold: bool = False,
        mono: bool = False,
        align: Literal["left", "right", "center"] = "left",
        room: float | None = None,
    ) -> float:
        """Write a line of text centred on `y`, cut to `room` inches; return its width."""
        shown = fit(text, size, mono=mono, room=room)
        self.axes.text(
            x,
            y,
            shown,
            fontsize=size,
            color=color,
            fontweight="bold" if bold else "normal",
            fontfamily="DejaVu Sans Mono" if mono else "DejaVu Sans",
            ha=align,
            va="center_baseline",
            parse_math=False,
        )
        return width_of(shown, size, mono=mono)

    def title(self, text: str) -> None:
        self.write(0, TITLE_HEIGHT / 2, text, size=10.5, bold=True, room=self.width)

    def box(
        self, x: float, y: float, width: float, height: float, color: str, hatch: str = ""
    ) -> None:
        """Fill a rectangle whose left edge is at `x` and whose middle is at `y`."""
        from matplotlib.patches import Rectangle

        patch = Rectangle(
            (x, y - height / 2),
            max(width, 0.02),
            height,
            facecolor=color,
            edgecolor="#ffffffa0" if hatch else color,
            linewidth=0,
            hatch=hatch,
        )
        self.axes.add_patch(patch)

    def line(
        self, xs: tuple[float, ...], ys: tuple[float, ...], color: str = FAINT, width: float = 0.8
    ) -> None:
        self.axes.plot(xs, ys, color=color, linewidth=width, solid_capstyle="butt", zorder=0.5)


def amount(value: float, unit: Kind) -> str:
    """A value with its unit. Pictures are never compared, so durations are exact here."""
    return exact_seconds(value) if unit == "seconds" else format_value(value, unit)


def width_of(text: str, size: float, *, mono: bool) -> float:
    """About how many inches a text takes."""
    if mono:
        return len(text) * size * MONO_ADVANCE
    return sum(WIDE_ADVANCE if c.isupper() else SANS_ADVANCE for c in text) * size


def fit(text: str, size: float, *, mono: bool, room: float | None) -> str:
    """A text on one line, masked, cut with an ellipsis to fit into `room` inches."""
    shown = mask(" ".join(text.split()))
    if room is None or width_of(shown, size, mono=mono) <= room:
        return shown
    while shown and width_of(shown + "…", size, mono=mono) > room:
        shown = shown[:-1]
    return shown.rstrip() + "…"


def tone(weight: int) -> tuple[str, str]:
    """Colour and hatch for a strength from 1 to 8."""
    step = 0 if weight <= 3 else 1 if weight <= 5 else 2 if weight <= 7 else 3
    return TONES[step], HATCHES[step]


def ticks(top: float, about: int = 5) -> list[float]:
    """Round numbers from 0 up to `top`, about so many."""
    if top <= 0:
        return [0.0]
    power = 10.0
    raw = top / about
    scale = 1.0
    while raw < 1:
        raw, scale = raw * power, scale / power
    while raw >= power:
        raw, scale = raw / power, scale * power
    step = next(nice for nice in (1, 2, 2.5, 5, 10) if raw <= nice) * scale
    return [i * step for i in range(int(top / step + 1e-9) + 1)]
