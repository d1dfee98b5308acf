"""help in a notebook: the text of `%qb?`, made from the command tree"""

from __future__ import annotations

import click

INTRO = """\
See a PostgreSQL schema change before you make it, and trust it while it runs.

    %qb COMMAND [OPTIONS] [ARGUMENTS]      run a command; its report is the result
    plan = %qb plan                        keep it: .ok, .df, .to_json()
    %%qb draft NAME                        the SQL of a migration is the cell's body
    %qb help COMMAND                       a command's options

Every command is also `qb COMMAND` in a terminal.

Commands:
"""


def overview() -> str:
    """What `%qb?` says: how to call it, and each command with its sentence."""
    from qb_engine.commands import group

    context = click.Context(group, info_name="%qb")
    names = group.list_commands(context)
    width = max((len(name) for name in names), default=0)
    lines = []
    for name in names:
        command = group.get_command(context, name)
        if command is not None and not command.hidden:
            lines.append(f"    {name:<{width}}  {command.get_short_help_str(100)}".rstrip())
    return INTRO + "\n".join(lines) + "\n"
