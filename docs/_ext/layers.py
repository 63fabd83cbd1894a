"""The picture of the layers, ``docs/img/layers.svg``, from the table that the tests read.

``python docs/_ext/layers.py`` draws it anew; tests/test_layers.py says when that is due.
"""

import importlib.util
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs/img/layers.svg"

WIDTH, LEFT, PAD = 960, 92, 12
CHIP, LINE, GAP = 26, 34, 10
CHARACTER = 8.0
"""Width of a character of the chips, with some room, in any usual fixed-width font."""

COLOURS = ("#5b6b7f", "#1f5fa8", "#2a7f86")
"""Without Dask, with it, and what faces the user."""

FIRST_DASK, FIRST_USER = 5, 8
RULE = "A module imports from its own level and those above it."
STYLE = """
text { font: 13px Verdana, "DejaVu Sans", sans-serif; fill: #24292f }
.module { font: 13px "DejaVu Sans Mono", Menlo, Consolas, monospace; fill: #fff }
.level { font-weight: bold; font-size: 15px }
.job { fill: #57606a }
"""


def table():
    """Return the levels of tests/layers.py."""
    spec = importlib.util.spec_from_file_location("layers_table", ROOT / "tests/layers.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.TABLE


def draw(levels):
    """Return the picture as SVG: a row for each level, with the modules in it and what they do."""
    body, top = [], 46
    for number, level in levels.items():
        colour = COLOURS[(number >= FIRST_DASK) + (number >= FIRST_USER)]
        chips, height = _chips(
            sorted(level.modules, key=lambda name: name.lstrip("_")), top, colour
        )
        body += [
            f'<rect x="{LEFT - 50}" y="{top}" width="{WIDTH - LEFT + 50 - PAD}" height="{height}"'
            f' rx="6" fill="{colour}" fill-opacity="0.09"/>',
            f'<text class="level" x="{LEFT - 32}" y="{top + 26}" text-anchor="middle">{number}'
            "</text>",
            *chips,
            f'<text class="job" x="{LEFT}" y="{top + height - 12}">{escape(level.job)}</text>',
        ]
        top += height + GAP
    height = top + PAD - GAP
    arrow = (
        f'<path d="M 20 {height - 24} V 58 m -5 9 l 5 -9 l 5 9" fill="none" stroke="#57606a"'
        ' stroke-width="1.5"/>'
    )
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"'
            f' width="{WIDTH}" height="{height}" role="img">',
            "<title>The layers of montezarr: a module imports from its own level and those above"
            "</title>",
            f"<style>{STYLE}</style>",
            f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
            f'<text x="{PAD}" y="28">{RULE}</text>',
            *_legend(),
            arrow,
            *body,
            "</svg>\n",
        ]
    )


def _chips(names, top, colour):
    """Return the boxes of the modules, in as many lines as they need, and the height of the row."""
    out, x, y = [], LEFT, top + 10
    for name in names:
        width = round(len(name) * CHARACTER + 18)
        if x + width > WIDTH - 2 * PAD:
            x, y = LEFT, y + LINE
        out += [
            f'<rect x="{x}" y="{y}" width="{width}" height="{CHIP}" rx="4" fill="{colour}"/>',
            f'<text class="module" x="{x + width / 2:g}" y="{y + 18}" text-anchor="middle">'
            f"{escape(name)}</text>",
        ]
        x += width + 8
    return out, y - top + CHIP + 32


def _legend():
    out, x = [], 560
    for colour, text in zip(COLOURS, ("without Dask", "with Dask", "for users"), strict=True):
        out += [
            f'<rect x="{x}" y="17" width="13" height="13" rx="2" fill="{colour}"/>',
            f'<text x="{x + 19}" y="28">{text}</text>',
        ]
        x += 52 + len(text) * 8
    return out


if __name__ == "__main__":
    PICTURE.write_text(draw(table()), encoding="utf-8")
