"""The quickstart and a live figure in a real JupyterLab, in a real browser."""

import os
import time
from pathlib import Path

import pytest
from browser import Notebook, browser, lab, missing, write_notebook

NEEDED = ("jupyterlab", "ipywidgets", "matplotlib", "jupytext")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing(*NEEDED)), reason=str(missing(*NEEDED))),
]

EXAMPLES = Path(__file__).parents[1] / "examples"
QUICKSTART = next(file for file in sorted(EXAMPLES.glob("quickstart.*"), reverse=True))

PICTURES = os.environ.get("MONTEZARR_PICTURES", "")
"""Folder to which the pictures of the docs are written, if there is one."""

LIVE = """\
import montezarr as mz

gbm = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
ds = mz.simulate(gbm, n_paths=None, T=252, x0=100.0, dt=1 / 252, seed=42)
price = ds.x.isel(time=-1).rename("price")
stream = mz.stream(price, [mz.Mean(), mz.Histogram()], until=mz.StandardError(abs=0.0005))
for snapshot in mz.live(stream):
    pass"""

AFTER = "print(snapshot.stopped, snapshot.paths % 1024, round(snapshot['price_mean'].item()))"


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    root = tmp_path_factory.mktemp("lab")
    folder = root / "notebooks"
    folder.mkdir()
    write_notebook(folder / "live.ipynb", [LIVE, AFTER])
    import jupytext

    jupytext.write(jupytext.read(QUICKSTART), folder / "quickstart.ipynb")
    with lab(root) as address:
        yield address


def image_of(notebook, number):
    """Return the picture that a cell shows."""
    picture = notebook.cell(number).locator(".jp-RenderedImage img")
    picture.wait_for(timeout=60_000)
    return picture.get_attribute("src")


def test_the_figure_moves_and_the_button_ends_the_cell_with_its_result(address):
    with browser(scale=2) as page:
        notebook = Notebook(page, address("live.ipynb"))
        notebook.run(0)
        first = image_of(notebook, 0)
        deadline = time.monotonic() + 60
        while image_of(notebook, 0) == first:
            assert time.monotonic() < deadline, notebook.text(0)
            time.sleep(0.5)
        assert "price_mean = " in notebook.text(0)
        assert "until standard errors within 0.0005" in notebook.text(0)
        assert notebook.prompt(0) == "*"
        if PICTURES:
            time.sleep(12)
            box = notebook.cell(0).bounding_box()
            box["height"] -= 4  # the frame of the next one
            page.screenshot(path=Path(PICTURES) / "live.png", clip=box)
        button = notebook.cell(0).locator("button", has_text="Stop")
        button.click()
        assert "stopped: by the user" in notebook.wait(0, seconds=30)
        assert button.count() == 0
        notebook.run(1)
        assert notebook.wait(1, seconds=30).strip() == "by the user 0 105"
        assert not notebook.errors()


def test_the_quickstart_runs(address):
    with browser() as page:
        notebook = Notebook(page, address("quickstart.ipynb"))
        notebook.run_all(first=1)  # below the title
        code = notebook.panel.locator(".jp-CodeCell .jp-InputPrompt")
        deadline = time.monotonic() + 240
        while not (last := code.last.inner_text().strip(" []:")).isdigit():
            assert not notebook.errors()
            assert time.monotonic() < deadline, code.all_inner_texts()
            time.sleep(0.5)
        assert int(last) == code.count()
        assert not notebook.errors()
        assert page.locator(".jp-RenderedImage img").count() > 2
