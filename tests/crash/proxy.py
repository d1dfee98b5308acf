"""a network between a worker and its server that can be cut, or stand still for a while"""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import suppress


class Proxy:
    """Forwards a port of this machine to a server's socket, in a thread of its own."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.port = 0
        self.passed = 0  # connections that were let through
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._flows = asyncio.Event()
        self._down = False
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="proxy", daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    def cut(self) -> None:
        """Break every connection at once, and refuse new ones until `mend`."""
        self._down = True
        self._do(self._break)

    def freeze(self) -> None:
        """Let nothing through, in either direction, without breaking anything."""
        self._do(self._flows.clear)

    def mend(self) -> None:
        self._down = False
        self._do(self._flows.set)

    def close(self) -> None:
        self._do(self._break)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _do(self, act: object) -> None:
        done = threading.Event()

        def acting() -> None:
            assert callable(act)
            act()
            done.set()

        self._loop.call_soon_threadsafe(acting)
        assert done.wait(10)

    def _break(self) -> None:
        for writer in list(self._open):
            sock = writer.get_extra_info("socket")
            if sock is not None and sock.family == socket.AF_INET:  # a reset, not a farewell
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            writer.transport.abort()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._flows.set()
        server = self._loop.run_until_complete(asyncio.start_server(self._accept, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._down:
            writer.transport.abort()
            return
        try:
            inner, outer = await asyncio.open_unix_connection(self.path)
        except OSError:
            writer.transport.abort()
            return
        self.passed += 1
        self._open |= {writer, outer}
        try:
            await asyncio.gather(self._flow(reader, outer), self._flow(inner, writer))
        finally:
            self._open -= {writer, outer}
            for each in (writer, outer):
                each.transport.abort()

    async def _flow(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while data := await reader.read(65_536):
                await self._flows.wait()
                writer.write(data)
                await writer.drain()
        writer.transport.abort()
