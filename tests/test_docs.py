"""Every Python block of the README and the docs runs, in the order of its page."""

import re
import subprocess
import sys

import pytest
from pages import CLUSTER, PAGES, blocks, name, run
from patience import PATIENCE

RUN = [page for page in PAGES if not all(block.needs_cluster for block in blocks(page))]


@pytest.mark.parametrize("page", RUN, ids=name)
def test_python_blocks_of_a_page_run_in_order(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    run(page, with_cluster=False)


TESTED = [
    page
    for page in PAGES
    if any("def test_" in b.code or "class Test" in b.code for b in blocks(page))
]


@pytest.mark.slow
@pytest.mark.parametrize("page", TESTED, ids=name)
def test_the_tests_on_a_page_pass(page, tmp_path):
    """Those that a reader gets by copying the page into a test module."""
    module = tmp_path / "test_page.py"
    module.write_text("\n".join(block.code for block in blocks(page)), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", str(module)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


def test_pages_show_how_to_test_what_one_adds():
    assert {page.stem for page in TESTED} == {
        "add-a-backend", "add-a-process", "add-a-statistic"
    }  # fmt: skip


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_between_pages_lead_somewhere(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        if "://" not in target:
            made = target.endswith("examples/index.md")  # by the build of the site
            assert made or (page.parent / target).exists(), f"{name(page)}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_mark_for_the_cluster_stands_before_a_block(page):
    marked = sum(block.needs_cluster for block in blocks(page))
    assert page.read_text().count(CLUSTER) == marked
