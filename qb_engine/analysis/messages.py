"""what the server says at DEBUG1 of the work that it starts, as work on relations; pure"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from qb_engine.analysis.facts import Work, WorkKind

# names stand unquoted within quotation marks, without their schema; a name may hold any character
_TABLE = re.compile(r'^(?:DEBUG: *)?(rewriting|verifying) table "(.+)"$')
_INDEX = re.compile(
    r'^(?:DEBUG: *)?building index "(.+)" on table "(.+)" (?:serially|with request)'
)
_FOREIGN_KEY = re.compile(r'^(?:DEBUG: *)?validating foreign key constraint "(.+)"$')
_NOT_NULL = re.compile(
    r'^(?:DEBUG: *)?existing constraints on column "(.+)\.([^.]+)" are sufficient to prove'
)
_PARTITION = re.compile(
    r'^(?:DEBUG: *)?(?:updated )?partition constraint for (?:table|default partition) "(.+)"'
    r" is implied by existing constraints"
)


def work_of(
    messages: Iterable[str],
    relation: Callable[[str], str | None],
    of_constraint: Callable[[str], str | None],
) -> Iterator[Work]:
    """The work that messages speak of.

    `relation` gives the `schema.name` of a table that is named without its schema, None for one
    that the migration made itself; `of_constraint` the table of a foreign key that is validated.
    """
    for text in messages:
        if found := _TABLE.match(text):
            if table := relation(found[2]):
                kind = WorkKind.REWRITE if found[1] == "rewriting" else WorkKind.VERIFY
                yield Work(kind, table)
        elif found := _INDEX.match(text):
            if table := relation(found[2]):
                yield Work(WorkKind.BUILD, table, index=found[1])
        elif found := _FOREIGN_KEY.match(text):
            if table := of_constraint(found[1]):
                yield Work(WorkKind.FOREIGN_KEY, table, constraint=found[1])
        elif found := _NOT_NULL.match(text):
            if table := relation(found[1]):
                yield Work(WorkKind.PROVED, table, column=found[2])
        elif (found := _PARTITION.match(text)) and (table := relation(found[1])):
            yield Work(WorkKind.PROVED, table)
