"""the magics in a shell: loading, help, words, errors, results"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from qb_engine.commands import Session, group
from qb_engine.errors import InputError, InterruptedRun, QbError, RefusedError
from qb_engine.report import Bars, Report, plain
from qb_magic.extension import QbMagics, body, split
from tests.magic.samples import Sample


def magics(shell: InteractiveShell) -> QbMagics:
    found = shell.magics_manager.registry["QbMagics"]
    assert isinstance(found, QbMagics)
    return found


def every_command() -> list[tuple[str, ...]]:
    """The words of every command, those of groups included."""
    found: list[tuple[str, ...]] = []

    def walk(command: click.Command, words: tuple[str, ...]) -> None:
        found.append(words)
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                inner = command.get_command(context, name)
                assert inner is not None
                walk(inner, (*words, name))

    walk(group, ())
    return found[1:]


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., Report]], None]:
    """Have a function answer instead of `qb init`."""

    def answer(function: Callable[..., Report]) -> None:
        from qb_engine.commands import init

        monkeypatch.setattr(init.command, "callback", click.pass_obj(function))
        monkeypatch.setattr(init.command, "params", init.command.params[1:])

    return answer


# -- loading -----------------------------------------------------------------------------------


def test_loading_prints_nothing(bare: InteractiveShell) -> None:
    with capture_output() as seen:
        bare.run_line_magic("load_ext", "qb_magic")
    assert (seen.stdout, seen.stderr, seen.outputs) == ("", "", [])


def test_unloading_takes_everything_away(bare: InteractiveShell) -> None:
    """Magics, completion and the display of reports: the shell is as it was."""

    def look() -> tuple[object, ...]:
        formatter = bare.display_formatter
        assert formatter is not None
        printers = {k: set(f.type_printers) for k, f in formatter.formatters.items()}
        live = formatter.ipython_display_formatter
        return (
            set(bare.magics_manager.magics["line"]),
            set(bare.magics_manager.magics["cell"]),
            len(bare.Completer.custom_matchers),
            printers,
            (set(live.type_printers), set(live.deferred_printers)),
        )

    before = look()
    bare.run_line_magic("load_ext", "qb_magic")
    assert look() != before
    bare.run_line_magic("unload_ext", "qb_magic")
    assert look() == before


def test_reloading_leaves_one_of_everything(shell: InteractiveShell) -> None:
    with capture_output() as seen:
        shell.run_line_magic("reload_ext", "qb_magic")
        shell.run_line_magic("reload_ext", "qb_magic")
    assert seen.stdout == ""
    assert len(shell.Completer.custom_matchers) == 1
    assert "qb" in shell.magics_manager.magics["line"]


# -- help --------------------------------------------------------------------------------------


def test_the_question_mark_lists_every_command(shell: InteractiveShell) -> None:
    """`%qb?` is made from the command tree, so it cannot be out of date."""
    with capture_output() as seen:
        shell.run_line_magic("pinfo", "%qb")
    for words in every_command():
        assert f"    {words[0]} " in seen.stdout


@pytest.mark.parametrize("words", every_command(), ids=" ".join)
def test_every_command_explains_itself(shell: InteractiveShell, words: tuple[str, ...]) -> None:
    """`%qb COMMAND --help` and `%qb help COMMAND` print the same and raise nothing."""
    seen = []
    for line in (f"{' '.join(words)} --help", f"help {' '.join(words)}"):
        with capture_output() as captured:
            assert shell.run_line_magic("qb", line) is None
        seen.append(captured.stdout)
    assert seen[0] == seen[1]
    assert f"Usage: qb {' '.join(words)}" in seen[0]
    assert "--json" in seen[0]


def test_no_words_say_what_there_is(shell: InteractiveShell) -> None:
    with capture_output() as seen:
        assert shell.run_line_magic("qb", "") is None
    assert "%%qb draft NAME" in seen.stdout


# -- results -----------------------------------------------------------------------------------


def test_a_report_can_be_kept(shell: InteractiveShell, tmp_path: Path) -> None:
    """`x = %qb ...` binds the report; a final ; hushes the output and nothing else."""
    shell.run_cell(f"x = %qb init '{tmp_path / 'new'}';").raise_error()
    report = shell.user_ns["x"]
    assert isinstance(report, Report)
    assert report.ok
    assert (tmp_path / "new" / "qb.toml").is_file()


def test_json_prints_one_object_and_shows_nothing_else(
    shell: InteractiveShell, tmp_path: Path
) -> None:
    with capture_output() as seen:
        assert shell.run_line_magic("qb", f"init {tmp_path / 'new'} --json") is None
    assert json.loads(seen.stdout)["report"] == "init"


def test_a_report_is_shown_as_text_and_html(shell: InteractiveShell) -> None:
    data, _ = shell.display_formatter.format(Sample())  # type: ignore[union-attr]
    assert set(data) == {"text/plain", "text/html"}
    assert data["text/plain"] == plain(Sample())


def test_charts_are_shown_below_the_report(shell: InteractiveShell) -> None:
    """Two outputs, because a frontend shows only the richest form of one."""
    with capture_output() as seen:
        shell.run_cell(
            "from tests.magic.samples import Sample, EVERY_CHART\nSample(pictures=EVERY_CHART)"
        ).raise_error()
    first, second = [output.data for output in seen.outputs]
    assert set(first) == {"text/plain", "text/html"}
    assert set(second) == {"text/plain", "image/png"}
    assert second["text/plain"].startswith("chart: time per statement; locks held")


def test_a_terminal_shows_text_only(shell: InteractiveShell) -> None:
    formatter = shell.display_formatter
    assert formatter is not None
    shell.run_line_magic("unload_ext", "qb_magic")
    formatter.active_types = ["text/plain"]
    try:
        shell.run_line_magic("load_ext", "qb_magic")
        sample = Sample(pictures=(Bars("t", ("a",), (1.0,)),))
        data, _ = formatter.format(sample)
        assert data == {"text/plain": plain(sample)}
    finally:
        formatter.active_types = formatter.format_types


# -- words and cells ---------------------------------------------------------------------------


def test_words_are_split_as_a_shell_does() -> None:
    assert split("""plan 'a b' --x="c d" ;""") == ["plan", "a b", "--x=c d"]


def test_braces_and_dollars_reach_the_command_as_they_are(
    shell: InteractiveShell, answering: Callable[[Callable[..., Report]], None]
) -> None:
    """IPython would replace {x} and $x by variables; SQL needs both."""
    seen: list[str | None] = []

    def keep(session: Session) -> Report:
        seen.append(session.cell)
        return Sample()

    answering(keep)
    shell.user_ns["x"] = "replaced"
    shell.run_cell("%%qb init\nSELECT '{x}'::jsonb, $x, '$$'").raise_error()
    shell.run_cell("_ = %qb init").raise_error()
    assert seen == ["SELECT '{x}'::jsonb, $x, '$$'\n", None]


@pytest.mark.parametrize(
    ("words", "cell", "expected"),
    [
        (["draft", "a"], "# NBVAL_SKIP\n\n#x\nSELECT 1\n# kept", "\n\n\nSELECT 1\n# kept"),
        (["draft", "a"], "SELECT 1", "SELECT 1"),
        (["draft", "a", "--py"], "# a comment\nx = 1", "# a comment\nx = 1"),
        (["draft", "a"], "-- a comment\nSELECT 1", "-- a comment\nSELECT 1"),
    ],
)  # fmt: skip
def test_notebook_markers_are_not_sql(words: list[str], cell: str, expected: str) -> None:
    """They become empty lines, so the line numbers of errors stay those of the cell."""
    assert body(cell, words) == expected


# -- errors ------------------------------------------------------------------------------------


def failing(shell: InteractiveShell, code: str) -> tuple[BaseException | None, str]:
    with capture_output() as seen:
        result = shell.run_cell(code)
    return result.error_in_exec, seen.stdout


@pytest.mark.parametrize(
    ("line", "first"),
    [
        ("%qb nonsense", "InputError: No such command 'nonsense'"),
        ("%qb init --nope", "InputError: No such option"),
        ("%qb init 'open", "InputError: the line cannot be split into words"),
    ],
)
def test_an_error_is_three_lines_and_an_exception(
    shell: InteractiveShell, line: str, first: str
) -> None:
    """Never IPython's UsageError: notebook tests cannot see that one."""
    error, shown = failing(shell, line)
    assert isinstance(error, InputError)
    lines = shown.strip().splitlines()
    assert lines[0].startswith(first)
    assert lines[-2].startswith("  next: ")
    assert lines[-1].startswith("  more: qb error ")
    assert "Traceback" not in shown


