"""The pages of the documentation and the blocks of code in them, for the tests of both."""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
MADE = {DOCS / "tutorials/examples", DOCS / "reference/api/generated"}
"""Folders that the build of the site fills."""

PAGES = sorted([ROOT / "README.md", *(p for p in DOCS.rglob("*.md") if not MADE & {*p.parents})])
CLUSTER = "<!-- cluster -->"
"""In front of a block that starts a cluster: tests/test_cluster_docs.py runs it, not test_docs."""

BLOCK = re.compile(rf"^({re.escape(CLUSTER)}\n+)?```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    line: int
    code: str
    needs_cluster: bool


def blocks(page):
    """Return the blocks of Python of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(text[: match.start(2)].count("\n"), match[2], bool(match[1]))
        for match in BLOCK.finditer(text)
    ]


def run(page, *, with_cluster):
    """Run the blocks of a page one after the other, as a reader does who pastes them."""
    namespace = {"__name__": "__main__"}
    for block in blocks(page):
        if with_cluster or not block.needs_cluster:
            # Blank lines in front, so that a failure names the line of the page.
            exec(compile("\n" * block.line + block.code, str(page), "exec"), namespace)


def name(page):
    return str(page.relative_to(ROOT).with_suffix(""))
