"""a real kernel, driven as a frontend drives it"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_client.manager import KernelManager

PATIENCE_S = 90


@dataclass
class Ran:
    """What a cell sent back: its outputs in order, and the reply."""

    outputs: list[dict[str, Any]] = field(default_factory=list)
    reply: dict[str, Any] = field(default_factory=dict)

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The contents of the outputs of one type: `error`, `display_data`, `stream` ..."""
        return [o["content"] for o in self.outputs if o["msg_type"] == kind]

    @property
    def bundles(self) -> list[dict[str, Any]]:
        """The data of everything that was displayed."""
        kinds = ("display_data", "execute_result")
        return [o["content"]["data"] for o in self.outputs if o["msg_type"] in kinds]

    @property
    def error(self) -> str:
        """The error as the frontend shows it; empty when there was none."""
        return "\n".join(line for e in self.of("error") for line in e["traceback"])


class Kernel:
    """A kernel in a folder."""

    def __init__(self, folder: Path) -> None:
        self.manager = KernelManager(kernel_name="python3")
        self.manager.start_kernel(cwd=str(folder))
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=PATIENCE_S)

    def stop(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()

    def run(
        self, code: str, *, answer: str | None = None, meanwhile: Callable[[], None] | None = None
    ) -> Ran:
        """Execute a cell to its end; type `answer` when it asks, do `meanwhile` once it is sent."""
        sent = self.client.execute(code, allow_stdin=answer is not None)
        if meanwhile is not None:
            meanwhile()
        ran = Ran()
        deadline = time.monotonic() + PATIENCE_S
        while True:
            assert time.monotonic() < deadline, f"still running: {code}"
            if answer is not None and self.client.stdin_channel.msg_ready():
                ran.outputs.append(self.client.get_stdin_msg())
                self.client.input(answer)
            try:
                message = self.client.get_iopub_msg(timeout=0.2)
            except queue.Empty:
                continue
            if message["parent_header"].get("msg_id") != sent:
                continue
            if message["msg_type"] == "status":
                if message["content"]["execution_state"] == "idle":
                    break
            elif message["msg_type"] not in ("execute_input", "comm_open", "comm_msg"):
                ran.outputs.append(message)
        ran.reply = self._reply(sent)
        return ran

    def complete(self, code: str) -> list[str]:
        """What Tab offers at the end of `code`."""
        matches: list[str] = self._reply(self.client.complete(code, len(code)))["matches"]
        return matches

    def _reply(self, sent: str) -> dict[str, Any]:
        """The answer to this request; the ready check may have left answers to its own."""
        while True:
            reply = self.client.get_shell_msg(timeout=PATIENCE_S)
            if reply["parent_header"]["msg_id"] == sent:
                content: dict[str, Any] = reply["content"]
                return content
