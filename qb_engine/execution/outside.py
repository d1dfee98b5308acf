"""the locks of statements that run outside a transaction, of which they let go before they end"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import psycopg

from qb_engine.execution.observation import Lock, strongest
from qb_engine.execution.observer import LOCKS
from qb_engine.sql import Statement, qualified

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection

POLL_S = 0.0003  # a lock on an index is held for a millisecond or two, and nothing can pin it
SAMPLE_S = 0.02  # between two looks at first; doubles
LONGEST_SAMPLE_S = 1.0
STEP_S = 2.0  # a statement that has not asked for a pinned table by now does not want it
PIN_MS = 5000  # nobody else is on a shadow; what would wait for ever is a mistake

# the tables behind the names of a statement: itself, or the table of an index
TABLES = """
SELECT DISTINCT n.nspname::text, t.relname::text
  FROM pg_catalog.unnest(%s::text[]) AS named(name)
  JOIN pg_catalog.pg_class c ON c.oid = pg_catalog.to_regclass(named.name)
  LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid
  JOIN pg_catalog.pg_class t ON t.oid = coalesce(i.indrelid, c.oid)
  JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
 WHERE t.relkind IN ('r', 'p')
"""


def named_tables(statement: Statement) -> list[str]:
    """The relations that a statement names, as SQL text."""
    return [qualified(schema or None, name) for schema, name in statement.relations]


@contextmanager
def sampled(watching: Connection, process: Callable[[], int | None]) -> Iterator[list[Lock]]:
    """Collect the locks that a statement outside a transaction holds while it runs.

    `process` says which server process that is, once it can be told.
    """
    held: list[Lock] = []
    ended = threading.Event()

    def look() -> None:
        pause = SAMPLE_S
        with suppress(psycopg.Error):  # the statement itself will say what is wrong
            while not ended.wait(pause):
                if pid := process():
                    held[:] = strongest([*held, *_asked(pid, watching)])
                pause = min(pause * 2, LONGEST_SAMPLE_S)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield held
    finally:
        ended.set()
        thread.join()


def _asked(pid: int, watching: Connection) -> list[Lock]:
    """The relation locks that a backend holds or waits for right now."""
    arguments = {"pid": pid, "waiting": True}
    return [
        Lock(f"{schema}.{name}", mode, kind in ("i", "I"))
        for _oid, schema, name, kind, _file, mode in watching.execute(LOCKS, arguments).fetchall()
    ]


def stepped(
    acting: Connection,
    watching: Connection,
    opener: Callable[[], Connection],
    statement: Statement,
    spare: list[Connection] | None = None,
) -> tuple[Lock, ...]:
    """Run a statement outside a transaction and learn which locks it asks for.

    Such a statement lets go of its locks before anybody could look. So each table it names is held
    first by a session of ours; what the statement then waits for is written down, and that session
    lets go: first of what blocks everything (VACUUM peeks with ACCESS SHARE before it asks for what
    it needs), then of the rest. For an empty shadow only: it blocks everybody else. Sessions that
    held something are kept in `spare`, where that is given.
    """
    names = named_tables(statement)
    pins: dict[str, Connection] = {}
    found: list[Lock] = []
    failure: list[psycopg.Error] = []
    loosened: set[str] = set()

    def act() -> None:
        try:
            acting.execute(statement.sql.encode())
        except psycopg.Error as error:
            failure.append(error)

    try:
        for schema, table in watching.execute(TABLES, [names]).fetchall():
            pin = pins[f"{schema}.{table}"] = spare.pop() if spare else opener()
            for text in pinned(qualified(schema, table)):
                pin.execute(text.encode())
        thread = threading.Thread(target=act, daemon=True)
        thread.start()
        since = time.monotonic()  # nobody has asked for a pinned table
        while thread.is_alive():
            thread.join(POLL_S)
            for lock in _asked(acting.info.backend_pid, watching):
                found.append(lock)
                if lock.relation not in pins:
                    continue
                since = time.monotonic()
                if lock.relation in loosened:
                    _let_go(pins.pop(lock.relation), spare)
                else:
                    pins[lock.relation].execute("ROLLBACK TO SAVEPOINT stronger")
                    loosened.add(lock.relation)
            if pins and time.monotonic() - since > STEP_S:
                for name in list(pins):
                    _let_go(pins.pop(name), spare)
    finally:
        for pin in pins.values():
            _let_go(pin, spare)
    if failure:
        raise failure[0]
    return strongest(found)


def _let_go(pin: Connection, spare: list[Connection] | None) -> None:
    """Release what a session holds, by ending it unless it will be used again."""
    if spare is None or pin.closed:
        pin.close()
        return
    try:
        pin.execute("ROLLBACK")
    except psycopg.Error:  # it was ended; so is what it held
        pin.close()
    else:
        spare.append(pin)


def pinned(table: str) -> tuple[str, ...]:
    """What a session says to hold a table twice, so that it can let go in two steps."""
    return (
        f"BEGIN; SET LOCAL lock_timeout = {PIN_MS}",
        f"LOCK TABLE ONLY {table} IN SHARE UPDATE EXCLUSIVE MODE",
        "SAVEPOINT stronger",
        f"LOCK TABLE ONLY {table} IN ACCESS EXCLUSIVE MODE",
    )
