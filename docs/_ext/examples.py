"""The notebooks of ``examples/`` as pages, with a card for each.

Each ``examples/NAME.md`` is a text notebook of Jupytext. Its first heading is the title of its
card, the first sentence below it the text, ``docs/img/examples/NAME.png`` or ``.svg`` the picture.
"""

import re
import shutil
from pathlib import Path

REPOSITORY = "https://github.com/montezarr/montezarr/blob/main/"
FOLDER = "tutorials/examples"
PICTURES = ("img/examples/{}.png", "img/examples/{}.svg", "img/{}.png", "img/{}.svg")
PICTURE = "img/fan.png"
INDEX = """# Examples

Whole pieces of work, from the question to the picture. Each is a text notebook in the folder
[`examples`]({repository}examples): read it here, or run it there with
`jupytext --to notebook NAME.md`.
{cards}
```{{toctree}}
:hidden:

{names}
```
"""
CARD = """
:::{{grid-item-card}} {title}
:link: /{folder}/{name}
:link-type: doc
:img-top: /{picture}

{text}
:::
"""


def setup(app):
    """Have the pages made before Sphinx looks which pages there are."""
    app.connect("config-inited", lambda app, config: gather(Path(app.srcdir)))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def notebooks(folder):
    """Return the text notebooks of a folder by name, the quickstart first."""
    files = sorted(folder.glob("*.md"), key=lambda file: (file.stem != "quickstart", file.stem))
    return {file.stem: file for file in files if file.stem.lower() not in {"readme", "index"}}


def gather(docs):
    """Write a page for each notebook and the page of cards."""
    import jupytext

    source, target = docs.parent / "examples", docs / FOLDER
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for file in source.glob("*.toml"):
        shutil.copy(file, target)
    if (source / "data").is_dir():
        shutil.copytree(source / "data", target / "data")  # for notebooks that are run
    cards = []
    for name, file in notebooks(source).items():
        notebook = jupytext.read(file)
        notebook.metadata["kernelspec"] = {
            "name": "python3", "display_name": "Python 3", "language": "python"
        }  # fmt: skip
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = _with_links_of_the_site(cell.source)
        jupytext.write(notebook, target / f"{name}.md", fmt="md:myst")
        title, text = _introduction(notebook, name)
        card = {"title": title, "text": text, "picture": _picture(docs, name)}
        cards.append(CARD.format(folder=FOLDER, name=name, **card))
    grid = f"\n::::{{grid}} 1 2 2 3\n:gutter: 3\n{''.join(cards)}\n::::\n" if cards else ""
    names = "\n".join(notebooks(source))
    page = INDEX.format(repository=REPOSITORY, cards=grid, names=names)
    (target / "index.md").write_text(page, encoding="utf-8")


def _with_links_of_the_site(text):
    """Return text whose links lead to pages of the site, or to the repository."""
    text = re.sub(r"\]\(\.\./docs/", "](/", text)
    text = re.sub(r"\]\(\.\./", f"]({REPOSITORY}", text)
    return re.sub(r"\]\((data/|[\w-]+\.(?:toml|py|ipynb)\))", rf"]({REPOSITORY}examples/\1", text)


def _introduction(notebook, name):
    """Return the title of a notebook and the first sentence of its text."""
    text = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    title = re.search(r"^# (.+)$", text, re.MULTILINE)
    rest = text[title.end() :] if title else text
    paragraphs = [" ".join(part.split()) for part in rest.split("\n\n")]
    prose = next((part for part in paragraphs if part and part[0] not in "#!`:|>("), "")
    sentence = re.match(r".+?[.?!](?= |$)", prose)
    return (title[1] if title else name), (sentence[0] if sentence else prose)


def _picture(docs, name):
    there = [p for p in (pattern.format(name) for pattern in PICTURES) if (docs / p).exists()]
    return there[0] if there else PICTURE
