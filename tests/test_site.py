"""The site: it builds without a warning, its links lead somewhere, every public name has a page."""

import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pytest
from pages import DOCS, ROOT

WITHOUT_EXAMPLE = {"State", "plot.require", "plot.save_fan"}
"""A word for three types, and what a job calls."""

PAGES_OF_THE_API = sorted((DOCS / "reference/api").glob("*.md"))


@pytest.fixture(scope="module")
def public_names():
    """Return the extension that makes the pages of the reference; it needs no Sphinx for this."""
    sys.path.insert(0, str(DOCS / "_ext"))
    try:
        import public_names
    finally:
        sys.path.remove(str(DOCS / "_ext"))
    return public_names


def test_every_public_name_stands_on_one_page_of_the_reference(public_names):
    places = defaultdict(list)
    for page in PAGES_OF_THE_API:
        for name in public_names.names_of(public_names.selectors_of(page)):
            places[name].append(page.stem)
    wanted = set(public_names.all_names()) - {"plot"}
    missing = wanted - places.keys()
    assert not missing, (
        f"no page for {sorted(missing)}: name them, or the module that they come from, in a block"
        " public-names of a page in docs/reference/api/"
    )
    assert {name: pages for name, pages in places.items() if len(pages) > 1} == {}


def test_a_name_that_is_not_public_is_refused_by_the_directive(public_names):
    with pytest.raises(LookupError, match="no_such_module"):
        public_names.names_of(["no_such_module"])


# --- the built site --------------------------------------------------------------------------


class Page(HTMLParser):
    """What a page of the site has: its anchors, and what it leads to."""

    def __init__(self, file):
        super().__init__()
        self.anchors, self.targets = set(), set()
        self.text = file.read_text(encoding="utf-8")
        self.feed(self.text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        if found.get("id"):
            self.anchors.add(found["id"])
        for name in ("href", "src"):
            if found.get(name):
                self.targets.add((tag, found[name]))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    for package in ("sphinx", "myst_nb", "numpydoc", "pydata_sphinx_theme", "sphinx_design"):
        pytest.importorskip(package, reason="the site needs montezarr[docs]")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-E", "-W", "--keep-going", "-b", "html"]
    command += ["-d", str(folder / "doctrees"), str(DOCS), str(folder / "html")]
    # No proxy leads anywhere: what asks the network fails, and so does the build.
    environment = os.environ | {
        "http_proxy": "http://127.0.0.1:9",
        "https_proxy": "http://127.0.0.1:9",
    }
    environment.pop("MONTEZARR_DOCS_NOTEBOOKS", None)
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return folder / "html"


@pytest.fixture(scope="module")
def pages(site):
    return {
        file: Page(file)
        for file in sorted(set(site.rglob("*.html")) - set((site / "_static").rglob("*")))
    }


@pytest.mark.slow
def test_all_links_inside_the_site_lead_somewhere(site, pages):
    wrong = []
    seen = 0
    for file, page in pages.items():
        for _, target in page.targets:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            there = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            if there.is_dir():
                there /= "index.html"
            seen += 1
            if not there.is_file():
                wrong.append(f"{file.relative_to(site)}: {target}")
            elif parts.fragment and there in pages and "search.html" not in str(file):
                anchors = pages[there].anchors
                if unquote(parts.fragment) not in anchors:
                    wrong.append(f"{file.relative_to(site)}: {target}")
    assert seen > 1000
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
def test_pages_load_nothing_from_elsewhere(pages):
    loaded = {
        target
        for page in pages.values()
        for tag, target in page.targets
        if tag in {"script", "img", "link", "iframe"} and urlsplit(target).netloc
    }
    assert not loaded


@pytest.mark.slow
def test_every_public_name_has_a_page_with_an_example(site, pages, public_names):
    by_stem = {file.stem: page for file, page in pages.items() if file.parent.name == "generated"}
    tables = {
        target
        for file, page in pages.items()
        if file.parent == site / "reference/api"
        for _, target in page.targets
    }
    for name in public_names.all_names():
        if name == "plot":  # a module
            continue
        stem = f"montezarr.{name}"
        stem += "_function" if f"{stem}_function" in by_stem else ""
        assert f"generated/{stem}.html#montezarr.{name}" in tables, name
        if name not in WITHOUT_EXAMPLE:
            assert "&gt;&gt;&gt; " in by_stem[stem].text, name


@pytest.mark.slow
def test_the_search_index_knows_the_public_names(site):
    text = (site / "searchindex.js").read_text(encoding="utf-8")
    index = json.loads(re.fullmatch(r"Search\.setIndex\((.*)\)", text, re.DOTALL)[1])
    assert {"brownian", "zarr", "dask"} <= index["terms"].keys()
    assert any("montezarr.GeometricBrownianMotion" in name for name in index["docnames"])


@pytest.mark.slow
def test_mathematics_is_mathml(pages):
    for file, page in pages.items():
        assert "mathjax.js" not in page.text.lower(), file
    (heston,) = [page for file, page in pages.items() if file.stem == "montezarr.Heston"]
    assert "<math " in heston.text
