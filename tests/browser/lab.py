"""a JupyterLab of its own, on loopback, and the page of one notebook in it"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

START_S = 60
READY_S = 90
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip

# Run All that is sent before the kernel is ready is dropped without a word.
READY = """async () => {
  const app = window.jupyterapp; if (!app) return false; await app.restored;
  const panel = app.shell.currentWidget, context = panel && panel.sessionContext;
  if (!context) return false;
  await context.ready; await panel.context.ready;
  const kernel = context.session && context.session.kernel;
  return !!kernel && kernel.connectionStatus === 'connected' && kernel.status === 'idle'; }"""


# Letters against what is really behind them, as WCAG measures it.
CONTRAST = """(element) => {
  const parse = color => { const [r, g, b, a = 1] = color.match(/[\\d.]+/g).map(Number);
    return [r, g, b, a]; };
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = node => { for (let n = node; n; n = n.parentElement) {
    const c = parse(getComputedStyle(n).backgroundColor); if (c[3] > 0.5) return c; }
    return [255, 255, 255, 1]; };
  const [a, b] = [light(parse(getComputedStyle(element).color)), light(behind(element))];
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05); }"""


class Lab:
    """A JupyterLab server whose settings, kernels and files are all below one folder."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "files"
        self.root.mkdir(parents=True)
        self._folder = folder
        self._token = secrets.token_hex(16)
        self._log = folder / "lab.log"
        self.theme("light")
        self._setting("apputils-extension/notification", fetchNews="false", checkForUpdates=False)
        self._process = self._started()

    def theme(self, name: str) -> None:
        """Use the light or the dark theme for the pages that are opened from now on."""
        self._setting("apputils-extension/themes", theme=f"JupyterLab {name.capitalize()}")

    def open(self, browser: Browser, notebook: str, *, width: int = 1280) -> Notebook:
        """Open a notebook, and wait until its kernel can be used."""
        page = browser.new_page(viewport={"width": width, "height": 1000})
        page.goto(f"{self.url}/doc/tree/{notebook}?token={self._token}")
        deadline = time.monotonic() + READY_S
        while not page.evaluate(READY):
            assert time.monotonic() < deadline, f"no kernel after {READY_S} s; see {self._log}"
            time.sleep(0.05)
        return Notebook(page)

    def end_sessions(self) -> None:
        """Shut down all kernels: they outlive the pages."""
        for session in json.loads(self._ask("GET", "/api/sessions")):
            self._ask("DELETE", f"/api/sessions/{session['id']}")

    def stop(self) -> None:
        """End the server and its kernels."""
        with contextlib.suppress(OSError):
            self.end_sessions()
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _started(self) -> subprocess.Popen[bytes]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        private = {
            "JUPYTER_CONFIG_DIR": "config",
            "JUPYTER_DATA_DIR": "data",
            "JUPYTER_RUNTIME_DIR": "runtime",
            "IPYTHONDIR": "ipython",
            "JUPYTERLAB_SETTINGS_DIR": "settings",
            "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        }
        where = {name: str(self._folder / folder) for name, folder in private.items()}
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1"]
        command += [f"--port={port}", "--ServerApp.port_retries=0", "--allow-root"]
        command += [f"--IdentityProvider.token={self._token}", f"--ServerApp.root_dir={self.root}"]
        command += ["--LabApp.expose_app_in_browser=True", "--LabApp.news_url=None"]
        with self._log.open("wb") as log:
            process = subprocess.Popen(
                command, env=os.environ | where, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + START_S
        while True:
            with contextlib.suppress(OSError):
                self._ask("GET", "/api/status")
                return process
            assert process.poll() is None, self._log.read_text()
            assert time.monotonic() < deadline, f"no answer after {START_S} s; see {self._log}"
            time.sleep(0.1)

    def _ask(self, method: str, path: str) -> bytes:
        asked = urllib.request.Request(
            self.url + path, method=method, headers={"Authorization": f"token {self._token}"}
        )
        with urllib.request.urlopen(asked, timeout=10) as answer:
            found: bytes = answer.read()
            return found

    def _setting(self, plugin: str, **values: Any) -> None:
        file = self._folder / "settings" / "@jupyterlab" / f"{plugin}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))


class Notebook:
    """An open notebook page."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def run_all(self) -> None:
        """Run every cell; does not wait for the end."""
        self.page.evaluate("() => jupyterapp.commands.execute('notebook:run-all-cells')")

    def save(self) -> None:
        self.page.evaluate("() => jupyterapp.commands.execute('docmanager:save')")

    def theme(self, name: str) -> None:
        """Change to the light or the dark theme, as the menu does."""
        change = "name => jupyterapp.commands.execute('apputils:change-theme', {theme: name})"
        self.page.evaluate(change, f"JupyterLab {name.capitalize()}")
        light = "true" if name == "light" else "false"
        body = f'body[data-jp-theme-light="{light}"]'
        self.page.wait_for_selector(body, state="attached")

    def cell(self, number: int) -> Locator:
        """A code cell, counted from 0."""
        return self.page.locator(".jp-Notebook .jp-CodeCell").nth(number)

    def wait_until_run(self, number: int, timeout_s: float = 60) -> None:
        """Wait until a code cell has its number, that is, until it ended."""
        from playwright.sync_api import expect

        prompt = self.cell(number).locator(".jp-InputArea-prompt")
        expect(prompt).to_have_text(f"[{number + 1}]:", timeout=timeout_s * 1000)


def write_notebook(path: Path, cells: Sequence[str]) -> None:
    """A notebook of code cells without outputs."""
    import nbformat

    made = nbformat.v4.new_notebook(  # type: ignore[no-untyped-call]
        cells=[nbformat.v4.new_code_cell(source) for source in cells],  # type: ignore[no-untyped-call]
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    )
    path.write_text(nbformat.writes(made))  # type: ignore[no-untyped-call]
