"""what a statement requires of rows, as the SQL that finds those that break it"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Claim:
    """Something that all rows of a relation must fulfil.

    `source` is FROM and WHERE of the rows that break it (without either, `attempt` alone tells).
    `says` tells of such rows: "have NULL in email". `attempt` is an expression over the rows of
    `table` that raises an error for those that break it. `needs` are other relations whose rows
    matter. `conversion` is an expression whose type on the target decides how it is asked: a text
    is asked for whether it can be read as `type`.
    """

    kind: str
    relation: str  # schema.name, unquoted, as it is after the statement
    table: str  # the same as SQL
    says: str
    constraint: str = ""
    columns: tuple[str, ...] = ()
    source: str = ""
    attempt: str = ""
    conversion: str = ""
    type: str = ""
    needs: tuple[str, ...] = ()
