"""the words of a %qb line: commands, options, and what stands for their values"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Sequence

import click

from qb_magic.completion.offer import Known, Offer

MIGRATION = frozenset({"migration", "migrations", "name", "to"})
TARGET = frozenset({"connection", "target", "scratch", "confirm"})
TABLE = frozenset({"table", "tables"})


def complete(root: click.Group, text: str, known: Callable[[], Known]) -> tuple[str, list[Offer]]:
    """The word before the cursor and what may stand there; `text` is what follows `%qb `."""
    try:
        words = shlex.split(text)
    except ValueError:  # an open quote: a value that nobody can guess
        return "", []
    word = words.pop() if words and not text[-1:].isspace() else ""
    top = words[:1] != ["help"]
    offers = list(_offers(root, words if top else words[1:], word, known))
    if top and not words:
        offers.append(Offer("help", "command"))
    return word, [offer for offer in offers if offer.text.startswith(word)]


def _offers(
    root: click.Group, words: Sequence[str], word: str, known: Callable[[], Known]
) -> Iterable[Offer]:
    command: click.Command = root
    context = click.Context(root, info_name="qb", resilient_parsing=True)
    waiting: click.Parameter | None = None
    given = 0  # positional arguments before the cursor
    for each in words:
        if waiting is not None:
            waiting = None
        elif each.startswith("-"):
            option = _option(command, each)
            if option is not None and "=" not in each and not _is_flag(option):
                waiting = option
        elif isinstance(command, click.Group):
            found = command.get_command(context, each)
            if found is None:
                return
            command = found
            context = click.Context(found, parent=context, info_name=each, resilient_parsing=True)
        else:
            given += 1
    if waiting is not None:
        yield from _values(waiting, context, word, known)
    elif word.startswith("-"):
        yield from _options(command, context, words)
    elif isinstance(command, click.Group):
        for name in command.list_commands(context):
            yield Offer(name, "command")
    else:
        arguments = [p for p in command.params if isinstance(p, click.Argument)]
        if arguments[given:]:
            yield from _values(arguments[given], context, word, known)
        elif arguments and arguments[-1].nargs == -1:
            yield from _values(arguments[-1], context, word, known)


def _options(
    command: click.Command, context: click.Context, words: Sequence[str]
) -> Iterable[Offer]:
    for option in command.get_params(context):
        names = [*option.opts, *option.secondary_opts]
        if isinstance(option, click.Option) and not option.hidden and not set(names) & set(words):
            yield from (Offer(name, "option") for name in names if name.startswith("--"))


def _values(
    parameter: click.Parameter, context: click.Context, word: str, known: Callable[[], Known]
) -> Iterable[Offer]:
    own = [item for item in parameter.shell_complete(context, word) if item.type == "plain"]
    if own:
        yield from (Offer(str(item.value), "value") for item in own)
        return
    name = parameter.name or ""
    if name in TARGET:
        yield from (Offer(target, "target") for target in known().targets)
    elif name in TABLE:
        yield from (Offer(table, "table") for table in known().catalogue.tables)
    elif name in MIGRATION:
        command = context.info_name
        if command in ("draft", "generate"):
            yield from (Offer(draft, "draft") for draft in known().drafts)
        else:
            yield from (Offer(migration, "migration") for migration in known().migrations)


def _option(command: click.Command, word: str) -> click.Option | None:
    name = word.partition("=")[0]
    for parameter in command.params:
        if isinstance(parameter, click.Option) and name in parameter.opts:
            return parameter
    return None


def _is_flag(option: click.Option) -> bool:
    return option.is_flag or option.count
