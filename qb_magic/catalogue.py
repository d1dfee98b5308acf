"""the names that completion offers: tables and columns, read in the background after commands"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from qb_engine.errors import QbError

log = logging.getLogger(__name__)

MOST_TABLES = 2_000  # more would make a list that nobody reads
PATIENCE = "2s"  # for the whole query: names are a convenience

# Every table-like relation of the user, with its columns in order.
NAMES = """
SELECT n.nspname, c.relname, pg_table_is_visible(c.oid),
       array_agg(a.attname::text ORDER BY a.attnum)
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast', 'qb')
GROUP BY n.nspname, c.relname, c.oid
ORDER BY n.nspname, c.relname
LIMIT %s
"""


@dataclass(frozen=True)
class Catalogue:
    """Tables as SQL writes them, each with its columns as SQL writes them."""

    tables: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def read(conninfo: str) -> Catalogue:
    """Ask a database for its names.

    Raise QbError or psycopg.Error when that fails.
    """
    from qb_engine.database.connect import connect
    from qb_engine.database.target import Target
    from qb_engine.sql import ident, qualified

    with connect(Target("completion", conninfo), application_name="qb completion") as conn:
        conn.execute("SELECT set_config('statement_timeout', %s, false)", (PATIENCE,))
        rows = conn.execute(NAMES, (MOST_TABLES,)).fetchall()
    return Catalogue(
        {
            qualified(None if visible else schema, name): tuple(ident(c) for c in columns)
            for schema, name, visible, columns in rows
        }
    )


class Names:
    """The last catalogue that was read; reading never keeps anybody waiting."""

    def __init__(self) -> None:
        self.catalogue = Catalogue()
        self._lock = threading.Lock()
        self._wanted = ""
        self._thread: threading.Thread | None = None

    def refresh(self, conninfo: str) -> None:
        """Read the names of a database in the background; the latest wish wins."""
        with self._lock:
            self._wanted = conninfo
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="qb names", daemon=True)
                self._thread.start()

    def settled(self, timeout: float) -> bool:
        """Wait until nothing is being read; False when that takes longer than `timeout` seconds."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout)
        return self._thread is None

    def _work(self) -> None:
        import psycopg

        while True:
            with self._lock:
                conninfo, self._wanted = self._wanted, ""
                if not conninfo:
                    self._thread = None
                    return
            try:
                self.catalogue = read(conninfo)
            except (QbError, psycopg.Error) as error:
                log.debug("the names for completion could not be read: %s", error)
