"""Private names of other packages: where they stand, and what goes on without them."""

import ast
import atexit
import functools
import importlib
import json
import os
import pkgutil
import subprocess
import sys
import threading
from dataclasses import InitVar, dataclass
from importlib.metadata import version
from multiprocessing import spawn
from multiprocessing.pool import Pool
from pathlib import Path
from types import SimpleNamespace

import pytest

import montezarr as mz
from montezarr.core.compat import concurrent_futures, ipykernel, llvmlite, multiprocessing, numba
from montezarr.core.compat import dataclasses as compat_dataclasses
from montezarr.core.compat import joblib as compat_joblib
from montezarr.core.compat import threading as compat_threading
from montezarr.core.compat.table import TABLE, TRIED
from montezarr.core.errors import MissingDependencyError
from montezarr.execute import BACKENDS
from montezarr.execute import dask as dask_backend

SOURCE = Path(mz.__file__).parent
COMPAT = SOURCE / "core/compat"
NAMES = [row.name for row in TABLE]

DOCUMENTED = {"_asdict", "_exit", "_fields", "_make", "_replace", "_repr_html_"}
"""Of NamedTuples, of the module os, and of IPython: their docs have these names."""

LOOK_UP = ("getattr", "hasattr", "setattr", "delattr")


def is_private(name):
    return name.startswith("_") and not (name.startswith("__") and name.endswith("__"))


@functools.cache
def trees():
    """Return the syntax tree of every module."""
    return {path: ast.parse(path.read_text()) for path in sorted(SOURCE.rglob("*.py"))}


@functools.cache
def own_names(path):
    """Return the private names that a module gives to something itself."""
    found = set()
    for node in ast.walk(trees()[path]):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            if getattr(node.value, "id", "") in ("self", "cls"):
                found.add(node.attr)
        elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__slots__":
            found |= set(ast.literal_eval(node.value))
    return {name for name in found if is_private(name)}


def private_uses(path):
    """Yield (line, owner, name) of all that a module takes of something by a private name."""
    for node in ast.walk(trees()[path]):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            yield node.lineno, ast.unparse(node.value), node.attr
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in LOOK_UP:
            name = node.args[1].value if isinstance(node.args[1], ast.Constant) else ""
            if is_private(str(name)):
                yield node.lineno, ast.unparse(node.args[0]), name


def foreign_imports(path):
    """Yield (line, dotted name) of all that a module imports from other packages."""
    for node in ast.walk(trees()[path]):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def test_private_names_of_other_packages_stand_in_their_place_alone():
    found = []
    everywhere = set().union(*(own_names(path) for path in trees()))
    for path in trees():
        if path.parent == COMPAT:
            continue
        at = path.relative_to(SOURCE)
        for line, name in foreign_imports(path):
            parts = name.split(".")
            is_ours = parts[0] in ("montezarr", "__future__")
            if not is_ours and (any(map(is_private, parts)) or name in NAMES):
                found.append(f"{at}:{line} imports {name}")
        for line, owner, name in private_uses(path):
            known = everywhere if owner in ("self", "cls", "super()") else own_names(path)
            is_ours = name in known or (str(at), name) in OF_OURS
            if name not in DOCUMENTED and not is_ours:
                found.append(f"{at}:{line} takes {owner}.{name}")
    assert not found, "look it up in montezarr.core.compat, and add it to the table there"


OF_OURS = {
    ("monitor/display/__init__.py", "_run"),  # of a Stream
    ("run/_run.py", "_run_behind"),  # of a SimulationResult or Snapshot
    ("store/_merge.py", "_tidy"),  # of a Writer
    ("store/format/_commit_state.py", "_take"),
}
"""Private names of this package that another module of it takes."""


