"""a worker's connections to one target: at most so many, kept open, looked at before each use"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg_pool import ConnectionPool, PoolTimeout

from qb_engine.database.connect import connect

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.database.target import Target

WAIT_S = 30.0  # for a connection that another thread gives back
ASK_S = 0.1
IDLE_S = 300.0  # a connection that nobody used for this long is closed

NAMED = "SELECT set_config('application_name', %s, false)"


class Pool:
    """At most `size` connections to a target, `name` being their application_name at rest.

    Unlike psycopg's pool alone, it says at once why no connection can be had.
    """

    def __init__(self, target: Target, size: int, name: str = "qb worker") -> None:
        self.size = size
        self._name = name
        self._error: BaseException | None = None
        self.backends: set[int] = set()
        """Pids, on the server, of the connections in use."""
        pool = self

        class Opened(psycopg.Connection[tuple[Any, ...]]):
            @classmethod
            def connect(cls, *given: Any, **named: Any) -> Connection:  # type: ignore[override]
                try:
                    return connect(target, application_name=name)
                except BaseException as error:
                    pool._error = error
                    raise

        self._pool: ConnectionPool[Any] = ConnectionPool(
            connection_class=Opened,
            min_size=0,
            max_size=size,
            max_idle=IDLE_S,
            check=ConnectionPool.check_connection,
            reset=self._reset,
            reconnect_timeout=ASK_S,
            name=name,
            open=True,
        )

    @contextmanager
    def connection(self, name: str) -> Iterator[Connection]:
        """A connection of that application_name, in autocommit, until the end of the block.

        Raise ServerError when the server does not give one, PoolTimeout when all are in use.
        """
        conn = self._taken()
        pid = conn.info.backend_pid
        self.backends = self.backends | {pid}
        try:
            conn.execute(NAMED, [name])
            yield conn
        finally:
            self.backends = self.backends - {pid}
            if not conn.closed and conn.info.transaction_status:
                conn.rollback()
            self._pool.putconn(conn)

    @property
    def open(self) -> int:
        """How many connections there are."""
        return int(self._pool.get_stats().get("pool_size", 0))

    def close(self) -> None:
        self._pool.close()

    def _taken(self) -> Connection:
        until = time.monotonic() + WAIT_S
        self._error = None
        while True:
            try:
                conn: Connection = self._pool.getconn(ASK_S)
                return conn
            except PoolTimeout:
                if self._error is not None:
                    raise self._error from None
                if time.monotonic() > until:
                    raise

    def _reset(self, conn: Connection) -> None:
        """Give up what the last user set for the session."""
        conn.execute(NAMED, [self._name])
