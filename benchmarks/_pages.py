"""Put tables into pages of the docs, between marks."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def write_between(page: str, name: str, text: str) -> None:
    """Replace what stands between the marks of this name in a page, named from the docs."""
    path = DOCS / page
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    found = path.read_text(encoding="utf-8")
    if begin not in found or end not in found:
        raise ValueError(f"{path}: expected the marks {begin} and {end}.")
    pattern = re.compile(f"{begin}.*{end}", re.DOTALL)
    path.write_text(pattern.sub(lambda _: f"{begin}\n\n{text}\n\n{end}", found), encoding="utf-8")
