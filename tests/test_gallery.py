"""The notebooks of examples/ in the site: none, or many, each with a card."""

import importlib.util
import re

import pytest
from pages import DOCS, ROOT

pytest.importorskip("jupytext", reason="the site needs montezarr[docs]")

NOTEBOOK = """---
jupytext:
  text_representation:
    extension: .md
    format_name: {form}
---

# The price of a call

It is *known*, so the error can be seen. See [the store](../docs/how-to/store.md#a-store-grows),
[the job](sp500_risk.toml) and [the licence](../LICENSE).

{cell}
"""
CELLS = {"myst": "```{code-cell} ipython3\n1 + 1\n```", "markdown": "```python\n1 + 1\n```"}


@pytest.fixture
def gallery():
    spec = importlib.util.spec_from_file_location("gallery", DOCS / "_ext/examples.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def place(tmp_path):
    """Return a docs folder beside an empty folder of examples."""
    (tmp_path / "examples").mkdir()
    (tmp_path / "docs").mkdir()
    return tmp_path / "docs"


def test_without_notebooks_there_is_a_page_all_the_same(gallery, place):
    gallery.gather(place)
    text = (place / "tutorials/examples/index.md").read_text()
    assert text.startswith("# Examples\n")
    assert "grid" not in text


@pytest.mark.parametrize("form", CELLS)
def test_a_notebook_has_a_page_and_a_card(gallery, place, form):
    (place.parent / "examples/call.md").write_text(NOTEBOOK.format(form=form, cell=CELLS[form]))
    gallery.gather(place)
    page = (place / "tutorials/examples/call.md").read_text()
    assert "```{code-cell}" in page
    assert "[the store](/how-to/store.md#a-store-grows)" in page
    assert f"[the job]({gallery.REPOSITORY}examples/sp500_risk.toml)" in page
    assert f"[the licence]({gallery.REPOSITORY}LICENSE)" in page
    index = (place / "tutorials/examples/index.md").read_text()
    assert ":::{grid-item-card} The price of a call\n" in index
    assert "It is *known*, so the error can be seen.\n:::" in index
    assert "\ncall\n```" in index


def test_the_picture_of_a_card_is_its_own_where_there_is_one(gallery, place):
    (place / "img/examples").mkdir(parents=True)
    (place / "img/examples/call.png").touch()
    for name in ("call", "put"):
        text = NOTEBOOK.format(form="myst", cell=CELLS["myst"])
        (place.parent / f"examples/{name}.md").write_text(text)
    gallery.gather(place)
    index = (place / "tutorials/examples/index.md").read_text()
    assert ":img-top: /img/examples/call.png" in index
    assert f":img-top: /{gallery.PICTURE}" in index
    assert (DOCS / gallery.PICTURE).exists()


def test_notebooks_that_are_gone_leave_no_page(gallery, place):
    file = place.parent / "examples/call.md"
    file.write_text(NOTEBOOK.format(form="myst", cell=CELLS["myst"]))
    gallery.gather(place)
    file.unlink()
    gallery.gather(place)
    assert not (place / "tutorials/examples/call.md").exists()


@pytest.mark.parametrize("file", sorted((ROOT / "examples").glob("*.md")), ids=lambda f: f.stem)
def test_links_of_the_notebooks_lead_somewhere(file):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", file.read_text()):
        assert "://" in target or (file.parent / target).exists(), target
