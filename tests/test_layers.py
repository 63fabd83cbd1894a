"""Data flows one way: what each module of the package may import."""

import ast
import importlib.util
import sys
from fnmatch import fnmatchcase as fnmatch
from functools import cache
from graphlib import CycleError, TopologicalSorter
from inspect import isfunction
from pathlib import Path

import pytest
from layers import ROOMS
from pages import DOCS

import montezarr
from montezarr.samplers import INTERFACES

SOURCE = Path(montezarr.__file__).parent

USERS_OF_THE_PUBLIC_LIST = {"accessor", "cli", "testing"}
"""What stands outside, as a user does, and so may import ``montezarr`` itself."""

PLACES = {"dask": "execute", "xarray": "execute", "numba": "random"}
"""The first room that uses a package which is slow to import."""

ONLY_IN = {
    "zarr": {"store"},
    "matplotlib": {"plot", "monitor"},
    "IPython": {"monitor"},
    "ipywidgets": {"monitor"},
    "tqdm": {"execute"},
    "click": {"cli"},
    "psutil": {"core", "engine", "monitor"},
    "google_crc32c": {"store"},
    "obstore": {"store"},
    "numba": {"random", "processes", "samplers"},
    "libsbml": {"processes"},
    "boost_histogram": {"statistics"},
    "scipy": {"random"},
    "pytest": {"testing"},
    "hypothesis": {"testing"},
    "ray": {"execute"},
    "pandas": {"engine", "run"},
    "pyarrow": {"store"},
    "h5netcdf": {"store"},
    "h5py": {"store"},
    "bokeh": {"monitor"},
    "tornado": {"monitor"},
    "prometheus_client": {"monitor"},
}
"""Packages that one module or package of ours keeps to itself."""


@cache
def files():
    """Return the path of every module by its name below montezarr; packages as ``x.__init__``."""
    return {
        ".".join(path.relative_to(SOURCE).with_suffix("").parts): path
        for path in sorted(SOURCE.rglob("*.py"))
    }


def top(module):
    return module.partition(".")[0]


@cache
def imports(module):
    """Return the dotted names that a module imports, also inside functions and conditions."""
    found = set()
    for node in ast.walk(ast.parse(files()[module].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_optional"):
            found |= {arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant)}
    return frozenset(found)


@cache
def own_imports(module):
    """Return the modules of this package that a module imports."""
    targets = set()
    for name in imports(module):
        package, _, rest = name.partition(".")
        if package != "montezarr":
            continue
        # The longest part of the name that is a file; what follows it is a name in that file.
        parts = rest.split(".") if rest else []
        while parts and not {".".join(parts), ".".join([*parts, "__init__"])} & files().keys():
            parts.pop()
        name = ".".join(parts)
        targets.add(name if name in files() else ".".join([*parts, "__init__"]))
    return frozenset(targets - {module})


def users(package):
    """Return the modules that import a package, but for those that guard its private names."""
    found = {module for module in files() if package in {top(name) for name in imports(module)}}
    return {module for module in found if not module.startswith("core.compat.")}


LINES = {
    name: [line.split() for line in room.lines.replace("\\\n", " ").strip().splitlines()]
    for name, room in ROOMS.items()
}
"""For each room its lines, from the first that may be imported to the last."""


def name_inside(module):
    """Return the name of a module inside its room, as the table has it."""
    inside = module.removesuffix(".__init__").partition(".")[2]
    return inside or "__init__"


@cache
def place(module):
    """Return the number of the room of a module, and of its line there."""
    room, name = top(module), name_inside(module)
    assert room in ROOMS, f"montezarr.{module}: no room {room!r} in tests/layers.py"
    lines = LINES[room]
    exact = [i for i, line in enumerate(lines) if name in line]
    found = exact or [i for i, line in enumerate(lines) if any(fnmatch(name, p) for p in line)]
    assert len(found) == 1, (
        f"montezarr.{module}: {len(found)} lines of the room {room!r} in tests/layers.py have it:"
        " put it on the line below all that it imports"
    )
    return list(ROOMS).index(room), found[0]


@pytest.mark.parametrize("module", [name for name in files() if name != "__init__"])
def test_a_module_imports_from_rooms_and_lines_above_its_own(module):
    outside = {"__init__"} if top(module) in USERS_OF_THE_PUBLIC_LIST else set()
    for target in sorted(own_imports(module) - outside):
        assert target != "__init__", f"montezarr.{module} imports montezarr itself"
        assert place(target) < place(module), (
            f"montezarr.{module} imports montezarr.{target}, which does not stand above it in"
            " tests/layers.py"
        )


def test_the_list_of_public_names_imports_what_is_quick_to_import():
    # The page on the dashboard comes in with the first run.
    assert {top(target) for target in own_imports("__init__")} == {"core", "accessor", "monitor"}


def test_no_two_modules_import_each_other_by_any_way():
    graph = {module: own_imports(module) - {"__init__"} for module in files()}
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))
    assert len(order) == len(files())


def test_the_table_names_what_there_is():
    assert {top(module) for module in files()} == {*ROOMS, "__init__"}
    assert len(ROOMS) <= 16
    there = {(top(module), name_inside(module)) for module in files()}
    for room, lines in LINES.items():
        for name in (name for line in lines for name in line):
            found = {inside for home, inside in there if home == room and fnmatch(inside, name)}
            assert found, f"tests/layers.py: nothing in the room {room!r} is called {name!r}"


def test_no_module_has_the_name_of_a_public_function():
    functions = {name for name in montezarr.__all__ if isfunction(getattr(montezarr, name))}
    assert not functions & {module.split(".")[0] for module in files()}
    for module in files():
        package, _, name = module.removesuffix(".__init__").rpartition(".")
        if name in functions:  # in a package that hands out that function, one would hide the other
            home = importlib.import_module(f"montezarr.{package}")
            assert not isfunction(vars(home).get(name)), module


@pytest.mark.parametrize("package", PLACES)
def test_a_heavy_package_comes_in_where_the_design_says(package):
    rooms = list(ROOMS)
    lowest = min(rooms.index(top(module)) for module in users(package) - {"accessor"})
    assert rooms[lowest] == PLACES[package]


@pytest.mark.parametrize("package", ONLY_IN)
def test_a_package_is_used_in_its_own_place_alone(package):
    found = {top(module) for module in users(package)}
    assert found == ONLY_IN[package]


def test_all_packages_that_are_imported_are_declared_or_known():
    known = {"numpy", "dask", "distributed", "xarray", "cloudpickle", "joblib", "loky", *ONLY_IN}
    imported = {top(name) for module in files() for name in imports(module)}
    assert imported - sys.stdlib_module_names - {"montezarr"} <= known


def test_the_picture_in_the_docs_is_that_of_the_table():
    spec = importlib.util.spec_from_file_location("drawing", DOCS / "_ext/layers.py")
    drawing = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(drawing)
    assert drawing.PICTURE.read_text(encoding="utf-8") == drawing.draw(ROOMS), (
        "run python docs/_ext/layers.py"
    )


def test_nothing_outside_the_samplers_asks_for_one_by_name():
    named = []
    for path in sorted(SOURCE.rglob("*.py")):
        if path.parent.name == "samplers":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            parts = [node.left, *node.comparators] if isinstance(node, ast.Compare) else []
            texts = {part.value for part in parts if isinstance(part, ast.Constant)}
            named += [f"{path.name}:{node.lineno}" for text in texts if text in INTERFACES]
    assert not named, "ask the Interface of a sampler for a fact instead"
