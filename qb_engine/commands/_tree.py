"""the click group: commands found by their files, options that every command takes, exit codes"""

from __future__ import annotations

import json
import pkgutil
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from qb_engine.commands._session import Session
from qb_engine.errors import InputError, InterruptedRun, QbError
from qb_engine.report import Report
from qb_engine.secrets import mask

ORDER = [
    "init",
    "connect",
    "demo",
    "draft",
    "generate",
    "verify",
    "plan",
    "dryrun",
    "run",
    "backfill",
    "validate",
    "status",
    "history",
    "rollback",
    "locks",
    "panel",
    "dev",
    "worker",
    "tour",
]


def _set(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def callback(ctx: click.Context, _param: click.Parameter, value: Any) -> None:
        if value not in (None, False):
            session = ctx.ensure_object(Session)
            if name == "root":
                session.project = type(session.project).find(Path(value))
            else:
                setattr(session, name, value)

    return callback


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
    session.option, session.json, session.debug = None, False, False
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
            error.format_message(), where=command, todo=f"see: {command} --help"
        ) from None
    except click.ClickException as error:
        raise InputError(error.format_message(), todo="see: qb --help") from None
    except (click.Abort, KeyboardInterrupt):
        raise InterruptedRun("interrupted", why="you stopped it") from None
    return result if isinstance(result, Report) else None


def main(argv: Sequence[str] | None = None) -> int:
    """The `qb` command line: print the report or the error, and return the exit code."""
    from qb_engine.commands._terminal import TerminalFace, show

    session = Session(TerminalFace())
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        report = invoke(session, arguments)
    except QbError as error:
        if session.debug:
            raise
        return _fail(error, as_json=session.json or "--json" in arguments)
    except BrokenPipeError:
        return 0
    except Exception as error:
        if session.debug:
            raise
        return _fail(unforeseen(error), as_json=session.json or "--json" in arguments)
    if report is None:
        return 0
    if session.json:
        print(report.to_json())
    else:
        show(report)
    return report.exit_code


def _fail(error: QbError, *, as_json: bool) -> int:
    if as_json:
        print(json.dumps({"report": "error", "ok": False, "error": error.as_dict()}))
    print("\n".join(error.lines()), file=sys.stderr)
    return error.exit_code


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
