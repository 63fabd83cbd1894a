"""The public names: one list, imported when asked for, the same everywhere; earlier names work."""

import ast
import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

import montezarr as mz
from montezarr.core.lazy import public_names

SLOW_TO_IMPORT = {"dask", "distributed", "matplotlib", "numba", "scipy", "zarr"}

LAZY = (
    "montezarr",
    "montezarr.processes",
    "montezarr.random.distributions",
    "montezarr.run",
    "montezarr.schemes",
    "montezarr.statistics",
)

MOVED = {
    "montezarr._added": ("added", "montezarr.core.added_fields"),
    "montezarr._checks": ("check_real", "montezarr.core.checks"),
    "montezarr.backends": ("backend", "montezarr.execute"),
    "montezarr.backends._base": ("ProcessBackend", "montezarr.execute._base"),
    "montezarr.draws": ("Draws", "montezarr.random.draws"),
    "montezarr.errors": ("StoreError", "montezarr.core.errors"),
    "montezarr.job": ("load", "montezarr.cli.job"),
    "montezarr.grid": ("TimeGrid", "montezarr.processes.time_grid"),
    "montezarr.risk": ("closed_form_risk", "montezarr.statistics.risk"),
    "montezarr.seeding": ("generate_path_seeds", "montezarr.random.seeding"),
}


FIXED = """
simulate plan replay reduce stream live write open extend verify repair merge VirtualStore batches
report backend plot MonteCarloEngine SimulationResult Path State generate_path_seeds Draws Process
Statistic Storage in_state optimal_batch_size optimal_n_jobs should_parallelize Recipe Report
Source Sample Estimate Snapshot Stream Until StandardError Seconds TimeGrid Scheme Backend Plan
"""
"""Names that stay, whatever else changes: programs use them."""


def run(code, **environment):
    """Return what a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_an_import_brings_in_xarray_and_nothing_that_is_slower():
    loaded = run("import montezarr, sys; print(*{name.split('.')[0] for name in sys.modules})")
    assert "xarray" in loaded
    assert not SLOW_TO_IMPORT & set(loaded)


def test_a_worker_has_the_same_names_and_imports_none_of_them_before_they_are_asked_for():
    code = "import montezarr, sys; print('xarray' in sys.modules, *montezarr.__all__)"
    found, *names = run(code, MONTEZARR_WORKER="1")
    assert found == "False"
    assert names == mz.__all__
    assert callable(mz.reduce)
    code = (
        "import montezarr as mz; print(callable(mz.reduce), callable(mz.stream), mz.plot.__name__)"
    )
    assert run(code, MONTEZARR_WORKER="1") == ["True", "True", "montezarr.plot"]


def test_the_names_that_programs_use_are_there():
    assert set(FIXED.split()) <= set(mz.__all__)


@pytest.mark.parametrize("package", LAZY)
def test_each_name_of_a_stub_is_what_it_says(package):
    module = importlib.import_module(package)
    assert module.__all__ == sorted(n for n in public_names(package) if not n.startswith("_"))
    assert set(module.__all__) <= set(dir(module))
    for name, (home, original) in public_names(package).items():
        assert home.startswith("montezarr")
        expected = importlib.import_module(home)
        if home != package:
            expected = getattr(expected, original)
        else:
            expected = importlib.import_module(f"{home}.{name}")
        assert getattr(module, name) is expected


@pytest.mark.parametrize("package", LAZY)
def test_a_stub_says_each_name_once(package):
    stub = Path(importlib.import_module(package).__file__).with_suffix(".pyi")
    names = [
        alias.asname or alias.name
        for node in ast.parse(stub.read_text()).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.name != "*"
    ]
    assert len(names) == len(set(names))


def test_a_name_that_is_not_there_is_said_to_be_missing():
    with pytest.raises(AttributeError, match="module 'montezarr' has no attribute 'simulat'"):
        _ = mz.simulat
    with pytest.raises(ImportError, match="simulat"):
        exec("from montezarr import simulat", {})
    assert not hasattr(mz.processes, "NoProcess")
    assert not hasattr(mz, "no.such.name")


def test_a_star_brings_in_every_public_name():
    space = {}
    exec("from montezarr import *", space)
    assert set(mz.__all__) <= space.keys()


@pytest.mark.parametrize("old", MOVED)
def test_a_module_that_has_moved_is_found_under_its_earlier_name(old):
    name, new = MOVED[old]
    there = getattr(importlib.import_module(new), name)
    with pytest.warns(DeprecationWarning, match=f"{old} has moved: import {name} from {new}"):
        assert getattr(importlib.import_module(old), name) is there
    with pytest.raises(AttributeError):
        _ = importlib.import_module(old).nothing_of_the_kind
    assert name in dir(importlib.import_module(old))
    space = {}
    with pytest.warns(DeprecationWarning, match=f"{old} has moved"):
        exec(f"from {old} import *", space)
    assert space[name] is there


def test_earlier_names_are_those_of_today_and_say_so():
    with pytest.warns(DeprecationWarning, match="montezarr.Paths is called montezarr.PathCount"):
        assert mz.Paths is mz.PathCount
    ds = mz.simulate(mz.BrownianMotion(), n_paths=2000, T=2, seed=1)
    expected = mz.reduce(ds, "mean", transform=lambda block: block.x**2)
    for function in (
        mz.reduce,
        lambda ds, *a, **k: ds.mz.reduce(*a, **k),
        lambda *a, **k: list(mz.stream(*a, **k))[-1].dataset,
    ):
        with pytest.warns(DeprecationWarning, match="observe= is called transform= now") as caught:
            found = function(ds, "mean", observe=lambda block: block.x**2)
        assert caught[0].filename == __file__  # where a program sees it by default
        assert found.x_mean.equals(expected.x_mean)
    with pytest.warns(DeprecationWarning, match="observe="):
        mz.plan(ds, "mean", observe=lambda block: block.x**2)
    with pytest.raises(mz.ArgumentTypeError, match="observe: expected transform alone"):
        mz.reduce(ds, "mean", observe=abs, transform=abs)


def test_a_sampler_may_use_public_functions_on_processes():
    def looks_at_reduce(rng):  # not of this module, which a worker would import with all of mz
        import montezarr

        paths = montezarr.simulate(montezarr.BrownianMotion(), n_paths=50, T=2, seed=1)
        mean = paths.mz.reduce("mean").x_mean.values
        assert (mean == montezarr.reduce(paths, "mean").x_mean.values).all()
        return rng.standard_normal(3)

    def sampled(backend):
        engine = mz.MonteCarloEngine(looks_at_reduce)
        result = engine.simulate(8, seed=1, parallel=True, n_jobs=1, backend=backend)
        return result.dataset.x.values

    assert sampled("threads").tolist() == sampled("processes").tolist()


TOGETHER = """
import sys, threading
import montezarr
sys.setswitchinterval(1e-4)  # threads take turns often
barrier, failed = threading.Barrier(6), []
def look(name):
    barrier.wait()
    try:
        getattr(montezarr, name)
    except BaseException as error:
        failed.append(repr(error))
names = ["reduce", "backend", "stream", "write", "MonteCarloEngine", "live"]
threads = [threading.Thread(target=look, args=[name]) for name in names]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
assert not failed, failed
"""


def test_threads_may_ask_for_their_first_names_together():
    for _ in range(2):
        run(TOGETHER)
