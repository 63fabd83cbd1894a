"""The notebooks of ``examples/``: as texts, and, which is slow, run from a clean kernel."""

import ast
import json
import os
import re
import sys
from pathlib import Path

import pytest
from patience import PATIENCE

import montezarr

NEEDED = 'the notebooks need pip install "montezarr[dev]"'
jupytext = pytest.importorskip("jupytext", reason=NEEDED)

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.md"))
LAST = "## What was checked"

PATH_OF_A_MACHINE = re.compile(r"(?<![\w.])(/(home|root|tmp|work|Users|mnt|opt|var)/|[A-Z]:\\)")


def read(file):
    return jupytext.read(file)


def sections(notebook):
    """Return the cells of each section, the first of which begins with the title."""
    parts = [[]]
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and cell.source.startswith("## "):
            parts.append([])
        parts[-1].append(cell)
    return parts


def code_of(cells):
    return [cell.source for cell in cells if cell.cell_type == "code"]


@pytest.fixture(params=NOTEBOOKS, ids=lambda file: file.name)
def file(request):
    return request.param


def test_there_are_notebooks():
    assert EXAMPLES / "quickstart.md" in NOTEBOOKS


# --- as texts --------------------------------------------------------------------------------


def test_it_is_a_text_notebook_for_the_python_kernel(file):
    metadata = read(file).metadata
    assert metadata.kernelspec == {
        "display_name": "Python 3", "language": "python", "name": "python3"
    }  # fmt: skip
    assert metadata.jupytext.text_representation == {"extension": ".md", "format_name": "myst"}


def test_it_begins_with_its_title_and_ends_with_what_was_checked(file):
    first, *rest = sections(read(file))
    title, _, prose = first[0].source.partition("\n")
    assert re.fullmatch(r"# [A-Z0-9].*[^.]", title)
    assert len(prose.split()) >= 20, "some words for the reader come first"
    last = rest[-1]
    assert last[0].source.partition("\n")[0] == LAST
    assert re.findall(r"^\* ", last[0].source, re.MULTILINE), "it says what that was"
    asserts = [node for node in ast.walk(ast.parse("\n".join(code_of(last))))
               if isinstance(node, ast.Assert)]  # fmt: skip
    assert len(asserts) >= 3


def test_its_code_is_plain_python_and_names_no_path_of_a_machine(file):
    for code in code_of(read(file).cells):
        compile(code, file.name, "exec")
        assert max(map(len, code.splitlines())) <= 100
    assert not PATH_OF_A_MACHINE.search(file.read_text(encoding="utf-8"))


def test_its_links_lead_somewhere(file):
    prose = "\n".join(cell.source for cell in read(file).cells if cell.cell_type == "markdown")
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", prose):
        if "://" not in target:
            assert (EXAMPLES / target).exists(), target


# --- run -------------------------------------------------------------------------------------


@pytest.fixture
def clean(tmp_path, monkeypatch):
    """Have a kernel of this interpreter, with nothing of the user's and a folder for scratch."""
    spec = tmp_path / "jupyter/kernels/python3/kernel.json"
    spec.parent.mkdir(parents=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec.write_text(json.dumps({"argv": command, "display_name": "Python 3", "language": "python"}))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    source = str(Path(montezarr.__file__).parents[1])
    inherited = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    for name, value in {
        "JUPYTER_PATH": tmp_path / "jupyter",
        "JUPYTER_CONFIG_DIR": tmp_path / "config",
        "JUPYTER_RUNTIME_DIR": tmp_path / "runtime",
        "IPYTHONDIR": tmp_path / "ipython",
        "TMPDIR": scratch,
        "PYTHONPATH": os.pathsep.join([source, *filter(None, inherited)]),
    }.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.delenv("MPLBACKEND", raising=False)  # so that pictures are shown in the notebook
    return scratch


def outputs_of(cells):
    return [output for cell in cells if cell.cell_type == "code" for output in cell.outputs]


def has_picture(cells):
    return any("image/png" in output.get("data", {}) for output in outputs_of(cells))


@pytest.mark.slow
def test_it_runs_from_a_clean_kernel_and_ends_in_a_picture(file, clean):
    nbclient = pytest.importorskip("nbclient", reason=NEEDED)
    pytest.importorskip("ipykernel", reason=NEEDED)
    before = sorted(EXAMPLES.rglob("*"))
    notebook = read(file)
    nbclient.NotebookClient(
        notebook,
        timeout=PATIENCE,
        kernel_name="python3",
        resources={"metadata": {"path": str(EXAMPLES)}},
    ).execute()

    said = "".join(out.text for out in outputs_of(notebook.cells) if out.output_type == "stream")
    assert "Warning" not in said
    assert "Traceback" not in said
    *_, picture, last = sections(notebook)
    assert has_picture([*picture, *last])
    assert sorted(EXAMPLES.rglob("*")) == before
    # Dask's schedulers share two files, which stay.
    left = [path for path in clean.rglob("*") if path.is_file() and path.suffix != ".lock"]
    assert not left, "it cleans up after itself"
