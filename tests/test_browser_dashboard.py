"""The dashboard of Dask in a real browser, while a run goes on."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from browser import browser, free_port, missing, wait_for
from patience import PATIENCE, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing("bokeh")), reason=str(missing("bokeh"))),
]

SCRIPT = """
import sys
from distributed import Client, LocalCluster
import montezarr as mz

if __name__ == "__main__":
    gbm = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
    ds = mz.simulate(gbm, n_paths=4 * 10**8, T=252, x0=100.0, dt=1 / 252, seed=42)
    payoff = (ds.x.isel(time=-1) - 105).clip(min=0).rename("payoff")
    options = {"n_workers": 2, "threads_per_worker": 1, "host": "127.0.0.1"}
    address = f"127.0.0.1:{sys.argv[1]}"
    with LocalCluster(**options, dashboard_address=address) as cluster, Client(cluster) as client:
        with mz.backend("dask", client=client):
            mz.reduce(payoff, ["mean", "variance", "q95"])
"""

PICTURES = os.environ.get("MONTEZARR_PICTURES", "")
"""Folder to which the pictures of the docs are written, if there is one."""


@pytest.fixture
def dashboard(tmp_path):
    """The address of the dashboard of a run that lasts longer than the test."""
    script, log, port = tmp_path / "run.py", tmp_path / "log", free_port()
    script.write_text(SCRIPT)
    with log.open("wb") as out:
        run = subprocess.Popen([sys.executable, script, str(port)], stdout=out, stderr=out)
    try:
        wait_for(f"http://127.0.0.1:{port}/montezarr.json", run, log)
        yield f"http://127.0.0.1:{port}/"
    finally:
        run.terminate()
        run.wait(30)


def shot(page, file, name):
    page.screenshot(path=file)
    if PICTURES:
        shutil.copy(file, Path(PICTURES) / name)
    return file.read_bytes()


def numbers(page):
    """Return the texts on the page, and how many paths they say are drawn."""
    text = "\n".join(page.locator(".montezarr").all_inner_texts())
    found = re.search(r"([\d,]+) of 400,000,000 paths", text)
    return text, int(found[1].replace(",", "")) if found else 0


def later(page, drawn):
    """Wait until more paths are drawn: on a busy machine no number of seconds is enough."""
    found = []

    def moved():
        page.wait_for_timeout(500)
        found[:] = numbers(page)
        return found[1] > drawn and re.search(r"(s|min \d+ s) left", found[0])

    until(moved, lambda: f"another number of paths than {drawn}: {numbers(page)[0]}")
    return found


def changes(page, file, name):
    """Wait until a picture of the page differs from the first one."""
    first = shot(page, file.with_stem(file.stem + "-first"), "first-" + name)

    def changed():
        page.wait_for_timeout(5_000)
        return shot(page, file, name) != first

    until(changed, "another picture")


def test_numbers_move_on_the_page_and_on_the_status_page(dashboard, tmp_path):
    with browser(1280, 620) as page:
        page.goto(dashboard + "montezarr")
        page.get_by_text("payoff_mean").first.wait_for(timeout=1000 * PATIENCE)
        texts, done, pictures = [], [0], []
        for name in ("first.png", "dashboard.png"):
            text, drawn = later(page, done[-1])
            texts.append(text)
            done.append(drawn)
            pictures.append(shot(page, tmp_path / name, name))
        assert pictures[0] != pictures[1]
        for text in texts:
            for part in ("reduce GeometricBrownianMotion", "running", "0 failed", "payoff_mean"):
                assert part in text
        assert 0 < done[1] < done[2]
        assert re.search(r"[\d,]+ paths/s", texts[1])
        assert re.search(r"\d+ (s|min \d+ s) left", texts[1])
        assert not [word for word in ("undefined", "NaN", "null") if word in texts[1]]

        page.get_by_text("Status", exact=True).click()
        page.locator(".bk-Figure").first.wait_for(timeout=1000 * PATIENCE)
        page.wait_for_timeout(5_000)
        changes(page, tmp_path / "status.png", "status.png")