def test_what_nobody_foresaw_is_short_too(
    shell: InteractiveShell, answering: Callable[[Callable[..., Report]], None]
) -> None:
    def broken(session: Session) -> Report:
        raise ZeroDivisionError("division by zero")

    answering(broken)
    error, shown = failing(shell, "%qb init")
    assert type(error) is QbError
    assert "ZeroDivisionError" in shown.splitlines()[0]
    assert "Traceback" not in shown
    with capture_output() as seen:
        shell.run_cell("%qb init --debug")
    assert "Traceback" in seen.stderr
    assert "division by zero" in seen.stderr


def test_an_interrupt_is_an_error_of_ours(
    shell: InteractiveShell, answering: Callable[[Callable[..., Report]], None]
) -> None:
    def interrupted(session: Session) -> Report:
        raise KeyboardInterrupt

    answering(interrupted)
    error, shown = failing(shell, "%qb init")
    assert isinstance(error, InterruptedRun)
    assert shown.startswith("InterruptedRun: interrupted")


def test_a_password_in_connect_is_refused_and_not_repeated(shell: InteractiveShell) -> None:
    error, shown = failing(shell, "%qb connect postgresql://app:s3cr3t-canary@localhost/shop")
    assert isinstance(error, RefusedError)
    assert "s3cr3t-canary" not in shown
    assert "s3cr3t-canary" not in str(error)
