"""loopback ports that are free, the same for a project every time where that can be"""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

LOOPBACK = "127.0.0.1"
FIRST, GROUPS = 10_000, 5_000  # ends below 32768, where Linux takes ports for outgoing connections


def choose(home: Path, names: tuple[str, ...], remembered: dict[str, int]) -> dict[str, int]:
    """A free port for every name: the remembered ones, or the next free group for this project."""
    if set(remembered) == set(names) and all(is_free(port) for port in remembered.values()):
        return remembered
    for ports in _groups(home, len(names)):
        if all(is_free(port) for port in ports):
            return dict(zip(names, ports))
    raise OSError(98, "no free group of loopback ports")  # pragma: no cover - 5000 are taken


def is_free(port: int) -> bool:
    """True when a server could listen there now."""
    with socket.socket() as probe, contextlib.suppress(OSError):
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do
        probe.bind((LOOPBACK, port))
        return True
    return False


def answers(port: int) -> bool:
    """True when something listens there."""
    with contextlib.suppress(OSError):
        socket.create_connection((LOOPBACK, port), timeout=1).close()
        return True
    return False


def _groups(home: Path, size: int) -> Iterator[range]:
    key = int.from_bytes(hashlib.sha256(os.fsencode(home)).digest()[:4])
    for i in range(GROUPS):
        start = FIRST + (key + i) % GROUPS * size
        yield range(start, start + size)
