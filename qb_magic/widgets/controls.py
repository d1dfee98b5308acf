"""the controls of a panel and where they stand; every one has a name that can be read out"""

from __future__ import annotations

from collections.abc import Mapping

import ipywidgets as w  # type: ignore[import-untyped]

ACTIONS = {
    "Check": {"verify": "Verify", "plan": "Plan", "dryrun": "Dry run"},
    "Change": {"run": "Run", "rollback": "Roll back"},
    "Backfill": {
        "start": "Start backfill",
        "pause": "Pause backfill",
        "resume": "Resume backfill",
        "cancel": "Cancel backfill",
    },
    "Schema": {"validate": "Validate"},
}
STRESSED = {"run": "primary", "generate": "primary"}


class Root(w.VBox):  # type: ignore[misc]  # ipywidgets is untyped
    """The outermost box. What it is as text is fixed, whatever it shows."""

    plain = ""
    html = ""

    def _repr_mimebundle_(self, **_options: object) -> dict[str, object]:
        bundle: dict[str, object] = super()._repr_mimebundle_()
        return {**bundle, "text/plain": self.plain, "text/html": self.html}


class Controls:
    """All widgets of one panel."""

    def __init__(self) -> None:
        wide = w.Layout(width="auto", min_width="0")
        self.head = w.HTML()
        self.chosen = w.Select(
            options=(), rows=7, description="Migrations", layout=w.Layout(width="auto"),
            style={"description_width": "0px"},
        )  # fmt: skip
        self.name = w.Text(
            description="Draft name", placeholder="add_user_email", layout=wide,
            continuous_update=True, style={"description_width": "84px"},
        )  # fmt: skip
        self.sql = w.Textarea(
            description="Draft SQL", placeholder="ALTER TABLE users ADD COLUMN email text;",
            rows=5, layout=wide, continuous_update=True, style={"description_width": "84px"},
        )  # fmt: skip
        self.python = w.Textarea(
            description="Backfill", placeholder="optional: class Fill(Backfill): ...",
            rows=3, layout=wide, continuous_update=True, style={"description_width": "84px"},
        )  # fmt: skip
        self.confirm = w.Text(
            description="Type the alias to change production", layout=wide,
            continuous_update=True, style={"description_width": "initial"},
        )  # fmt: skip
        self.fields: dict[str, w.Widget] = {
            "name": self.name, "sql": self.sql, "python": self.python, "typed": self.confirm,
        }  # fmt: skip
        self.buttons: dict[str, w.Button] = {
            "generate": _button("Generate", "generate"),
            "refresh": _button("Refresh", "refresh"),
            "stop": _button("Stop", "stop"),
        }
        self.why, self.activity, self.fill = w.HTML(), w.HTML(), w.HTML()
        self.detail, self.results = w.HTML(), w.HTML()
        for html in (self.why, self.activity, self.fill, self.detail, self.results):
            html.layout.width = "auto"
        self.root = self._arranged()

    def _arranged(self) -> Root:
        row = w.Layout(display="flex", flex_flow="row wrap", align_items="center", margin="0")
        groups = [self._group(title, verbs) for title, verbs in ACTIONS.items()]
        left = w.VBox(
            [
                _heading("Migrations"),
                self.chosen,
                _heading("Draft"),
                self.name,
                self.sql,
                self.python,
                w.HBox([self.buttons["generate"]], layout=w.Layout(justify_content="flex-end")),
            ],
            layout=w.Layout(flex="1 1 300px", min_width="0", padding="0 14px"),
        )
        right = w.VBox(
            [
                w.Box(groups, layout=row),
                self.confirm,
                self.why,
                w.Box([self.buttons["stop"], self.buttons["refresh"], self.activity], layout=row),
                self.fill,
                self.detail,
                self.results,
            ],
            layout=w.Layout(flex="3 1 480px", min_width="0", padding="0 14px"),
        )
        columns = w.Box([left, right], layout=w.Layout(display="flex", flex_flow="row wrap"))
        root = Root([self.head, columns])
        root.add_class("qb")
        root.add_class("qb-panel")
        return root

    def _group(self, title: str, verbs: Mapping[str, str]) -> w.Widget:
        for verb, label in verbs.items():
            self.buttons[verb] = _button(label, verb)
        made = [self.buttons[verb] for verb in verbs]
        row = w.Box(made, layout=w.Layout(display="flex", flex_flow="row wrap"))
        return w.VBox([_heading(title), row], layout=w.Layout(margin="0 12px 4px 0"))


def _button(label: str, verb: str) -> w.Button:
    return w.Button(
        description=label,
        button_style=STRESSED.get(verb, ""),
        layout=w.Layout(width="auto", margin="2px 4px 2px 0"),
    )


def _heading(title: str) -> w.HTML:
    return w.HTML(f'<p class="qb-step">{title}</p>')
