"""the project's own PostgreSQL: created and started when first needed, found again later"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from qb_engine.database.daemon import Daemon, Record
from qb_engine.database.embedded import account as accounts
from qb_engine.database.embedded import cluster, place, programs, settings
from qb_engine.database.embedded.environment import clean
from qb_engine.database.embedded.failures import explained
from qb_engine.database.embedded.settings import DATABASE, OPTIONS_VARIABLE, PORT, SUPERUSER
from qb_engine.database.embedded.status import ServerStatus
from qb_engine.errors import ServerError

START_S = 100.0  # a recovery after `kill -9` replays up to max_wal_size
# fast shutdown, immediate shutdown, and the last resort
STOP = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))

EXISTS = "SELECT 1 FROM pg_database WHERE datname = %s"


class EmbeddedPostgres:
    """PostgreSQL 18 on a unix socket that only this user reaches; one per project.

    `home` is the project's `.qb` folder. No other database of this machine is touched. `programs`
    is the folder of another PostgreSQL's `postgres` and `initdb`, to run that one instead.
    """

    def __init__(self, home: Path, programs: Path | None = None) -> None:
        self.home = home.resolve()
        self._programs = programs
        self.log = self.home / "postgres.log"
        self._daemon = Daemon("postgres", self.home, self.log)

    def __repr__(self) -> str:
        return repr(self._daemon)

    def ensure(self) -> str:
        """Start the server unless it runs, and create the database `qb`; return `conninfo`.

        Raise ServerError when it cannot start: the log is named, its end quoted.
        """
        found = self._daemon.found()
        if not (found and self._answers(found)):
            with explained("start the embedded PostgreSQL", self.log), self._locked() as lock:
                found = self._daemon.found()
                if found and found.facts.get("ready") and not self._answers(found):
                    # it lives, but its socket was swept away: nobody can reach it again
                    self._daemon.stop(self._data(found), *STOP)
                    found = None
                record = found or self._start(lock)
                self._make_ready(record)
        return self.conninfo

    @property
    def conninfo(self) -> str:
        """libpq's connection string; raise ServerError before the first start."""
        return conninfo(self._socket_folder())

    @property
    def url(self) -> str:
        """The same as a URL."""
        folder = quote(str(self._socket_folder()))
        return f"postgresql:///{DATABASE}?host={folder}&port={PORT}&user={SUPERUSER}"

    def status(self) -> ServerStatus:
        """What is known of the server; nothing is started or written."""
        found = self._daemon.found()
        facts = found.facts if found else self._daemon.remembered()
        return ServerStatus(
            name="PostgreSQL",
            running=found is not None,
            pid=found.pid if found else None,
            address=conninfo(Path(facts["socket"])) if "socket" in facts else "",
            ui=None,
            log=self.log,
            data=self._data(found),
            version=facts.get("version", ""),
        )

    def stop(self) -> bool:
        """Stop the server; False when none was running."""
        if not self.home.is_dir():
            return False
        with explained("stop the embedded PostgreSQL", self.log), self._locked():
            return self._stop()

    def purge(self) -> tuple[Path, ...]:
        """Stop the server and delete its data; return the folders that were deleted."""
        if not (self.home.is_dir() or place.base(self.home).is_dir()):
            return ()
        with explained("delete the embedded PostgreSQL", self.log), self._locked():
            self._stop()
            places = [self.home / "postgres", place.base(self.home)]
            there = tuple(folder for folder in places if place.is_ours(folder, self.home))
            for folder in there:
                shutil.rmtree(folder)
            for file in (self.home / "postgres.json", self.log):
                file.unlink(missing_ok=True)
            return there

    def bin(self, name: str) -> Path:
        """A program of this PostgreSQL, such as `pg_dump`."""
        return programs.pg_binary(name)

    # -- starting ------------------------------------------------------------------------------

    def _start(self, lock: int) -> Record:
        folders = (self.home / "postgres", place.base(self.home))
        account = accounts.to_serve(folder / "data" for folder in folders)
        folder = place.for_data(self.home, account)
        if self._programs is None:
            tools = programs.postgres_for(account, folder)
        else:
            tools = programs.others_for(account, folder, self._programs)
        version = programs.version_of(tools / "postgres", account)
        data, run = folder / "data", place.for_socket(self.home, folder, account)
        if not data.is_dir():
            with self._daemon.claimed(data) as log:
                made = cluster.create(folder, tools, account, version, lock=lock, log=log)
            if not made:
                raise self._daemon.failure("the embedded PostgreSQL could not be created")
        cluster.check_version(data, version)
        configuration = folder / "postgresql.conf"
        configuration.write_text(settings.text(tools), encoding="utf-8")
        configuration.chmod(0o644)
        command = [
            *(str(tools / "postgres"), "-D", str(data), "-k", str(run), "-p", PORT),
            *("-c", f"config_file={configuration}", "-c", "listen_addresses="),
            *("-c", "unix_socket_permissions=0700"),
            *shlex.split(os.environ.get(OPTIONS_VARIABLE, "")),
        ]
        facts = {"socket": str(run), "data": str(data), "version": version, "ready": False}
        return self._daemon.start(
            command,
            data=data,
            environment=clean(),
            switch=account.switch,
            facts=facts,
            leftovers=(data / "postmaster.pid", run / f"{place.SOCKET}.lock"),
        )

    def _make_ready(self, record: Record) -> None:
        """Wait for connections, create the database when it is missing, and write that down."""
        import psycopg

        from qb_engine.database.connect import server_errors

        where = Path(record.facts["socket"])

        def connects() -> bool:
            if not (where / place.SOCKET).exists():
                return False
            try:
                conn = psycopg.connect(conninfo(where, "postgres"), autocommit=True)
            except psycopg.OperationalError:  # "the database system is starting up"
                return False
            with conn, server_errors(f"creating the database {DATABASE}"):
                if conn.execute(EXISTS, [DATABASE]).fetchone() is None:
                    conn.execute(f"CREATE DATABASE {DATABASE}")
            return True

        self._daemon.wait(record, connects, START_S)
        self._daemon.note(record, ready=True)

    def _answers(self, record: Record) -> bool:
        if not record.facts.get("ready"):
            return False
        gone = contextlib.suppress(FileNotFoundError, ConnectionRefusedError)
        with socket.socket(socket.AF_UNIX) as probe, gone:
            probe.connect(os.path.join(record.facts["socket"], place.SOCKET))
            return True
        return False

    # -- the rest ------------------------------------------------------------------------------

    def _stop(self) -> bool:
        found = self._daemon.found()
        stopped = self._daemon.stop(self._data(found), *STOP)
        outside = place.base(self.home)
        for folder in (outside / "run", outside):  # short paths are made anew at the next start
            with contextlib.suppress(OSError):  # it holds data, or was never made
                folder.rmdir()
        return stopped

    def _data(self, record: Record | None) -> Path:
        """The data folder: as the record says, or where it would be without one."""
        facts = record.facts if record else self._daemon.remembered()
        outside = place.base(self.home) / "data"
        return Path(
            facts.get("data") or (outside if outside.is_dir() else self.home / "postgres" / "data")
        )

    def _socket_folder(self) -> Path:
        facts = self._daemon.remembered()
        if "socket" not in facts:
            raise ServerError(
                "the embedded PostgreSQL has never been started here",
                where=str(self.home),
                todo="start it with: qb dev up",
                code="embedded-server",
            )
        return Path(facts["socket"])

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int]:
        self.home.mkdir(mode=0o700, exist_ok=True)
        with self._daemon.locked() as lock:
            yield lock


def conninfo(folder: Path, dbname: str = DATABASE) -> str:
    """The connection string for a socket folder; `place` keeps it free of what needs quoting.

    The port is said because PGPORT would change the socket's name; a PGHOSTADDR would win over it.
    """
    ours = f"host={folder} port={PORT} user={SUPERUSER} dbname={dbname}"
    return f"{ours} hostaddr=''" if os.environ.get("PGHOSTADDR") else ours
