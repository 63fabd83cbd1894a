"""The picture of the layers, ``docs/img/layers.svg``, from the table that the tests read.

``python docs/_ext/layers.py`` draws it anew; tests/test_layers.py says when that is due.
"""

import importlib.util
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs/img/layers.svg"

WIDTH, LEFT, PAD = 960, 92, 12
CHIP, GAP = 26, 8
CHARACTER = 8.0
"""Width of a character of the chips, with some room, in any usual fixed-width font."""

COLOURS = ("#5b6b7f", "#1f5fa8", "#2a7f86")
"""Without Dask, with it, and what faces the user."""

FIRST_DASK, FIRST_USER = "execute", "plot"
RULE = "A room imports from the rooms above it; inside a room it is the same."
STYLE = """
text { font: 13px Verdana, "DejaVu Sans", sans-serif; fill: #24292f }
.module { font: 13px "DejaVu Sans Mono", Menlo, Consolas, monospace }
.level { font-weight: bold; font-size: 15px }
.job { fill: #57606a }
"""


def table():
    """Return the rooms of tests/layers.py."""
    spec = importlib.util.spec_from_file_location("layers_table", ROOT / "tests/layers.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.ROOMS


def draw(rooms):
    """Return the picture as SVG: a row for each room, with its packages and what it does."""
    body, top, names = [], 46, list(rooms)
    for number, (name, room) in enumerate(rooms.items()):
        shade = (number >= names.index(FIRST_DASK)) + (number >= names.index(FIRST_USER))
        chips, height = _chips([name, *packages_of(room)], top, COLOURS[shade])
        body += [
            f'<rect x="{LEFT - 50}" y="{top}" width="{WIDTH - LEFT + 50 - PAD}" height="{height}"'
            f' rx="6" fill="{COLOURS[shade]}" fill-opacity="0.09"/>',
            f'<text class="level" x="{LEFT - 30}" y="{top + 28}" text-anchor="middle">{number + 1}'
            "</text>",
            *chips,
            f'<text class="job" x="{LEFT}" y="{top + height - 12}">{escape(room.job)}</text>',
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
            "<title>The rooms of montezarr: each imports from the rooms above it</title>",
            f"<style>{STYLE}</style>",
            f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
            f'<text x="{PAD}" y="28">{RULE}</text>',
            *_legend(),
            arrow,
            *body,
            "</svg>\n",
        ]
    )


def packages_of(room):
    """Return the packages inside a room, in their order."""
    names = (name.split(".")[0] for name in room.lines.split() if "." in name)
    return list(dict.fromkeys(names))


def _chips(names, top, colour):
    """Return the boxes of a room and its packages, and the height of the row."""
    out, x, y = [], LEFT, top + 10
    for name in names:
        is_room = name == names[0]
        width = round(len(name) * CHARACTER + 18)
        fill, ink = (colour, "#fff") if is_room else ("#fff", colour)
        out += [
            f'<rect x="{x}" y="{y}" width="{width}" height="{CHIP}" rx="4" fill="{fill}"'
            f' stroke="{colour}"/>',
            f'<text class="module" x="{x + width / 2:g}" y="{y + 18}" text-anchor="middle"'
            f' style="fill:{ink}">{escape(name)}</text>',
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
