"""What is added to the package is public, documented and tested, as CONTRIBUTING.md says."""

import importlib
import inspect
import pkgutil
import sys

import pytest
from pages import DOCS

import montezarr as mz
from montezarr import execute, processes, samplers, schemes, statistics
from montezarr.execute import BACKENDS
from montezarr.processes._built_in import built_in_processes
from montezarr.random import distributions
from montezarr.samplers import INTERFACES, SAMPLERS
from montezarr.samplers._code import CodeSampler
from montezarr.statistics._built_in import built_in_statistics
from montezarr.testing import processes as process_suite
from montezarr.testing import statistics as statistic_suite

PUBLIC = {
    distributions: mz.Distribution,
    processes: mz.Process,
    schemes: mz.Scheme,
    statistics: mz.Statistic,
}
"""Rooms of which every class is a public name."""


def classes_in(room, base):
    """Return every class of a room that can be used; what serves them is in modules with ``_``."""
    found = []
    for info in pkgutil.walk_packages(room.__path__, f"{room.__name__}."):
        if info.name.rpartition(".")[2].startswith("_"):
            continue
        module = importlib.import_module(info.name)
        found += [
            kind
            for name, kind in vars(module).items()
            if isinstance(kind, type)
            and issubclass(kind, base)
            and kind.__module__ == module.__name__
            and not inspect.isabstract(kind)
            and kind is not base
            and not name.startswith("_")
        ]
    assert found, room
    return found


def cases(rooms):
    return [
        pytest.param(room, kind, id=kind.__name__)
        for room, base in rooms.items()
        for kind in classes_in(room, base)
    ]


@pytest.fixture(scope="module")
def documented():
    """Return the names that have a page in the reference."""
    sys.path.insert(0, str(DOCS / "_ext"))
    try:
        import public_names
    finally:
        sys.path.remove(str(DOCS / "_ext"))
    pages = (DOCS / "reference/api").glob("*.md")
    selectors = [selector for page in pages for selector in public_names.selectors_of(page)]
    return set(public_names.names_of(selectors))


@pytest.mark.parametrize(("room", "kind"), cases(PUBLIC))
def test_each_class_of_a_room_is_public_and_documented(room, kind, documented):
    name = kind.__name__
    assert name in room.__all__, f"export {name}: one line in {room.__name__}/__init__.pyi"
    assert getattr(mz, name) is kind
    assert name in documented, f"{name} has no page of the reference"
    assert "Parameters" in (inspect.getdoc(kind) or "") or not inspect.signature(kind).parameters


def test_each_process_and_statistic_is_in_its_suite():
    for kinds, suite in (
        (built_in_processes(), process_suite),
        (built_in_statistics(), statistic_suite),
    ):
        tested = {type(example) for example in suite.built_in_examples()}
        assert set(kinds.values()) <= tested


def test_each_class_of_samplers_is_asked_for_code_and_in_its_suite():
    kinds = set(classes_in(samplers, CodeSampler))
    assert kinds == set(SAMPLERS), "add it to SAMPLERS of samplers/binding.py"
    for kind in kinds:
        assert kind.examples(), f"{kind.__name__}.examples() gives the suite nothing to test"
        assert set(kind.interfaces) <= INTERFACES.keys()


def test_each_backend_is_known_by_its_name_and_documented():
    kinds = [kind for kind in classes_in(execute, mz.Backend) if "name" in vars(kind)]
    assert set(kinds) == set(BACKENDS.values()), "add it to BACKENDS of execute/__init__.py"
    page = (DOCS / "how-to/which-backend.md").read_text(encoding="utf-8")
    for kind in kinds:
        assert f"`{kind.name}`" in page, (
            f"docs/how-to/which-backend.md does not tell of {kind.name}"
        )