def test_no_class_overrides_what_is_private_in_another_package():
    found = []
    for module in pkgutil.walk_packages(mz.__path__, "montezarr."):
        if module.name.startswith("montezarr.core.compat") or module.name.endswith("__main__"):
            continue
        try:
            members = vars(importlib.import_module(module.name))
        except MissingDependencyError:
            continue
        for kind in members.values():
            if not isinstance(kind, type) or kind.__module__ != module.name:
                continue
            foreign = [c for c in kind.__mro__ if not c.__module__.startswith("montezarr")]
            theirs = {name for c in foreign for name in vars(c) if is_private(name)}
            machinery = {name for name in theirs if name.startswith("_abc")} | MACHINERY
            ours = vars(kind).keys() & theirs - machinery
            found += [f"{module.name}.{kind.__name__}.{name}" for name in ours]
    assert not found


MACHINERY = {
    *("_fields", "_field_defaults", "_make", "_replace", "_asdict"),  # of NamedTuples
    *("_is_protocol", "_is_runtime_protocol"),  # of typing.Protocol
}


def test_what_is_looked_up_stands_in_the_table_and_the_other_way_round():
    last = {name.rpartition(".")[2] for name in NAMES}
    assert len(set(NAMES)) == len(NAMES)
    for path in COMPAT.glob("*.py"):
        for line, _, name in private_uses(path):
            assert name in last | own_names(path), f"{path.name}:{line}: {name}"
        for line, name in foreign_imports(path):
            if any(map(is_private, name.split("."))):
                assert name in NAMES, f"{path.name}:{line}: {name}"
    for row in TABLE:
        text = (COMPAT / f"{file_of(row.name)}.py").read_text()
        assert row.name.rpartition(".")[2] in text, row.name
        assert row.without


def file_of(name):
    return "concurrent_futures" if name.startswith("concurrent.") else name.partition(".")[0]


def test_the_versions_that_are_here_were_tried():
    assert {row.package for row in TABLE} == TRIED.keys()
    here = {"python": ".".join(map(str, sys.version_info[:2]))}
    here |= {package: version(package) for package in TRIED.keys() - {"python"}}
    untried = {package: v for package, v in here.items() if v not in TRIED[package]}
    assert not untried, (
        "run the slow tests of this file with these versions, and add them to TRIED in"
        " montezarr/core/compat/table.py"
    )


# --- the import changes nothing ----------------------------------------------------------------

IMPORTED = """
import importlib, json, logging, os, signal, sys, threading, types, warnings
for name in {packages!r}:
    importlib.import_module(name)

def states():
    import dask, matplotlib, numpy
    return {{
        "filters": list(warnings.filters),
        "showwarning": warnings.showwarning,
        "environment": dict(os.environ),
        "signals": [signal.getsignal(s) for s in signal.valid_signals()],
        "hooks": [sys.excepthook, sys.displayhook, sys.unraisablehook, threading.excepthook],
        "path": [list(sys.path), list(sys.meta_path), list(sys.path_hooks)],
        "streams": [sys.stdout, sys.stderr],
        "limits": [sys.getrecursionlimit(), sys.getswitchinterval()],
        "handlers": [list(logging.root.handlers), logging.root.level, logging.root.disabled],
        "dask": repr(dask.config.config),
        "matplotlib": repr(matplotlib.rcParams),
        "numpy": [numpy.geterr(), numpy.geterrcall(), repr(numpy.get_printoptions())],
        "at exit": list(threading._threading_atexits),
        "threads": [t.name for t in threading.enumerate()],
    }}

def attributes():
    found = {{}}
    for name, module in list(sys.modules.items()):
        if not isinstance(module, types.ModuleType) or name == "__main__":
            continue
        for key, value in list(vars(module).items()):
            if callable(value):
                found[name, key] = value
            if isinstance(value, type) and value.__module__ == name:
                found |= {{(name, key, k): v for k, v in vars(value).items() if callable(v)}}
    return found

states(), attributes()  # which loads what is loaded when it is first looked at
before, modules, state = attributes(), set(sys.modules), states()
import montezarr
after = attributes()
changed = [".".join(key) for key, value in before.items() if after.get(key) is not value]
added = [".".join(key) for key in after.keys() - before.keys() if key[0] in modules]
now = states()
changed += [key for key, value in state.items() if now[key] != value]
new = sorted({{n.partition(".")[0] for n in sys.modules.keys() - modules}} - {{"montezarr"}})
print(json.dumps([changed, added, new]))
"""

