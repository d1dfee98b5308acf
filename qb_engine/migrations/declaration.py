"""the two classes that a user subclasses: Migration and Backfill"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar


class Migration:
    """One named change of the schema.

    `up` and `down` are SQL text, operations, SQLAlchemy Core statements, a list of these, or a
    method `up(self, q)` in which `q(sql)` records a statement and `q.rows(sql)` reads the target.
    A migration without a way back says why in `irreversible`.

    `expect` lists the rules that hold once it has run, checked in its transaction, so that a broken
    one rolls it back. A text is a query that must return no row; the rest are dictionaries:

        {"sql": "SELECT count(*) FROM plans", "equals": 3}
        {"not_null": "users.email"}         {"unique": {"table": "users", "columns": ["a", "b"]}}
        {"in": {"column": "orders.state", "values": ["open", "paid"]}}
        {"references": {"column": "orders.user_id", "to": "users.id"}}
        {"row_count_change": {"table": "users", "equals": 0}}             # or min, max
        {"max_seconds": 2}                  {"max_lock": "SHARE UPDATE EXCLUSIVE", "table": "users"}
        {"uses_index": {"sql": "SELECT ... WHERE email = 'a'", "index": "users_email"}}
        {"rule": "name", "option": 1}       # of the project's rules.py, or an entry point qb.rules

    Each may add `"when": "before"` (what `qb verify` asks) or `"both"`, and `"later": False` for
    what `qb validate --data` shall not ask again.
    """

    constraints: ClassVar[dict[str, Any]] = {}
    expect: ClassVar[Sequence[str | Mapping[str, Any]]] = ()
    up: Any = None
    down: Any = None
    irreversible: ClassVar[str] = ""
    transaction: ClassVar[bool] = True


class Backfill:
    """A data change over a whole table, in batches.

    `set` maps columns to SQL expressions over the row; `where` says which rows still need it.
    `key` names the columns to walk by (default: the primary key), `batch_size` is the most rows
    of a batch (left out: as many as take a quarter of a second),
    `parallel` is how many segments run at once, `validate` an SQL query that must return no row.
    """

    table: ClassVar[str] = ""
    set: ClassVar[dict[str, str]] = {}
    where: ClassVar[str] = ""
    key: ClassVar[str | tuple[str, ...] | None] = None
    batch_size: ClassVar[int] = 5_000
    parallel: ClassVar[int] = 1
    validate: ClassVar[str] = ""
