"""the project's own Temporal server with its pages: started when first needed, found again later"""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from qb_engine.database.daemon import Daemon, Record
from qb_engine.database.embedded import ports, programs
from qb_engine.database.embedded.environment import clean
from qb_engine.database.embedded.failures import explained
from qb_engine.database.embedded.ports import LOOPBACK
from qb_engine.database.embedded.status import ServerStatus
from qb_engine.errors import ServerError

NAMESPACE = "default"
ATTRIBUTES = ("QbMigration", "QbTable", "QbTarget", "QbState")  # to find backfills by
PORTS = ("grpc", "ui", "http", "metrics")  # it listens on more, of its own choice, on loopback too
START_S = 60.0
TRIES = 3  # a port that was free may be taken before the server gets to it
STOP = ((signal.SIGINT, 15.0), (signal.SIGKILL, 5.0))  # it ends in about a second


class EmbeddedTemporal:
    """Temporal's development server on loopback; one per project, its workflows in a file.

    `home` is the project's `.qb` folder.
    """

    def __init__(self, home: Path) -> None:
        self.home = home.resolve()
        self.data = self.home / "temporal"
        self.log = self.data / "server.log"
        self._daemon = Daemon("temporal", self.home, self.log)

    def __repr__(self) -> str:
        return repr(self._daemon)

    def ensure(self) -> str:
        """Start the server unless it runs; return `host:port` of its service.

        Raise ServerError when it cannot start: the log is named, its end quoted.
        """
        found = self._daemon.found()
        if not (found and self._answers(found)):
            with explained("start the embedded Temporal", self.log), self._locked():
                found = self._daemon.found()
                if found and found.facts.get("ready") and not self._answers(found):
                    self._daemon.stop(self.data, *STOP)  # it lives, and serves nobody
                    found = None
                found = self._started(found)
        return address(found)

    def status(self) -> ServerStatus:
        """What is known of the server; nothing is started or written."""
        found = self._daemon.found()
        facts = found.facts if found else self._daemon.remembered()
        known = facts.get("ports", {})
        return ServerStatus(
            name="Temporal",
            running=found is not None,
            pid=found.pid if found else None,
            address=f"{LOOPBACK}:{known['grpc']}" if known else "",
            ui=f"http://{LOOPBACK}:{known['ui']}" if known else None,
            log=self.log,
            data=self.data,
            version=facts.get("version", ""),
        )

    def stop(self) -> bool:
        """Stop the server; False when none was running. Its workflows stay in the file."""
        if not self.home.is_dir():
            return False
        with explained("stop the embedded Temporal", self.log), self._locked():
            return self._daemon.stop(self.data, *STOP)

    def purge(self) -> tuple[Path, ...]:
        """Stop the server and delete its workflows; return the folder, if there was one."""
        if not self.home.is_dir():
            return ()
        with explained("delete the embedded Temporal", self.log), self._locked():
            self._daemon.stop(self.data, *STOP)
            there = (self.data,) if self.data.is_dir() else ()
            if there:
                shutil.rmtree(self.data)
            (self.home / "temporal.json").unlink(missing_ok=True)
            return there

    # -- starting ------------------------------------------------------------------------------

    def _started(self, running: Record | None) -> Record:
        """Wait for the one that is starting, or start one; on other ports when it loses its own."""
        record = running
        for tries_left in reversed(range(TRIES)):
            try:
                record = record or self._start()
                self._daemon.wait(record, partial(self._serves, record), START_S)
                return self._daemon.note(record, ready=True)
            except ServerError as error:
                if not tries_left or "address already in use" not in error.why:
                    raise
                record = None
        raise AssertionError("unreachable: the last try returns or raises")

    def _start(self) -> Record:
        program = programs.temporal_binary()
        self.data.mkdir(mode=0o700, exist_ok=True)
        chosen = ports.choose(self.home, PORTS, self._daemon.remembered().get("ports", {}))
        command = [
            *(str(program), "server", "start-dev", "--namespace", NAMESPACE),
            *("--db-filename", str(self.data / "temporal.db")),
            *("--ip", LOOPBACK, "--port", str(chosen["grpc"])),
            *("--ui-ip", LOOPBACK, "--ui-port", str(chosen["ui"]), "--ui-disable-news-fetch"),
            *("--http-port", str(chosen["http"]), "--metrics-port", str(chosen["metrics"])),
            *(part for name in ATTRIBUTES for part in ("--search-attribute", f"{name}=Keyword")),
            *("--log-level", "warn", "--disable-config-file", "--disable-config-env"),
        ]
        return self._daemon.start(
            command,
            data=self.data,
            environment=self._environment(),
            switch={},
            facts={"ports": chosen, "version": programs.temporal_version(), "ready": False},
        )

    def _serves(self, record: Record) -> bool:
        """True when the pages answer and the namespace can be described."""
        if not all(ports.answers(record.facts["ports"][name]) for name in ("grpc", "ui")):
            return False
        asked = subprocess.run(
            [
                *(programs.temporal_binary(), "operator", "namespace", "describe"),
                *("--namespace", NAMESPACE, "--address", address(record)),
                *("--disable-config-file", "--disable-config-env", "--command-timeout", "10s"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=self._environment(),
            start_new_session=True,
            check=False,
        )
        return asked.returncode == 0

    def _answers(self, record: Record) -> bool:
        return bool(record.facts.get("ready")) and ports.answers(record.facts["ports"]["grpc"])

    def _environment(self) -> dict[str, str]:
        # a home of its own, so that no configuration of the user's takes part
        return clean(HOME=str(self.data), TEMPORAL_VERSION_CHECK_DISABLED="1")

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self.home.mkdir(mode=0o700, exist_ok=True)
        with self._daemon.locked():
            yield


def address(record: Record) -> str:
    """`host:port` of the service that a record names."""
    return f"{LOOPBACK}:{record.facts['ports']['grpc']}"