PACKAGES = [
    *("numpy", "pandas", "dask.array", "dask.distributed", "xarray", "zarr", "numba", "click"),
    *("matplotlib", "psutil", "cloudpickle", "importlib.metadata"),
    *("boost_histogram", "google_crc32c", "multiprocessing.pool", "multiprocessing.spawn"),
    *("multiprocessing.resource_tracker", "concurrent.futures.process", "asyncio", "logging"),
]


def test_the_import_changes_nothing_of_other_packages():
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED.format(packages=PACKAGES)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    changed, added, _ = json.loads(done.stdout)
    assert not changed, changed
    # What xarray's own way to extend it makes, and what modules keep for later.
    assert set(added) <= {"xarray.core.dataset.Dataset.mz", "xarray.Dataset.mz"}


# --- without the names -------------------------------------------------------------------------


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")


def without(groups):
    """Return what is done without each group of names, and with all of them under ""."""
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("without_names.py"), *groups],
        capture_output=True, text=True, check=False,
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"},  # the same bits, and nothing to compile
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def check(found):
    wanted = found.pop("")
    assert not wanted["error"]
    for names, one in found.items():
        assert not one["error"], f"without {names}: {one['error']}"
        assert {"reduce", "stored"} <= one["found"].keys()
        assert one["found"] == {key: wanted["found"][key] for key in one["found"]}, names


@needs_fork
def test_without_all_of_the_names_the_numbers_are_the_same():
    # Zarr, which still has both, calls the one that is ours where the other one is hidden.
    names = [name for name in NAMES if not name.endswith("_decode_single")]
    check(without([",".join(names)]))


@pytest.mark.slow
@needs_fork
def test_without_each_of_the_names_the_numbers_are_the_same():
    found = without(NAMES)
    for name in NAMES:
        if name.startswith(("dask._task", "dask.b", "dask.l", "dask.a", "zarr.c")):
            assert found[name]["met"], f"nobody looks for {name}"
    check(found)


POOL = ["_change_notifier", "_inqueue", "_outqueue", "_result_handler", "_task_handler"]
POOL += ["_taskqueue", "_terminate", "_worker_handler"]


@pytest.mark.parametrize("name", [*POOL, "_reader", "_rlock", "_wlock", "_writer"])
def test_a_pool_of_other_parts_is_ended_by_its_own_means(name):
    def parts(names, **more):
        return SimpleNamespace(**{n: None for n in names if n != name}, **more)

    queue = parts(["_reader", "_rlock", "_wlock", "_writer"])
    done = []
    pool = parts(POOL, terminate=lambda: done.append("terminated"))
    for way in ("_inqueue", "_outqueue"):
        if hasattr(pool, way):
            setattr(pool, way, queue)
    multiprocessing.dismantle(pool, lambda: done.append("killed"), 0.1)
    assert sorted(done) == ["killed", "terminated"]


@pytest.mark.slow
def test_a_pool_of_other_parts_outlives_the_death_of_a_child(monkeypatch):
    def parts(pool):
        raise AttributeError("_worker_handler")

    monkeypatch.setattr(multiprocessing, "_Parts", parts)
    with mz.backend("multiprocessing", n_jobs=1, retries=0) as place:
        with pytest.raises(mz.WorkerDied):
            place.result_of(place.submit(os._exit, 3))
        assert place.result_of(place.submit(abs, -5)) == 5


