"""the widgets of a backfill's panel and where they stand; every one has a name"""

from __future__ import annotations

import ipywidgets as w  # type: ignore[import-untyped]

from qb_magic.widgets.controls import Root

LABELS = {"pause": "Pause", "resume": "Resume", "cancel": "Cancel", "tune": "Tune"}
ASKED = "End it after the batches in flight? Rows that are written stay as they are."


class Controls:
    """All widgets of one panel."""

    def __init__(self) -> None:
        self.head, self.body, self.activity = w.HTML(), w.HTML(), w.HTML()
        self.body.add_class("qb-body")
        for html in (self.head, self.body, self.activity):
            html.layout.width = "auto"
        self.buttons = {verb: _button(label) for verb, label in LABELS.items()}
        self.buttons["yes"] = _button("Yes, cancel it", "danger")
        self.buttons["no"] = _button("No, let it go on")
        self.max_rate = _field("rows/s at most", "no limit")
        self.lanes = _field("lanes", "")
        self.confirm = _field("type the alias to allow changes", "")
        self.fields = {"max_rate": self.max_rate, "lanes": self.lanes, "typed": self.confirm}
        asked = w.HTML(f"<div class='qb'>{ASKED}</div>")
        self.ask = w.Box([asked, self.buttons["yes"], self.buttons["no"]], layout=_row())
        self.ask.add_class("qb-ask")
        first = [self.buttons[verb] for verb in ("pause", "resume", "cancel")]
        self.row = w.Box(
            [*first, self.max_rate, self.lanes, self.buttons["tune"], self.confirm], layout=_row()
        )
        self.row.add_class("qb-controls")
        self.root = Root([self.head, self.body, self.row, self.ask, self.activity])
        for name in ("qb", "qb-panel", "qb-live"):
            self.root.add_class(name)


def _row() -> w.Layout:
    return w.Layout(display="flex", flex_flow="row wrap", align_items="center", width="auto")


def _button(label: str, look: str = "") -> w.Button:
    return w.Button(
        description=label,
        button_style=look,
        layout=w.Layout(width="auto", margin="2px 4px 2px 0"),
    )


def _field(label: str, example: str) -> w.Text:
    return w.Text(
        description=label,
        placeholder=example,
        layout=w.Layout(width="auto"),
        style={"description_width": "initial"},
    )
