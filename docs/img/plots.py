"""Draw the pictures of docs/how-to/plots.md with its own code: ``python docs/img/plots.py``.

Each image of the page shows the Axes ``ax`` of the block of code before it.
"""

import os
import re
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parent / "how-to" / "plots.md"
PART = re.compile(r"^```python\n(?P<code>.*?)^```|!\[.*?\]\(\.\./img/(?P<image>.*?)\)", re.M | re.S)


def draw() -> None:
    """Run the blocks of the page in their order, and save a picture where an image stands."""
    namespace = {"__name__": "__main__"}
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for part in PART.finditer(PAGE.read_text(encoding="utf-8")):
            if part["code"]:
                exec(part["code"], namespace)
            else:
                namespace["ax"].figure.savefig(HERE / part["image"], dpi=110)
        os.chdir(HERE)


if __name__ == "__main__":
    draw()
