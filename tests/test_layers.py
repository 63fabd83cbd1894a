"""Data flows one way: what each module of the package may import."""

import ast
import importlib.util
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from layers import LEVEL_OF, LEVELS, TABLE
from pages import DOCS

import montezarr
from montezarr.samplers import INTERFACES

SOURCE = Path(montezarr.__file__).parent

ANY = {"__init__", "_public", "testing"}
"""What may import everything: the public list, and the suites that test it."""

USERS_OF_THE_PUBLIC_LIST = {"cli"}
"""What stands outside, as a user does, and so may import ``montezarr`` itself."""

PLACES = {
    "dask": {"backends"},
    "xarray": {"run", "watch"},
    "numba": {"draws.kernel"},
}
"""Where the packages that are no part of the bottom come in first: at no level below these."""

ONLY_IN = {
    "zarr": {"store"},
    "matplotlib": {"plot", "live"},
    "IPython": {"live"},
    "ipywidgets": {"live"},
    "tqdm": {"progress"},
    "click": {"cli"},
    "psutil": {"_owner", "chunk_policy", "bench", "report"},
    "google_crc32c": {"store"},
    "obstore": {"store"},
    "numba": {"draws", "samplers"},
    "boost_histogram": {"statistics"},
    "pytest": {"testing"},
    "hypothesis": {"testing"},
    "ray": {"backends"},
    "pandas": {"result"},
    "pyarrow": {"export"},
    "h5netcdf": {"export"},
    "h5py": {"export"},
    "bokeh": {"dashboard"},
    "tornado": {"dashboard"},
    "prometheus_client": {"dashboard"},
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


@pytest.mark.parametrize("module", files())
def test_a_module_imports_from_its_own_level_or_above(module):
    name = top(module)
    if name in ANY:
        return
    assert name in LEVEL_OF, (
        f"montezarr.{module} has no level yet: add {name!r} to the table in tests/layers.py, and"
        " run python docs/_ext/layers.py"
    )
    outside = {"__init__", "_public"} if name in USERS_OF_THE_PUBLIC_LIST else set()
    for target in sorted(own_imports(module) - outside):
        assert top(target) not in ANY, f"montezarr.{module} imports montezarr.{target}"
        assert LEVEL_OF[top(target)] <= LEVEL_OF[name], (
            f"montezarr.{module} of level {LEVEL_OF[name]} imports montezarr.{target} of level"
            f" {LEVEL_OF[top(target)]}"
        )


def test_no_two_modules_import_each_other_by_any_way():
    graph = {module: own_imports(module) for module in files()}
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))
    assert len(order) == len(files())


def test_the_levels_name_what_there_is():
    assert len(LEVEL_OF) == sum(len(names) for names in LEVELS.values())
    there = {top(module) for module in files()} - ANY
    assert there <= LEVEL_OF.keys()
    assert LEVEL_OF.keys() <= there


@pytest.mark.parametrize("package", PLACES)
def test_a_heavy_package_comes_in_where_the_design_says(package):
    levels = {module: LEVEL_OF[top(module)] for module in users(package) if top(module) not in ANY}
    lowest = min(levels.values())
    found = {module for module, level in levels.items() if level == lowest}
    assert {m if m in PLACES[package] else top(m) for m in found} == PLACES[package]


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
    assert drawing.PICTURE.read_text(encoding="utf-8") == drawing.draw(TABLE), (
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