SCRIPT = """
import json, sys
sys.path.insert(0, {folder!r})
if __name__ == "__main__":
    from without_names import Hiding
    hiding = Hiding({names!r})
    sys.meta_path.insert(0, hiding)
    import montezarr as mz
    ds = mz.simulate(mz.RandomWalk(), n_paths=4096, T=5, seed=1, chunks=1024)
    wanted = mz.reduce(ds.x, "mean")
    with mz.backend({backend}):
        found = mz.reduce(ds.x, "mean")
        stored = mz.write(ds, {store!r})
        computed = ds.compute()
    is_same = stored.compute().equals(computed) and mz.verify({store!r}, 3).ok
    print(found.identical(wanted), is_same, hiding.met > 0)
"""


CLIENT = """__import__("distributed").Client(
        processes=False, n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0"
    )"""


def said(tmp_path, names, backend):
    """Return what a script says that works on a backend without some names."""
    script = tmp_path / "guarded.py"
    folder, store = str(Path(__file__).parent), str(tmp_path / "a.zarr")
    place = CLIENT if backend == "dask" else f"{backend!r}, n_jobs=1"
    script.write_text(SCRIPT.format(folder=folder, names=names, backend=place, store=store))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    return done.stdout, done.stderr


@pytest.mark.slow
def test_without_the_names_of_python_worker_processes_work_for_a_script_with_a_guard(tmp_path):
    names = [row.name for row in TABLE if row.package == "python"]
    assert said(tmp_path, names, "processes") == ("True True True\n", "")


@pytest.mark.slow
@pytest.mark.parametrize("backend", sorted(BACKENDS.keys() - {"ray"}))  # which must be allowed
def test_a_backend_works_without_the_names_that_it_does_not_need(backend, tmp_path):
    if backend.startswith("joblib"):
        pytest.importorskip("joblib")
    # Zarr, which still has both, calls the one that is ours where the other one is hidden.
    kept = ["zarr.codecs.ZstdCodec._decode_single"]
    if backend == "joblib":
        kept.append("joblib.externals.loky")
    out, errors = said(tmp_path, [name for name in NAMES if name not in kept], backend)
    assert out == "True True True\n", errors


@pytest.mark.slow
def test_without_the_names_of_distributed_a_cluster_works(monkeypatch):
    from distributed import Client

    monkeypatch.setattr(dask_backend, "wrap_of", lambda executor: None)
    monkeypatch.setitem(sys.modules, "distributed.comm.addressing", None)
    ds = mz.simulate(mz.RandomWalk(), n_paths=20_000, T=4, seed=1)
    with Client(
        processes=False, n_workers=1, threads_per_worker=2, dashboard_address="127.0.0.1:0"
    ) as client:
        with mz.backend(client):
            found = mz.reduce(ds.x, "mean")
        with mz.backend(client.scheduler.address):
            again = mz.reduce(ds.x, "mean")
    wanted = mz.reduce(ds.x, "mean")
    assert found.identical(wanted)
    assert again.identical(wanted)
    for address in ("tcp://nowhere", "tcp://:1234"):
        with pytest.raises(mz.ArgumentValueError, match="the address of a scheduler"):
            mz.backend(address)


def test_without_its_copy_of_loky_joblib_says_what_to_do(monkeypatch):
    pytest.importorskip("joblib")
    monkeypatch.setitem(sys.modules, "joblib.externals.loky", None)
    monkeypatch.setitem(sys.modules, "loky", None)
    with (
        pytest.raises(mz.MissingDependencyError, match="pip install loky"),
        mz.backend("joblib", n_jobs=1),
    ):
        pass
    monkeypatch.setitem(sys.modules, "joblib.pool", None)
    assert compat_joblib.pool_class() is Pool


