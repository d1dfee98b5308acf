"""an index that takes another's place is made before the other one goes; pure"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from qb_engine.operations import rebuild
from qb_engine.operations.create_index import CreateIndex
from qb_engine.operations.drop_index import DropIndex
from qb_engine.operations.rename_object import RenameObject
from qb_engine.operations.safely import Safely, Step, named

if TYPE_CHECKING:
    from qb_engine.analysis.fixing.compose import Answer
    from qb_engine.analysis.fixing.look import Command

Group = list[tuple["Command", "Answer"]]


def in_order(groups: Sequence[Group]) -> tuple[list[Group], bool]:
    """Move the drop of an index behind the making of its successor; say whether one was moved."""
    found = list(groups)
    moved = False
    for group in groups:
        if (index := _dropped(group)) is None:
            continue
        at = found.index(group)
        for n in range(at + 1, len(found)):
            if (turned := _renamed(group, found[n], *index[:2])) is not None:
                found[n] = turned
                del found[at]
                moved = True
                break
        if group not in found:
            continue
        later = [n for n in range(at + 1, len(found)) if _succeeds(found[n], *index)]
        if later:
            found.insert(later[0] + 1, group)
            del found[at]
            moved = True
    return found, moved


def _dropped(group: Group) -> tuple[str, str, tuple[str, ...]] | None:
    """The table, name and columns of the index that a statement drops, and nothing else."""
    if len(group) != 1 or not isinstance(group[0][0].operation, DropIndex):
        return None
    command = group[0][0]
    drop = command.operation
    assert isinstance(drop, DropIndex)
    found = rebuild.index(command.before, drop.name, drop.schema)
    return (found[0].qualified, drop.name, found[1].columns) if found else None


def _succeeds(group: Group, table: str, name: str, columns: tuple[str, ...]) -> bool:
    """True for an index on the same table that begins with the same column."""
    for command, _ in group:
        new = command.operation
        if not isinstance(new, CreateIndex) or new.name == name or not columns:
            continue
        if f"{new.schema or 'public'}.{new.table}" == table and new.columns[0] == columns[0]:
            return True
    return False


def _renamed(drop: Group, make: Group, table: str, name: str) -> Group | None:
    """An index made under another name, the old one dropped, and its name given to the new one."""
    command, answer = make[0]
    new, gone = command.operation, drop[0][1]
    if len(make) != 1 or not isinstance(new, CreateIndex) or new.name != name:
        return None
    if f"{new.schema or 'public'}.{new.table}" != table:
        return None
    if not isinstance(answer, Safely) or len(answer.expand) != 1 or not isinstance(gone, Safely):
        return None
    beside = named("new", name)
    made = replace(new, name=beside, concurrently=True, if_not_exists=False)
    rename = RenameObject("index", beside, name, schema=new.schema)
    return [
        (
            command,
            Safely(
                expand=(Step(made, f"what takes the place of {name}, while others use that"),),
                contract=(
                    *gone.contract,
                    Step(rename, "it takes the name, while others read and write", apart=True),
                ),
            ),
        )
    ]
