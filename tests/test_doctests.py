"""Every example in a docstring prints what it says."""

import doctest
import importlib
import inspect
from pathlib import Path

import pytest

import montezarr

SOURCE = Path(montezarr.__file__).parent
MODULES = sorted(
    ".".join(("montezarr", *file.relative_to(SOURCE).with_suffix("").parts)).removesuffix(
        ".__init__"
    )
    for file in SOURCE.rglob("*.py")
    if ">>>" in file.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_print_what_they_say(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0
    assert result.failed == 0


PUBLIC = {name: getattr(montezarr, name) for name in montezarr.__all__}
SHOWN = sorted(
    name for name, thing in PUBLIC.items() if inspect.isroutine(thing) or isinstance(thing, type)
)


@pytest.mark.parametrize("name", SHOWN)
def test_every_public_name_has_an_example(name):
    doc = inspect.getdoc(PUBLIC[name])
    _, heading, examples = doc.partition("\nExamples\n--------\n")
    assert heading, f"{name}: no section Examples"
    assert ">>> " in examples


def test_every_plot_has_an_example():
    from montezarr import plot

    for name in {*plot.__all__} - {"BANDS", "require", "save_fan"}:
        assert "\nExamples\n--------\n" in inspect.getdoc(getattr(plot, name)), name
