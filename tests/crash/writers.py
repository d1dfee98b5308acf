"""an application that goes on writing to the table while it is filled"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any

import psycopg

MAKE = """
CREATE TABLE t (
    id bigint PRIMARY KEY, source text NOT NULL, v text, writes int NOT NULL DEFAULT 0,
    noise int NOT NULL DEFAULT 0
);
CREATE TABLE filled (id bigint NOT NULL);
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN INSERT INTO filled VALUES (new.id); RETURN new; END';
CREATE TRIGGER told AFTER UPDATE OF writes ON t
    FOR EACH ROW WHEN (new.writes > old.writes) EXECUTE FUNCTION tell();
"""


class Writers:
    """Inserts, updates and deletes, one after the other, until stopped; survives its server."""

    def __init__(self, conninfo: Callable[[], str], rows: int, chance: random.Random) -> None:
        self.done = 0
        self._conninfo = conninfo
        self._rows = rows
        self._next = rows
        self._chance = chance
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write, name="application", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()

    def _write(self) -> None:
        conn: psycopg.Connection[Any] | None = None
        while not self._stop.wait(0.005):
            try:
                if conn is None or conn.closed:
                    conn = psycopg.connect(self._conninfo(), autocommit=True)
                self._once(conn)
                self.done += 1
            except psycopg.OperationalError:
                self._stop.wait(0.1)
        if conn is not None:
            conn.close()

    def _once(self, conn: psycopg.Connection[Any]) -> None:
        row = self._chance.randint(1, self._next)
        what = self._chance.random()
        if what < 0.3:  # the old form: whoever fills the rows must find this one, too
            self._next += 1
            conn.execute("INSERT INTO t (id, source) VALUES (%s, 'New')", [self._next])
        elif what < 0.5:
            conn.execute("DELETE FROM t WHERE id = %s", [row])
        elif what < 0.8:  # the new form
            conn.execute("UPDATE t SET source = 'Other', v = 'other' WHERE id = %s", [row])
        else:  # what has nothing to do with it
            conn.execute("UPDATE t SET noise = noise + 1 WHERE id = %s", [row])
