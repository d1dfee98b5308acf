"""the click group: commands found by their files, options that every command takes, exit codes"""

from __future__ import annotations

import atexit
import json
import os
import pkgutil
import re
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

import click

from qb_engine.commands._session import Session
from qb_engine.errors import InputError, InterruptedRun, QbError
from qb_engine.report import Report
from qb_engine.secrets import MASK, mask

ORDER = [
    "init",
    "connect",
    "demo",
    "draft",
    "generate",
    "lint",
    "verify",
    "plan",
    "fix",
    "impact",
    "explain",
    "twin",
    "probe",
    "dryrun",
    "rehearse",
    "roundtrip",
    "run",
    "backfill",
    "validate",
    "status",
    "history",
    "rollback",
    "redo",
    "repair",
    "baseline",
    "import-history",
    "typeorm",
    "checksum",
    "locks",
    "error",
    "panel",
    "dev",
    "worker",
    "tour",
]


def _set(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def callback(ctx: click.Context, param: click.Parameter, value: Any) -> None:
        if value == "":
            raise empty(param.opts[0])
        if value not in (None, False):
            session = ctx.ensure_object(Session)
            if name == "root":
                if not Path(value).is_dir():
                    raise InputError(
                        "there is no such project folder",
                        where=value,
                        todo="name one that exists, or make it: qb init FOLDER",
                        code="no-project",
                    )
                session.folder = Path(value)
                session.project = type(session.project).find(session.folder)
            else:
                setattr(session, name, value)

    return callback


def empty(what: str) -> InputError:
    """An empty text where a name belongs: most often an unset variable of a script."""
    return InputError(
        f"{what} is empty",
        why="a variable that was to fill it may not be set",
        todo="leave it out for the default, or name one",
        code="bad-option",
    )


def _shared() -> list[click.Parameter]:
    """The options that stand anywhere on the line."""
    return [
        click.Option(
            ["-c", "--connect", "connection"],
            metavar="TARGET",
            help="An alias of qb.toml, a libpq service, a URL, or embedded.",
            expose_value=False,
            callback=_set("option"),
        ),
        click.Option(
            ["--json", "as_json"],
            is_flag=True,
            help="Print one JSON object.",
            expose_value=False,
            callback=_set("json"),
        ),
        click.Option(
            ["--project", "project_folder"],
            metavar="DIR",
            help="The project folder (default: the nearest one with qb.toml).",
            expose_value=False,
            is_eager=True,
            callback=_set("root"),
        ),
        click.Option(
            ["--debug", "show_debug"],
            is_flag=True,
            help="Show Python tracebacks.",
            expose_value=False,
            callback=_set("debug"),
        ),
    ]


class QbCommand(click.Command):
    """A command that also takes the shared options."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += _shared()

    def invoke(self, ctx: click.Context) -> Any:
        for param in self.params:
            if isinstance(param, click.Argument) and param.name:
                given = ctx.params.get(param.name)
                if given == "" or (isinstance(given, tuple) and "" in given):
                    raise empty(param.make_metavar(ctx).strip("[]"))
        return super().invoke(ctx)


class QbGroup(click.Group):
    """A group of commands (`qb dev`, `qb backfill`) that also takes the shared options."""

    command_class = QbCommand

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += _shared()


class _Tree(QbGroup):
    """The top: its commands are the modules of this folder, imported when needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        folder = str(Path(__file__).parent)
        found = {
            module.name.replace("_", "-")
            for module in pkgutil.iter_modules([folder])
            if not module.name.startswith("_") and module.name not in NOT_COMMANDS
        }
        return [n for n in ORDER if n in found] + sorted(found - set(ORDER))

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in self.list_commands(ctx):
            return None
        module = import_module(f"qb_engine.commands.{name.replace('-', '_')}")
        command: click.Command = module.command
        return command


NOT_COMMANDS = frozenset({"demo_data"})


def qb_command(name: str, **options: Any) -> Callable[[Callable[..., Report]], click.Command]:
    """Make a function `(session, ...) -> Report` a command with the shared options."""

    def decorate(function: Callable[..., Report]) -> click.Command:
        return click.command(name, cls=QbCommand, **options)(click.pass_obj(function))

    return decorate


@click.group(
    cls=_Tree,
    name="qb",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="qb", message="qb %(version)s")
def group() -> None:
    """See a PostgreSQL schema change before you make it, and trust it while it runs."""


def invoke(session: Session, args: Sequence[str]) -> Report | None:
    """Run one command and return its report (None for --help, whose text is printed).

    Raise QbError for everything that goes wrong, wrong options included.
    """
    session.option, session.folder, session.json, session.debug = None, None, False, False
    session.stopping.clear()
    try:
        with group.make_context("qb", list(args), obj=session) as ctx:
            result = group.invoke(ctx)
    except click.exceptions.Exit:
        return None
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return None
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "qb"
        raise InputError(
            _without_urls(error.format_message(), args),
            where=command,
            todo=f"see: {command} --help",
            code="bad-option",
        ) from None
    except click.ClickException as error:
        raise InputError(error.format_message(), todo="see: qb --help", code="bad-option") from None
    except (click.Abort, KeyboardInterrupt):
        raise InterruptedRun("interrupted", why="you stopped it") from None
    except QbError as error:
        for part in ("what", "where", "why", "todo"):
            setattr(error, part, _without_passwords(getattr(error, part), args))
        raise
    return result if isinstance(result, Report) else None


def _without_passwords(text: str, args: Sequence[str]) -> str:
    """A text without words of the line such as `user:word@host`, wherever they stood in it."""
    for word in args:
        if re.search(r":[^:/@\s]+@", word):
            text = text.replace(word, MASK)
    return text


def _without_urls(text: str, args: Sequence[str]) -> str:
    """A text without the words of the line that may hold a password."""
    for word in args:
        if "@" in word or "password" in word.lower():
            text = text.replace(word, MASK)
    return text


def main(argv: Sequence[str] | None = None) -> int:
    """The `qb` command line: print the report or the error, and return the exit code."""
    from qb_engine.commands._terminal import TerminalFace, show

    session = Session(TerminalFace())
    arguments = list(sys.argv[1:] if argv is None else argv)
    ended: list[int] = []
    if argv is None:
        atexit.register(_leave, ended)  # the first to be told is called last
        _interrupt_on_sigterm()
    code = 0
    try:
        try:
            report = invoke(session, arguments)
            if report is not None:
                code = report.exit_code
                if text := report.written():
                    sys.stdout.write(text)
                else:
                    print(report.to_json()) if session.json else show(report)
        except BrokenPipeError:
            raise
        except (Exception, KeyboardInterrupt) as error:
            if session.debug and not isinstance(error, KeyboardInterrupt):
                raise
            said = _as_said(error)
            code = said.exit_code
            _print_error(said, as_json=session.json or "--json" in arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # who read it has seen enough
        _leave_stdout()
    except SystemExit:  # rich's answer to a closed pipe
        _leave_stdout()
    ended.append(code)
    return code


def _leave(ended: Sequence[int]) -> None:
    """End at once with the command's exit code where the Temporal client was in use.

    Its threads are not Python's, and one that still has an answer to give while the interpreter
    takes itself apart aborts the process: nothing is left to be done by then.
    """
    if ended and "temporalio.bridge.temporal_sdk_bridge" in sys.modules:
        sys.stderr.flush()
        os._exit(ended[0])


def _interrupt_on_sigterm() -> None:
    """Have SIGTERM do what Ctrl-C does: cancel on the server, record the run, end with 130."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once: what is recorded now is to be whole
        raise KeyboardInterrupt

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, interrupt)


def _leave_stdout() -> None:
    """Write to nowhere from now on, so that the flush at exit does not fail."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _as_said(error: BaseException) -> QbError:
    if isinstance(error, QbError):
        return error
    if isinstance(error, Exception):
        return unforeseen(error)
    return InterruptedRun("interrupted", why="you stopped it")


def _print_error(error: QbError, *, as_json: bool) -> None:
    print("\n".join(error.lines()), file=sys.stderr)
    if as_json:
        print(json.dumps({"report": "error", "ok": False, "error": error.as_dict()}))


def unforeseen(error: Exception) -> QbError:
    """What nobody foresaw: a defect of qb, said as one, with the place it came from."""
    import traceback

    frames = traceback.extract_tb(error.__traceback__)
    last = frames[-1] if frames else None
    return QbError(
        f"qb failed in a way it did not foresee: {type(error).__name__}",
        where=f"{Path(last.filename).name}:{last.lineno}" if last else "",
        why=mask(str(error)),
        todo="repeat it with --debug for the traceback, and report it",
    )
