"""charts as pictures: every kind, nothing missing, nothing of pyplot"""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Sequence

import numpy as np
import pytest
from matplotlib import image

from qb_engine.report import Bars, Chart, Span, Timeline
from qb_magic.render.charts import figure, picture
from qb_magic.render.charts.ink import ticks, width_of
from qb_magic.render.charts.timeline import SIZE, rows
from qb_magic.render.image import charts_html
from tests.magic.samples import EMPTY_CHARTS, EVERY_CHART, NASTY, Sample


def texts(charts: Sequence[Chart]) -> list[str]:
    """Everything that is written in a figure."""
    return [t.get_text() for axes in figure(charts).axes for t in axes.texts]


@pytest.mark.parametrize("chart", [*EVERY_CHART, *EMPTY_CHARTS], ids=lambda c: c.title)
def test_every_kind_of_chart_is_drawn(chart: Chart) -> None:
    """Names that look like mathematics or markup are drawn as they are."""
    made = picture([chart])
    assert made is not None
    assert made.png.startswith(b"\x89PNG")
    assert made.width == 768
    assert made.alt == chart.title


def test_charts_are_stacked_in_one_picture() -> None:
    single = [picture([chart]) for chart in EVERY_CHART]
    whole = picture(EVERY_CHART)
    assert whole is not None
    assert whole.height > max(one.height for one in single if one)
    assert all(chart.title in whole.alt for chart in EVERY_CHART)


def test_a_report_without_charts_has_no_picture() -> None:
    assert picture(()) is None
    assert charts_html(Sample()) == ""


def test_the_background_is_transparent_and_the_ink_is_read_on_light_and_dark() -> None:
    """No ink is close to white or black: each stands out from either background."""
    made = picture(EVERY_CHART)
    assert made is not None
    pixels = image.imread(io.BytesIO(made.png))
    assert pixels[0, 0, 3] == 0
    solid = pixels[pixels[..., 3] > 0.99]
    light = solid[:, :3] @ np.array([0.2126, 0.7152, 0.0722])
    assert np.percentile(light, 1) > 0.12
    assert np.percentile(light, 90) < 0.8


def test_values_are_written_beside_the_bars() -> None:
    found = texts([Bars("t", ("a", "b"), (0.001, 1.25))])
    assert {"t", "a", "b", "1.0 ms", "1.2 s"} <= set(found)


def test_locks_are_named_not_only_coloured() -> None:
    found = texts([Timeline("t", (Span("users", 0, 1, "ACCESS EXCLUSIVE", 8),))])
    assert {"users", "ACCESS EXCLUSIVE"} <= set(found)


def test_spans_that_overlap_get_rows_of_their_own() -> None:
    one, two, three = Span("a", 0, 2), Span("a", 1, 3), Span("a", 2, 4)
    assert rows((one, two, three)) == {"a": [[one, three], [two]]}


def test_labels_of_short_spans_do_not_stand_on_each_other() -> None:
    modes = ["ACCESS EXCLUSIVE", "ACCESS EXCLUSIVE", "SHARE UPDATE EXCLUSIVE", "ROW EXCLUSIVE"]
    times = [(0.0, 0.1), (0.1, 0.2), (0.2, 9.9), (9.9, 10.0)]
    spans = tuple(Span("a", *time, mode) for time, mode in zip(times, modes))
    (axes,) = figure([Timeline("t", spans)]).axes
    labels = [t for t in axes.texts if t.get_text() in modes]
    assert [t.get_text() for t in labels] == ["ACCESS EXCLUSIVE", *modes[2:]]
    ends = [t.get_position()[0] + width_of(t.get_text(), SIZE, mono=False) for t in labels]
    assert all(t.get_position()[0] >= end for t, end in zip(labels[1:], ends))


@pytest.mark.parametrize("top", [0.0, 1e-7, 0.003, 0.99, 1.0, 7.0, 59.0, 86_400.0])
def test_ticks_are_few_and_within(top: float) -> None:
    found = ticks(top)
    assert found[0] == 0
    assert len(found) <= 7
    assert all(t <= top * 1.000001 for t in found)


def test_an_image_in_a_page_is_described() -> None:
    page = charts_html(Sample(pictures=(Bars(NASTY, ("a",), (1.0,)),)))
    assert page.startswith('<img class="qb-chart" alt="&lt;script&gt;')
    assert 'src="data:image/png;base64,' in page


def test_pyplot_is_never_imported() -> None:
    """pyplot is global state that a notebook's user owns."""
    code = (
        "import sys\n"
        "from qb_engine.report import Bars\n"
        "from qb_magic.render.charts import picture\n"
        "assert picture([Bars('t', ('a',), (1.0,))])\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
