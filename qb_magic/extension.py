"""the %qb and %%qb magics: words to the command tree, its report back"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING

import click
from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand

from qb_engine.errors import InputError, QbError
from qb_engine.report import Report
from qb_magic import completion, display, guide
from qb_magic.catalogue import Names
from qb_magic.face import NotebookFace
from qb_magic.session import NotebookSession

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from qb_engine.commands.backfill.live import LiveReport
    from qb_engine.commands.panel import PanelReport
    from qb_magic.completion.offer import Known
    from qb_magic.widgets.controls import Root
    from qb_magic.widgets.fill.panel import FillPanel
    from qb_magic.widgets.panel import Panel

NAME = "qb"


@magics_class
class QbMagics(Magics):
    """%qb and %%qb, one session for the notebook."""

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        self.session = NotebookSession(NotebookFace())
        self.names = Names()
        self.session.face.live = display.pictures(shell)
        self.panels: list[Panel] = []
        self.fills: list[FillPanel] = []

    def known(self) -> Known:
        """The names that completion offers."""
        from qb_magic.completion.known import gather

        return gather(self.session, self.names.catalogue)

    def panel(self, report: PanelReport) -> Root:
        """The widget that shows a panel's report, and keeps itself up to date."""
        from qb_magic.widgets.panel import Panel

        self.panels.append(Panel(report, self.session))
        return self.panels[-1].root

    def fill(self, report: LiveReport, publish: Callable[..., None]) -> None:
        """Publish the widget that follows a backfill; an older one of the same is followed no more.

        That is left to the newer one, so that a notebook looks at the ledger once.
        """
        from qb_magic.widgets.fill.panel import FillPanel, show

        same = (report.migration, report.target)
        for older in [each for each in self.fills if (each.migration, each.target) == same]:
            older.give_way()
            self.fills.remove(older)
        self.fills.append(FillPanel(report, self.session))
        show(self.fills[-1], publish)

    def close(self) -> None:
        """Stop what works in the background."""
        for panel in self.panels:
            panel.close()
        for fill in self.fills:
            fill.close()

    @no_var_expand
    @line_cell_magic
    def qb(self, line: str, cell: str | None = None) -> Report | None:
        """Run one qb command and return its report."""
        words = split(line)
        if words[:1] == ["help"]:
            words = [*words[1:], "--help"]
        if not words:
            click.echo(guide.overview())
            return None
        self.session.cell = None if cell is None else body(cell, words)
        try:
            return self._run(words)
        finally:
            self.session.cell = None
            if self.session.reached:
                self.names.refresh(self.session.reached)

    def _run(self, words: list[str]) -> Report | None:
        from qb_engine.commands import invoke, unforeseen

        try:
            report = invoke(self.session, words)
        except QbError as error:
            self._explain(error)
            raise error from None
        except Exception as error:  # noqa: BLE001 - shown as a defect of qb
            self._explain(error)
            raise unforeseen(error) from None
        if report is not None and self.session.json:
            click.echo(report.to_json())
            return None
        return report

    def _explain(self, error: Exception) -> None:
        """Print the whole traceback when --debug asks for it."""
        if self.session.debug:
            import traceback

            from qb_engine.secrets import mask

            click.echo(mask("".join(traceback.format_exception(error))), err=True)


# IPython asks a magic for `getdoc()` first, so the command modules are read only for `%qb?`
vars(QbMagics.qb)["getdoc"] = guide.overview


def split(line: str) -> list[str]:
    """The words of a magic's line, as a shell would split them; a final ; only hushes the output.

    Raise InputError when a quote is not closed.
    """
    try:
        return shlex.split(line.strip().removesuffix(";"))
    except ValueError as error:
        raise InputError(
            f"the line cannot be split into words: {error}",
            where=f"%qb {line}",
            todo="close the quote, or write the value in the other kind of quotes",
            code="bad-option",
        ) from None


def body(cell: str, words: list[str]) -> str:
    """A cell's body; lines of `#` at the top of an SQL cell are notebook markers, not SQL.

    They become empty lines, so that the lines that errors name are those of the cell.
    """
    if {"--py", "--backfill"} & set(words):
        return cell
    lines = cell.split("\n")
    for i, line in enumerate(lines):
        if line.strip() and not line.lstrip().startswith("#"):
            break
        lines[i] = ""
    return "\n".join(lines)


def load(shell: InteractiveShell) -> None:
    """Register the magics, the completion and the display of reports; print nothing."""
    unload(shell)
    magics = QbMagics(shell)
    shell.register_magics(magics)
    display.register(shell, magics.panel, magics.fill)
    completion.register(shell, magics.known)


def unload(shell: InteractiveShell) -> None:
    """Take away everything that `load` added."""
    for kind in ("line", "cell"):
        shell.magics_manager.magics[kind].pop(NAME, None)
    loaded = shell.magics_manager.registry.pop(QbMagics.__name__, None)
    if isinstance(loaded, QbMagics):
        loaded.close()
    display.unregister(shell)
    completion.unregister(shell)
