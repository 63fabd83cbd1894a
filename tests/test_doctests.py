"""Every example in a docstring prints what it says."""

import doctest
import importlib
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
