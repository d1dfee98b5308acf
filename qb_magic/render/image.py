"""a report's charts as an HTML image, for where a report stands inside a page of ours"""

from __future__ import annotations

import base64

from qb_engine.report import Report
from qb_magic.render.html import text


def charts_html(report: Report) -> str:
    """All charts of a report as one image with words that stand for it; empty without charts."""
    charts = tuple(report.charts())
    if not charts:
        return ""
    from qb_magic.render.charts import picture

    made = picture(charts)
    if made is None:
        return ""
    data = base64.b64encode(made.png).decode("ascii")
    return (
        f'<img class="qb-chart" alt="{text(made.alt)}" width="{made.width}" '
        f'src="data:image/png;base64,{data}">'
    )