def test_dataclasses_that_note_nothing_have_their_fields_and_their_own_methods(monkeypatch):
    @dataclass(frozen=True)
    class Walk:
        scale: float
        unit: InitVar[str] = "m"

    assert list(compat_dataclasses.entries_of(Walk)) == ["scale", "unit"]
    assert compat_dataclasses.options_of(Walk)["frozen"]
    assert compat_dataclasses.options_of(type("Child", (Walk,), {})) is None
    written = [Walk.__init__, Walk.__repr__, Walk.__eq__, Walk.__hash__, Walk.__setattr__]
    assert all(map(compat_dataclasses.is_generated, written))
    assert not compat_dataclasses.is_generated(test_small_things_go_without_what_is_not_there)
    found = {}
    exec("def of_text(): pass", found)
    assert not compat_dataclasses.is_generated(found["of_text"])

    def hidden(thing, name, *default):
        return default[0] if name.startswith("__dataclass_") else getattr(thing, name, *default)

    monkeypatch.setattr(compat_dataclasses, "getattr", hidden, raising=False)
    assert list(compat_dataclasses.entries_of(Walk)) == ["scale"]
    assert compat_dataclasses.options_of(Walk) is None
    monkeypatch.setattr(compat_dataclasses, "_PLACE", (compat_dataclasses.__file__, ""))
    assert not any(map(compat_dataclasses.is_generated, written))


def test_small_things_go_without_what_is_not_there(monkeypatch):
    bare = SimpleNamespace(comm=SimpleNamespace())
    assert concurrent_futures.workers_of(bare) == -1
    concurrent_futures.start_all_at_once(bare)
    llvmlite.add_attribute(bare, "a hint")
    ipykernel.answer_anywhere(bare)
    assert not ipykernel.has_subshells(bare)
    assert not numba.releases_gil(bare)
    numba.keep_apart(bare, "digest")
    registered = []
    monkeypatch.delattr(threading, "_register_atexit")
    monkeypatch.setattr(atexit, "register", registered.append)
    compat_threading.before_executors_end(print)
    assert registered == [print]


# --- the script of the user --------------------------------------------------------------------


def told(name):
    """Return whether a process of this name is told of the script that runs."""
    return "init_main_from" in str(spawn.get_preparation_data(name))


def test_the_script_is_kept_out_of_our_processes_alone_and_while_they_start(monkeypatch):
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", SimpleNamespace(name="a_script"))
    before = spawn.get_preparation_data
    with multiprocessing.script_kept_out(lambda name: name == "ours"):
        assert not told("ours")
        assert told("another")
        with multiprocessing.script_kept_out(lambda name: name == "another"):
            assert not told("another")
        assert told("another")
        assert not told("ours")
    assert spawn.get_preparation_data is before
    assert told("ours")


def test_a_child_that_is_forked_meanwhile_starts_processes_as_any_other():
    before = spawn.get_preparation_data
    with multiprocessing.script_kept_out(lambda name: True):
        multiprocessing._forget()  # what the fork calls
        assert spawn.get_preparation_data is before
    assert spawn.get_preparation_data is before


def test_what_somebody_else_puts_in_the_same_place_stays(monkeypatch):
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", SimpleNamespace(name="a_script"))
    monkeypatch.setattr(spawn, "get_preparation_data", spawn.get_preparation_data)
    with multiprocessing.script_kept_out(lambda name: name == "ours"):
        inner = spawn.get_preparation_data

        @functools.wraps(inner)
        def theirs(name):
            return inner(name) | {"theirs": True}

        spawn.get_preparation_data = theirs
        assert not told("ours")
    assert spawn.get_preparation_data is theirs
    assert told("ours")
    with multiprocessing.script_kept_out(lambda name: name == "ours"):
        assert not told("ours")
        assert spawn.get_preparation_data("ours")["theirs"]
    assert spawn.get_preparation_data is theirs


def test_without_the_place_the_script_is_not_kept_out(monkeypatch):
    monkeypatch.delattr(spawn, "get_preparation_data")
    with multiprocessing.script_kept_out(lambda name: True):
        assert not hasattr(spawn, "get_preparation_data")
