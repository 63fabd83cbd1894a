"""A real browser and a real JupyterLab, for tests of what people see.

Chromium runs without a window, driven by Playwright; all servers listen on the loopback alone, and
all files of JupyterLab, configuration included, lie in a directory of the test.
"""

import contextlib
import importlib.util
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from patience import PATIENCE

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

STARTS = PATIENCE
"""Seconds in which a server has to answer."""

SETTINGS = {
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},  # all cells are there
}


def missing(*modules):
    """Return why there can be no such test here, or None."""
    lacking = [m for m in ("playwright", *modules) if importlib.util.find_spec(m) is None]
    lacking += [] if Path(CHROMIUM).exists() else ["chromium"]
    return f"not installed: {', '.join(lacking)}" if lacking else None


@contextlib.contextmanager
def browser(width=1280, height=1000, scale=1):
    """Start Chromium with a fresh profile, and yield a page of it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            size = {"width": width, "height": height}
            yield chromium.new_page(viewport=size, device_scale_factor=scale)
        finally:
            chromium.close()


@contextlib.contextmanager
def lab(root):
    """Start JupyterLab with its files below a directory, and yield its address as a function.

    ``address("a.ipynb")`` is that of the notebook ``root / "notebooks" / "a.ipynb"``.
    """
    folders = {
        name: root / name
        for name in ("notebooks", "config", "data", "runtime", "settings", "workspaces", "ipython")
    }
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    for name, values in SETTINGS.items():
        file = folders["settings"] / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))
    port, token = free_port(), secrets.token_hex(16)
    environment = {
        **os.environ,
        "JUPYTER_CONFIG_DIR": str(folders["config"]),
        "JUPYTER_DATA_DIR": str(folders["data"]),
        "JUPYTER_RUNTIME_DIR": str(folders["runtime"]),
        "JUPYTERLAB_SETTINGS_DIR": str(folders["settings"]),
        "JUPYTERLAB_WORKSPACES_DIR": str(folders["workspaces"]),
        "IPYTHONDIR": str(folders["ipython"]),
        "JUPYTER_TOKEN": token,
    }
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1",
        f"--port={port}", "--ServerApp.port_retries=0", f"--notebook-dir={folders['notebooks']}",
    ]  # fmt: skip
    log = root / "lab.log"
    with log.open("wb") as out:
        server = subprocess.Popen(
            command, env=environment, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
        )
    try:
        wait_for(f"http://127.0.0.1:{port}/api/status?token={token}", server, log)
        yield lambda notebook: f"http://127.0.0.1:{port}/lab/tree/{notebook}?token={token}&reset"
    finally:
        server.terminate()  # which ends its kernels too
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def free_port():
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(url, server, log):
    """Wait until a server answers, or fail with what it said."""
    deadline = time.monotonic() + STARTS
    while server.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.2)
    raise AssertionError(f"no answer from {url}:\n{log.read_text()}")


def write_notebook(file, sources):
    """Write a notebook of cells of code, for the kernel of this environment."""
    import nbformat

    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), file)


class Notebook:
    """A notebook that is open in JupyterLab, as a user sees it."""

    def __init__(self, page, url):
        self.page = page
        page.goto(url)
        self.panel = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
        self.panel.wait_for(timeout=1000 * STARTS)
        # "Python 3 (ipykernel) | Idle"
        self.panel.locator("[data-status='idle']").first.wait_for(timeout=1000 * STARTS)

    def cell(self, number):
        """Return the cell of a number, from 0 on."""
        return self.panel.locator(".jp-Notebook .jp-Cell").nth(number)

    def run(self, number):
        """Run a cell by Shift and Enter."""
        editor = self.cell(number).locator(".cm-content")
        self._until_it_runs(number, lambda: (editor.click(), editor.press("Shift+Enter")))

    def run_all(self, first):
        """Run all cells by the menu; the first one of code has this number."""

        def choose():
            self.page.locator(".lm-MenuBar-item", has_text=re.compile("^Run$")).click()
            self.page.locator(".lm-Menu-item", has_text=re.compile("^Run All Cells$")).click()

        self._until_it_runs(first, choose)

    def _until_it_runs(self, number, act):
        """Do something until a cell runs: a notebook that is still being laid out may lose it."""
        before = self.prompt(number)
        for _ in range(10):
            act()
            deadline = time.monotonic() + 3
            while time.monotonic() < deadline:
                if self.prompt(number) != before:
                    return
                # It asks for the kernel where the one that it starts is not there yet.
                accept = self.page.locator(".jp-Dialog button.jp-mod-accept")
                if accept.count():
                    accept.click()
                time.sleep(0.1)
        raise AssertionError(f"cell {number} does not run")

    def prompt(self, number):
        """Return the number in brackets beside a cell, "*" while it runs or waits."""
        return self.cell(number).locator(".jp-InputPrompt").first.inner_text().strip(" []:")

    def wait(self, number, seconds):
        """Wait until a cell has run, and return the text of its outputs."""
        deadline = time.monotonic() + seconds
        while not self.prompt(number).isdigit():
            assert time.monotonic() < deadline, f"cell {number} still runs: {self.text(number)}"
            time.sleep(0.1)
        return self.text(number)

    def errors(self):
        """Return the text of all errors and warnings."""
        kinds = ("error", "stderr")
        places = [f"[data-mime-type='application/vnd.jupyter.{kind}']" for kind in kinds]
        return "\n".join(self.panel.locator(",".join(places)).all_inner_texts())

    def text(self, number):
        """Return the text of the outputs of a cell."""
        return "\n".join(self.cell(number).locator(".jp-OutputArea-output").all_inner_texts())
