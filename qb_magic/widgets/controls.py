"""the controls of a panel and where they stand; every one has a name that can be read out"""

from __future__ import annotations

from collections.abc import Mapping

import ipywidgets as w  # type: ignore[import-untyped]

ACTIONS = {
    "Check": {"verify": "Verify", "plan": "Plan", "dryrun": "Dry run", "rehearse": "Rehearse"},
    "Change": {"run": "Run", "rollback": "Roll back"},
    "Backfill": {
        "start": "Start backfill",
        "pause": "Pause backfill",
        "resume": "Resume backfill",
        "cancel": "Cancel backfill",
    },
    "Schema": {"validate": "Validate"},
}
STRESSED = {"run": "primary", "generate": "primary", "yes": "danger"}


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
        self.head = w.HTML()
        self.chosen = w.Select(options=(), rows=7, description="Migrations")
        self.chosen.layout.width = "auto"
        self.name = _field(w.Text, "Draft name", "add_user_email")
        self.sql = _field(
            w.Textarea, "Draft SQL", "ALTER TABLE users ADD COLUMN email text;", rows=5
        )
        self.python = _field(
            w.Textarea, "Draft backfill (optional, Python)", "class Fill(Backfill): ...", rows=4
        )
        self.confirm = _field(w.Text, "Type the alias to change production", "")
        self.fields: dict[str, w.Widget] = {
            "name": self.name, "sql": self.sql, "python": self.python, "typed": self.confirm,
        }  # fmt: skip
        self.buttons: dict[str, w.Button] = {
            "generate": _button("Generate", "generate"),
            "refresh": _button("Refresh", "refresh"),
            "stop": _button("Stop", "stop"),
            "yes": _button("Yes", "yes"),
            "no": _button("No", "no"),
        }
        self.why, self.activity, self.fill = w.HTML(), w.HTML(), w.HTML()
        self.detail, self.results, self.asked = w.HTML(), w.HTML(), w.HTML()
        for html in (self.why, self.activity, self.fill, self.detail, self.results, self.asked):
            html.layout.width = "auto"
        self.root = self._arranged()

    def _arranged(self) -> Root:
        row = _row()
        groups = [self._group(title, verbs) for title, verbs in ACTIONS.items()]
        self.ask = w.Box([self.asked, self.buttons["yes"], self.buttons["no"]], layout=_row())
        self.ask.add_class("qb-ask")
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
                self.ask,
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


def _row() -> w.Layout:
    return w.Layout(display="flex", flex_flow="row wrap", align_items="center", margin="0")


def _button(label: str, verb: str) -> w.Button:
    return w.Button(
        description=label,
        button_style=STRESSED.get(verb, ""),
        layout=w.Layout(width="auto", margin="2px 4px 2px 0"),
    )


def _field(kind: type[w.Widget], label: str, example: str, **options: int) -> w.Widget:
    field = kind(
        description=label,
        placeholder=example,
        continuous_update=True,
        layout=w.Layout(width="auto", height="auto", min_width="0"),
        **options,
    )
    field.add_class("qb-field")
    return field


def _heading(title: str) -> w.HTML:
    return w.HTML(f'<p class="qb-step">{title}</p>')
