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
    """A data change over a whole table, in batches, each row written once.

    What is done is one of three:

        set = {"email": "lower(name)"}                  # SQL expressions over the row
        sql = "UPDATE t SET a = b WHERE {batch}"        # or DELETE, or INSERT ... SELECT
        def transform(self, rows): ...                  # a DataFrame in, a DataFrame out; async too

    `{batch}` becomes the range of keys of a batch, so it is AND-ed to the WHERE of what reads
    `table`. A transform returns the columns of the key and those to write; rows that it leaves out
    stay as they are, and one that was changed meanwhile is given to it again. What it is given in
    `rows.attrs["idempotency_key"]` is the same when a batch is tried again, for services it calls.
    Its types are those of qb_engine/backfill/frames/columns.py; None, NaN and NaT are NULL.

    `where` says which rows still need it. `columns` is what `transform` reads (left out: all).
    `key` names the columns to walk by (left out: the best unique key; without one the place on
    disk, which needs a `where` that a written row no longer fulfils).
    `validate` is an SQL query that must return no row, or a method `validate(self, q)` that reads
    with `q.rows(sql)` and says what is wrong: nothing, None or True when it is right; False, a
    text, a list of texts, or an error that it raises.

    How it goes: `batch_size` is the most rows of a batch (left out: as many as take `target_ms`
    milliseconds), `parallel` how many segments run at once, `max_rate` rows per second in all,
    `window` when it may run (`"22:00-06:00"`, with a time zone where it is not the server's),
    `throttle` options of the signals it gives way to, by name; False leaves one out.

    `on_error` says what becomes of a row that cannot be written: `"stop"`, `"quarantine"` (up to
    `max_errors` rows are set aside; the backfill is not completed before they are written), or a
    method `on_error(self, error, key)` that returns one of these, or `"skip"` to leave the row as
    it is for good. `key` is a dictionary of texts, `error` psycopg's, or what `transform` raised
    (where it returned what cannot be written, an error that says so).

    `retry` says how what time heals is tried again: `attempts` of a batch, waits from `first` to
    `longest` seconds, in all `deadline` seconds, and which `classes` (`"retry"`: locks and
    deadlocks, `"shrink"`: timeouts, `"reconnect"`: a lost server); left out: for as long as it
    takes. Or it is a method `retry(self, error, tries)` that returns the seconds to wait, or None
    to give up.

    `keep_in_sync` has a trigger write the same into rows that are written meanwhile: on an insert
    where the writer leaves the column at its default, on an update when a column that `set` or
    `where` reads has changed; never a value that the writer gave. It needs a `where` that says
    which rows are not filled (`"email IS NULL"`; where several columns are written, that none of
    them is), and stays until what comes after the backfill has run, or `qb backfill sync --drop`.
    """

    table: ClassVar[str] = ""
    set: ClassVar[dict[str, str]] = {}
    sql: ClassVar[str] = ""
    transform: Any = None
    columns: ClassVar[Sequence[str]] = ()
    where: ClassVar[str] = ""
    key: ClassVar[str | tuple[str, ...] | None] = None
    validate: Any = ""
    batch_size: ClassVar[int] = 5_000
    parallel: ClassVar[int] = 1
    target_ms: ClassVar[float] = 250.0
    max_rate: ClassVar[float | None] = None
    window: ClassVar[str] = ""
    throttle: ClassVar[Mapping[str, Any]] = {}
    on_error: Any = "stop"
    max_errors: ClassVar[int] = 100
    retry: Any = {}
    keep_in_sync: ClassVar[bool] = False
