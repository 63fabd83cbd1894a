"""`simulate`, `plan` and `replay`: the Dataset, its recipe, its chunks and what they cost."""

import json
import os
import pickle
import re
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import cloudpickle
import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from dask.sizeof import sizeof
from patience import PATIENCE

import montezarr as mz
from montezarr.random.seeding import BLOCK, RootSeed
from montezarr.run import Run, _tasks_alive, chunk_policy
from montezarr.run._recipe import fingerprint
from montezarr.run._tasks_alive import run_of_recipe
from montezarr.run.digests import digest_of

MIB = 2**20
GBM = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
HESTON = mz.Heston(mu=0.03, kappa=2.0, theta=0.04, xi=0.3, rho=-0.7)
CHAIN = mz.MarkovChain(transition=[[0.9, 0.1], [0.5, 0.5]], states=["calm", "storm"])


def recipe(ds):
    return json.loads(ds.attrs["montezarr"])


def run_python(code, *arguments, **environment):
    """Return what a fresh interpreter prints, with warnings as errors."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- the Dataset -----------------------------------------------------------------------------


def test_a_dataset_has_a_variable_with_path_and_time_and_one_coordinate():
    ds = mz.simulate(GBM, 5000, 10, dt=0.1, x0=100.0, seed=42)
    assert isinstance(ds, xr.Dataset)
    assert dict(ds.sizes) == {"path": 5000, "time": 11}
    assert list(ds.data_vars) == ["x"]
    assert list(ds.coords) == ["time"]
    assert ds.x.dims == ("path", "time")
    assert isinstance(ds.x.data, da.Array)
    assert ds.x.dtype == np.dtype("float64")
    np.testing.assert_array_equal(ds.time, np.arange(11) * 0.1)
    assert ds.time.attrs == {"axis": "T", "long_name": "time"}
    assert list(ds.attrs) == ["montezarr"]


def test_components_are_variables_on_the_same_dimensions():
    ds = mz.simulate(HESTON, 100, 3, seed=42)
    assert list(ds.data_vars) == ["s", "v"]
    assert {variable.dims for variable in ds.data_vars.values()} == {("path", "time")}


def test_states_that_are_labels_carry_cf_flags():
    ds = mz.simulate(CHAIN, 100, 3, seed=42)
    assert ds.x.attrs["flag_meanings"] == "calm storm"
    np.testing.assert_array_equal(ds.x.attrs["flag_values"], np.array([0, 1], "int32"))
    assert ds.x.attrs["flag_values"].dtype == ds.x.dtype


def test_states_are_of_the_dtype_asked_for():
    for process in (GBM, HESTON, CHAIN, mz.RandomWalk()):
        for dtype in process.dtypes:
            ds = mz.simulate(process, 50, 3, seed=1, dtype=dtype)
            for name in ds.data_vars:
                assert ds[name].dtype == ds[name].compute().dtype == np.dtype(dtype)


def test_given_times_are_the_grid():
    times = [0.0, 0.1, 0.5, 2.0]
    ds = mz.simulate(mz.BrownianMotion(mu=1.0, sigma=0.0), 3, times=times, seed=1)
    np.testing.assert_array_equal(ds.time, times)
    np.testing.assert_allclose(ds.x[0], times)
    assert recipe(ds)["grid"] == {"times": times}
    late = mz.simulate(mz.BrownianMotion(mu=1.0, sigma=0.0), 3, 2, times=[5.0, 6.0, 7.0], seed=1)
    np.testing.assert_allclose(late.x[0], [0.0, 1.0, 2.0])


def test_a_run_of_no_steps_holds_the_initial_states():
    for process, x0 in ((GBM, 100.0), (HESTON, (1.0, 0.04)), (CHAIN, "storm")):
        ds = mz.simulate(process, 5, 0, x0=x0, seed=1).compute()
        assert dict(ds.sizes) == {"path": 5, "time": 1}
    assert (ds.x == 1).all()


def test_keep_leaves_the_kept_times_in_the_coordinate():
    ds = mz.simulate(GBM, 100, 10, dt=0.5, seed=1, keep=[0, 5, -1])
    np.testing.assert_array_equal(ds.time, [0.0, 2.5, 5.0])
    assert recipe(ds)["keep"] == [0, 5, 10]
    assert recipe(ds)["grid"]["T"] == 10
    assert mz.simulate(GBM, 100, 10, seed=1, keep=1).time.size == 11


def test_everyday_xarray_works_on_it_and_the_recipe_stays():
    ds = mz.simulate(GBM, 3000, 4, seed=1, chunks=1024)
    late = ds.isel(time=-1, path=slice(5, 2500))
    assert recipe(late) == recipe(ds)
    payoff = (late.x - 1).clip(min=0).rename("payoff")
    expected = np.maximum(late.x.values - 1, 0)
    np.testing.assert_array_equal(payoff.values, expected)
    np.testing.assert_allclose(payoff.mean("path"), expected.mean())
    assert ds.sel(time=2.0).x.shape == (3000,)


# --- the recipe ------------------------------------------------------------------------------


def test_the_recipe_is_json_with_seeds_as_decimal_strings():
    ds = mz.simulate(GBM, 10, 5, dt=0.25, x0=100.0, seed=2**200 + 1)
    assert recipe(ds) == {
        "format": 1,
        "sampler": "sample",
        "process": {"name": "GeometricBrownianMotion", "mu": 0.05, "sigma": 0.2},
        "grid": {"T": 5, "dt": 0.25},
        "x0": 100.0,
        "seed": {"entropy": str(2**200 + 1)},
        "variables": [{"name": "x", "dtype": "float64"}],
    }


def test_what_determines_no_value_is_not_in_the_recipe():
    base = mz.simulate(GBM, 10, 5, seed=1)
    for changes in ({"n_paths": 5000}, {"chunks": 1}, {"on_nonfinite": "keep"}):
        other = mz.simulate(GBM, **({"n_paths": 10, "T": 5, "seed": 1} | changes))
        assert other.attrs["montezarr"] == base.attrs["montezarr"]


def test_what_determines_a_value_is_in_the_recipe():
    base = {"process": GBM, "n_paths": 10, "T": 5, "seed": 1}
    changed = [
        {"process": mz.GeometricBrownianMotion(mu=0.05, sigma=0.3)},
        {"process": mz.BrownianMotion()},
        {"T": 6},
        {"dt": 0.5},
        {"T": None, "times": [0, 1, 2, 3, 4, 5.5]},
        {"x0": 2.0},
        {"x0": np.arange(1.0, 11.0)},
        {"x0": np.arange(2.0, 12.0)},
        {"x0": da.ones(10)},
        {"seed": 2},
        {"seed": [1, 0]},
        {"seed": np.random.SeedSequence(1, spawn_key=(1,))},
        {"dtype": "float32"},
        {"keep": 2},
    ]
    texts = [mz.simulate(**(base | change)).attrs["montezarr"] for change in ({}, *changed)]
    assert len(set(texts)) == len(texts)


@pytest.mark.parametrize(
    "seed",
    [
        0,
        2**64,
        np.int64(9),
        [1, 2, 3],
        (7,),
        np.arange(3, dtype="uint64"),
        np.random.SeedSequence(4),
        np.random.SeedSequence([1, 2], spawn_key=(3, 4), pool_size=8),
    ],
    ids=repr,
)
def test_any_seed_is_recorded_so_that_the_run_can_be_repeated_from_json(seed):
    ds = mz.simulate(GBM, 10, 5, seed=seed)
    recorded = recipe(ds)["seed"]
    assert all(
        isinstance(word, str) for word in np.ravel([recorded["entropy"]]) if word is not None
    )
    again = mz.simulate(GBM, 10, 5, seed=RootSeed.from_dict(recorded))
    assert again.attrs == ds.attrs
    np.testing.assert_array_equal(again.x, ds.x)
    if isinstance(seed, np.random.SeedSequence):
        by_hand = mz.Draws.of(seed, n=10).normal(0)
    else:
        sequence = np.random.SeedSequence([int(w) for w in seed] if np.ndim(seed) else int(seed))
        by_hand = mz.Draws.of(sequence, n=10).normal(0)
    expected = np.exp(0.05 - 0.02 + 0.2 * by_hand)
    np.testing.assert_allclose(ds.x[:, 1], expected, rtol=1e-14)


def test_no_seed_means_fresh_entropy_that_the_recipe_records():
    first, second = (mz.simulate(GBM, 10, 5) for _ in "ab")
    entropy = int(recipe(first)["seed"]["entropy"])
    assert 2**64 < entropy < 2**128
    assert recipe(second)["seed"] != recipe(first)["seed"]
    again = mz.simulate(GBM, 10, 5, seed=entropy)
    np.testing.assert_array_equal(again.x, first.x)
    np.testing.assert_array_equal(first.x, first.x)


def test_a_recipe_is_the_same_in_every_process():
    code = """
        import json, sys
        import numpy as np
        import montezarr as mz
        from montezarr.run.digests import digest_of

        class Model:
            options = ("a", "b")

            def __init__(self):
                self.names = {"x", "y", "z", frozenset({"u", "v", "w"})}
                self.table = {frozenset({"p", "q", "r"}): np.arange(3), "k": 1.5}
                self.kinds = np.array(["a", None, 3], object)

            def sample_path(self, T, x0, rng):
                allowed = 1 in {1, 2, "a", "b", "c"}
                return rng.standard_normal(T + 1) * allowed

        ds = mz.simulate(Model(), 5, 3, seed=1, x0="b")
        print(ds.attrs["montezarr"])
        print(digest_of([Model, Model(), {"one", "two", "three"}, lambda t, x: t in {"a", "b"}]))
    """
    texts = {run_python(code, PYTHONHASHSEED=seed) for seed in ("0", "4242")}
    assert len(texts) == 1
    assert '"code": "' in texts.pop()


def make_function(constant):
    return lambda rng: [constant * rng.random()]


def make_class(constant):
    class Model:
        def sample_path(self, T, x0, rng):
            return constant * rng.standard_normal(T + 1)

    return Model()


def make_subclass(factor):
    class Base:
        scale = factor

        def sample_path(self, T, x0, rng):
            return self.scale * rng.standard_normal(T + 1)

    class Derived(Base):
        pass

    return Derived()


def make_default(constant):
    def function(rng, c=constant):
        return [c * rng.random()]

    return function


def make_keyword(constant):
    def function(*, rng, c=constant):
        return [c * rng.random()]

    return function


def make_cached(constant):
    @lru_cache
    def table():
        return constant

    return lambda rng: [table() * rng.random()]


def make_dataclass(constant):
    @dataclass(frozen=True)
    class Model:
        scale: float

        def sample_paths(self, n, T, x0, rng):
            return self.scale * rng.standard_normal((n, T + 1))

    return Model(constant)


@pytest.mark.parametrize(
    "make",
    [
        make_function,
        make_class,
        make_subclass,
        make_default,
        make_keyword,
        make_cached,
        make_dataclass,
    ],
)
def test_what_a_sampler_takes_from_around_it_is_in_its_fingerprint(make):
    T = None if make.__name__ in ("make_function", "make_default", "make_keyword") else 3
    T = None if make is make_cached else T
    ones, twos, ones_again = (mz.simulate(make(c), 5, T, seed=1) for c in (1.0, 2.0, 1.0))
    assert ones.attrs == ones_again.attrs
    assert ones.attrs != twos.attrs
    a, b = dask.compute(ones.x, twos.x)
    np.testing.assert_array_equal(2 * a, b)


SOURCES = {
    "another call": ("rng.random()", "rng.normal()"),
    "another constant": ("rng.random()", "rng.random() + 1"),
    "another operator": ("rng.random() * 2", "rng.random() / 2"),
    "a comprehension": (
        "sum(k * rng.random() for k in range(2))",
        "sum(k + rng.random() for k in range(2))",
    ),
}


@pytest.mark.parametrize("change", SOURCES)
@pytest.mark.parametrize("form", ["function", "class"])
def test_changed_code_changes_the_fingerprint_also_where_there_is_no_source(change, form):
    digests = []
    for body in (*SOURCES[change], SOURCES[change][0]):
        scope = {"__name__": "typed_at_a_prompt"}
        if form == "function":
            exec(f"def model(rng): return {body}", scope)
            digests.append(digest_of(scope["model"]))
        else:
            exec(f"class Model:\n def sample_path(self, T, x0, rng): return {body}", scope)
            digests.append(digest_of(scope["Model"]()))
    assert digests[0] == digests[2]
    assert digests[0] != digests[1]


def test_a_changed_file_changes_the_fingerprint(tmp_path):
    code = """
        import os, sys
        import montezarr as mz
        sys.path.insert(0, sys.argv[1])
        for scale in (1, 2, 1):
            with open(sys.argv[1] + "/model.py", "w") as file:
                file.write(
                    "class Model:\\n"
                    "    def sample_path(self, T, x0, rng):\\n"
                    f"        return {scale} * rng.standard_normal(T + 1)\\n"
                )
            child = os.fork()  # which imports the file for the first time
            if child == 0:
                import model
                recipe = mz.simulate(model.Model(), 5, 3, seed=1).attrs["montezarr"]
                print(recipe.replace("\\n", " "), flush=True)
                os._exit(0)
            os.waitpid(child, 0)
    """
    first, second, third = run_python(code, tmp_path, PYTHONDONTWRITEBYTECODE="1").splitlines()
    assert first == third
    assert first != second


def test_digests_tell_values_apart_by_type_and_content():
    values = [
        1, 1.0, True, "1", b"1", None, 1j, (1,), [1], {1}, frozenset({1}), {1: 2}, {2: 1},
        np.int64(1), np.float32(1), np.array(1), np.array([1]), np.array([1.0]), np.array([[1]]),
        np.array(["a", "b"]), np.array(["a", None], object), np.dtype("f8"), np.sin, np.cos,
        np.ma.masked_array([1, 2], [True, False]), np.ma.masked_array([1, 2], [False, True]),
        np.array([(1, 2.0)], [("a", "i4"), ("b", "f4")]),
        np.array([(1, 2.0)], [("a", "i4"), ("c", "f4")]),
        np.array(["a", "b"], np.dtypes.StringDType()),
        np.array(["a", "c"], np.dtypes.StringDType()),
        len, max, int, float, range(3), range(4), slice(1), ..., Path3(1), Path3(2), textwrap, re,
    ]  # fmt: skip
    digests = [digest_of(value) for value in values]
    assert len(set(digests)) == len(values)
    assert digests == [digest_of(value) for value in values]


@dataclass(frozen=True)
class Path3:
    value: int


def test_a_digest_follows_cycles_without_end():
    knot = [1]
    knot.append(knot)
    other = [2]
    other.append(other)
    assert digest_of(knot) != digest_of(other)

    def calls_itself(rng, depth=0):
        return calls_itself(rng, depth + 1) if depth < 2 else [rng.random()]

    class WithSuper:
        def __init__(self):
            super().__init__()
            self.me = self

        def sample_path(self, T, x0, rng):
            return __class__ is WithSuper and rng.random(T + 1)

    assert mz.simulate(calls_itself, 3, seed=1).x.shape == (3, 1)
    assert mz.simulate(WithSuper(), 3, 2, seed=1).x.shape == (3, 3)


# --- the run behind a Dataset ----------------------------------------------------------------


def test_a_dataset_finds_its_own_run_among_others_of_the_same_recipe():
    sampler = make_function(1.0)
    large = mz.simulate(sampler, 5000, seed=1, chunks=2048)
    small = mz.simulate(sampler, 10, seed=1)
    assert (mz.plan(large).paths, mz.plan(small).paths) == (5000, 10)
    assert (mz.plan(large).chunk_paths, mz.plan(small).chunk_paths) == (2048, 1024)
    del small
    assert mz.replay(large, 4999).x.shape == (1,)
    copy = mz.simulate(sampler, 5000, seed=1, chunks=2048)
    del large
    assert mz.plan(copy).paths == 5000


def test_a_dataset_that_was_computed_is_still_replayed():
    ds = mz.simulate(HESTON, 50, 4, seed=1).compute()
    np.testing.assert_array_equal(mz.replay(ds, 7).v, ds.v[7])
    assert mz.plan(ds).paths == 50


def test_a_run_is_forgotten_with_its_last_array():
    sampler = make_function(3.0)
    ds = mz.simulate(sampler, 10, seed=1)
    key = fingerprint(recipe(ds))
    assert run_of_recipe(key) is not None
    del ds
    assert run_of_recipe(key) is None


DATASETS = {
    "heston": lambda: mz.simulate(HESTON, 40, 5, x0={"s": 100.0, "v": 0.09}, dt=0.1, seed=5),
    "chain": lambda: mz.simulate(CHAIN, 40, 5, x0="storm", seed=[1, 2], dtype="int8"),
    "given times": lambda: mz.simulate(GBM, 40, times=[0, 1, 3.5], seed=2**90, keep=[-1]),
    "float32": lambda: mz.simulate(
        GBM, 40, 5, seed=np.random.SeedSequence(3, spawn_key=(1,), pool_size=8), dtype="float32"
    ),
}


@pytest.fixture(scope="module")
def made_anew(tmp_path_factory):
    """Return what another process says of each of these Datasets."""
    file = tmp_path_factory.mktemp("anew") / "all.pickle"
    file.write_bytes(pickle.dumps({name: make().compute() for name, make in DATASETS.items()}))
    code = """
        import json, pickle, sys
        import numpy as np
        import montezarr as mz
        from montezarr.run import Run
        said = {}
        for key, ds in pickle.loads(open(sys.argv[1], "rb").read()).items():
            run = Run.behind(ds)
            again = mz.replay(ds, 33)
            for name in ds.data_vars:
                np.testing.assert_array_equal(again[name], ds[name][33])
            times = mz.replay(ds, 10**15).sizes["time"]
            said[key] = f"{run.fingerprint} {mz.plan(ds).paths} {times}"
        print(json.dumps(said))
    """
    return json.loads(run_python(code, file))


@pytest.mark.parametrize("name", DATASETS)
def test_a_built_in_run_is_made_anew_from_json_in_another_process(name, made_anew):
    ds = DATASETS[name]()
    assert made_anew[name] == f"{Run.behind(ds).fingerprint} 40 {ds.sizes['time']}"


MODEL = """
import numpy as np

class Trace:
    def __init__(self, times, states):
        self.times, self.states = times, states

class Queue:
    def sample_path(self, T, x0, rng):
        return Trace(np.cumsum(rng.random(T + 1)), rng.integers(0, 9, T + 1))

class Grid:
    def sample_path(self, T, x0, rng):
        return Trace(np.arange(T + 1) ** 2, rng.random(T + 1))

def mixed(rng, T, x0):
    return {"sky": rng.choice(["sun", "rain"], T + 1), "heat": rng.random(T + 1) + x0}

class Other(Queue):
    def sample_path(self, T, x0, rng):
        return Trace(np.cumsum(rng.random(T + 1)), rng.integers(0, 8, T + 1))
"""


def test_a_run_of_ones_own_code_is_made_anew_where_the_code_is_passed(tmp_path):
    (tmp_path / "model.py").write_text(MODEL)
    code = """
        import pickle, sys
        sys.path.insert(0, sys.argv[1])
        import model
        import numpy as np
        import montezarr as mz
        made = {
            "Queue": lambda: mz.simulate(model.Queue(), 20, 4, seed=1),
            "Grid": lambda: mz.simulate(model.Grid(), 20, 4, seed=1, dtype="float32"),
            "mixed": lambda: mz.simulate(
                model.mixed, 20, 4, x0=1.5, seed=1, dtype="float32", labels=["sun", "rain"]
            ),
        }
        if sys.argv[2] == "make":
            data = {name: make().compute() for name, make in made.items()}
            open(sys.argv[1] + "/data.pickle", "wb").write(pickle.dumps(data))
            sys.exit()
        data = pickle.loads(open(sys.argv[1] + "/data.pickle", "rb").read())
        for name, ds in data.items():
            try:
                mz.replay(ds, 3)
            except mz.ReplayError as error:
                assert "Pass it as process=" in str(error), error
            else:
                raise AssertionError(name)
            process = getattr(model, name)
            again = mz.replay(ds, 13, process=process() if isinstance(process, type) else process)
            for variable in ds.data_vars:
                np.testing.assert_array_equal(again[variable], ds[variable][13])
                assert again[variable].dtype == ds[variable].dtype
        try:
            mz.replay(data["Queue"], 3, process=model.Other())
        except mz.ReplayError as error:
            assert "not the sampler" in str(error), error
        else:
            raise AssertionError
        print("done")
    """
    environment = {"PYTHONDONTWRITEBYTECODE": "1"}
    run_python(code, tmp_path, "make", **environment)
    assert run_python(code, tmp_path, "use", **environment).strip() == "done"


def test_what_a_recipe_does_not_hold_is_said_where_a_run_cannot_be_made_anew(monkeypatch):
    def with_options(rng, scale):
        return [scale * rng.random()]

    own_x0 = mz.simulate(GBM, 3, 2, x0=np.arange(1.0, 4.0), seed=1)
    options = mz.simulate(with_options, 3, seed=1, scale=2.0)
    for name in ("_by_name", "_by_recipe"):  # as in another process
        monkeypatch.setattr(_tasks_alive, name, type(getattr(_tasks_alive, name))())
    with pytest.raises(mz.ReplayError, match="x0 is an array"):
        mz.replay(own_x0, 1)
    with pytest.raises(mz.ReplayError, match="got options"):
        mz.replay(options, 1, process=with_options)


def test_a_pickled_lazy_dataset_computes_the_same_paths():
    ds = mz.simulate(make_function(2.0), 3000, seed=1, chunks=1024)
    copy = cloudpickle.loads(cloudpickle.dumps(ds))
    np.testing.assert_array_equal(copy.x, ds.x)
    assert len(cloudpickle.dumps(ds)) < 50_000


@pytest.mark.parametrize("path", [0, 1, 1023, 1024, 2999, 3000, 10**12, 2**62])
def test_replay_returns_one_path_in_memory_with_its_times_and_attributes(path):
    ds = mz.simulate(CHAIN, 3000, 6, dt=0.5, seed=1)
    again = mz.replay(ds, path)
    assert again.x.dims == ("time",)
    assert isinstance(again.x.data, np.ndarray)
    assert again.attrs == {"path": path}
    assert again.x.attrs["flag_meanings"] == "calm storm"
    np.testing.assert_array_equal(again.time, ds.time)
    if path < 3000:
        np.testing.assert_array_equal(again.x, ds.x[path])


# --- chunks and plan -------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("T", [0, 1, 12, 252, 2520, 100_000])
@pytest.mark.parametrize("n_paths", [1, 1023, 10**5, 10**7, 10**9, 10**10])
@pytest.mark.parametrize("workers", [1, 2, 64])
def test_chunks_are_whole_blocks_of_a_useful_size_and_number(
    n_paths, T, dtype, workers, monkeypatch
):
    monkeypatch.setattr(chunk_policy, "memory_limit", lambda: 2**50)  # whatever machine this is
    path_bytes = (T + 1) * np.dtype(dtype).itemsize
    chunk = chunk_policy.choose_chunk(n_paths, path_bytes, None, workers, work_bytes=path_bytes)
    n_chunks = -(-n_paths // chunk)
    assert chunk % BLOCK == 0
    assert chunk < n_paths + BLOCK
    if chunk > BLOCK:  # one block may be larger than is aimed at, and is never split
        assert chunk * path_bytes <= 128 * MIB
    if n_chunks > workers:  # else they are even, whatever that comes to
        assert (chunk + BLOCK) * path_bytes > 32 * MIB
    largest = 128 * MIB // path_bytes - BLOCK
    assert n_chunks <= 20_000 or chunk > largest
    total = n_paths * path_bytes
    if total >= 8 * workers * 64 * MIB and chunk > BLOCK:
        assert n_chunks >= 8 * workers


def test_chunks_are_even_where_each_worker_gets_one():
    with mz.backend("synchronous"):
        assert mz.simulate(GBM, 300_000, 20, seed=1).chunksizes["path"] == (199_680, 100_320)
    with mz.backend("threads", n_jobs=2):
        assert mz.simulate(GBM, 300_000, 20, seed=1).chunksizes["path"] == (150_528, 149_472)
        # more than one for each: as they always were
        assert mz.simulate(GBM, 600_000, 20, seed=1).chunksizes["path"][0] == 199_680
    with mz.backend("threads", n_jobs=3):
        assert mz.simulate(GBM, 500_000, 20, seed=1).chunksizes["path"] == (
            166_912,
            166_912,
            166_176,
        )


@pytest.mark.parametrize("variables", [1, 2])
@pytest.mark.parametrize("memory", [2**27, 2**28, 600 * MIB, 2**30, 2**32, 2**40])
def test_chunks_follow_the_memory_of_the_smallest_worker(memory, variables):
    path_bytes = 53 * 8 * variables
    options = {"work_bytes": path_bytes, "worker_bytes": memory}
    chunk = chunk_policy.choose_chunk(4 * 10**6, path_bytes, None, 2, **options)
    free = chunk_policy.choose_chunk(4 * 10**6, path_bytes, None, 2, work_bytes=path_bytes)
    assert chunk <= free
    assert chunk == free or memory < 2**32
    assert chunk == BLOCK or 6 * chunk * path_bytes <= chunk_policy.plain_room(memory)
    if memory == 600 * MIB:
        assert 6 * chunk * path_bytes + chunk_policy.WORKER_PROCESS_BYTES < 0.6 * memory
    most = memory // (2 * path_bytes)
    with pytest.raises(mz.MemoryBudgetError, match=r"^chunks: "):
        chunk_policy.choose_chunk(10**10, path_bytes, most, 2, **options)


def test_a_variable_of_several_does_not_hold_the_others():
    ds = mz.simulate(HESTON, 5000, 20, seed=1, chunks=2048)
    for array in (ds.s, ds.v):
        for block in array.data.to_delayed().ravel():
            values = block.compute(scheduler="synchronous")
            assert values.T.flags.c_contiguous, "paths lie next to one another"
            owner = values
            while getattr(owner, "base", None) is not None:
                owner = owner.base
            held = getattr(owner, "_memory", owner).nbytes
            assert held == values.nbytes


def test_chunks_of_a_run_that_keeps_little_are_measured_by_its_work():
    full = mz.simulate(GBM, 10**8, 252, seed=1)
    ends = mz.simulate(GBM, 10**8, 252, seed=1, keep=[-1])
    assert mz.plan(full).chunk_paths == mz.plan(ends).chunk_paths
    assert mz.plan(ends).chunks >= 16


@pytest.mark.parametrize(
    ("asked", "paths"), [(1, 1024), (1024, 1024), (1025, 2048), (5000, 5120), (10**9, 5120)]
)
def test_chunks_asked_for_are_rounded_up_to_whole_blocks_of_the_run(asked, paths):
    ds = mz.simulate(GBM, 5000, 3, seed=1, chunks=asked)
    assert mz.plan(ds).chunk_paths == paths
    assert ds.x.chunks[0][0] == min(paths, 5000)
    assert sum(ds.x.chunks[0]) == 5000
    assert ds.x.chunks[1] == (4,)


def test_a_plan_adds_up():
    ds = mz.simulate(HESTON, 10_000, 20, seed=1, chunks=2048, dtype="float32")
    with dask.config.set(scheduler="synchronous"):
        plan = mz.plan(ds)
    chunk_bytes = 2048 * 21 * 2 * 4
    assert 0 < plan.seconds_per_path < np.inf
    # How many tasks there are is a matter of how fast the machine is.
    tasks = r"block by block \(paths are drawn in any range\), about \d+ tasks? of [\d,]+ paths"
    assert re.fullmatch(tasks, plan.reduction)
    assert plan.to_dict() == {
        "seconds_per_path": plan.seconds_per_path,
        "process": "Heston",
        "sampler": "sample(draws, grid, x0), counter-based, whole ranges",
        "paths": 10_000,
        "steps": 20,
        "times": 21,
        "chunks": 5,
        "chunk_paths": 2048,
        "chunk_bytes": chunk_bytes,
        "tasks": 5,
        "total_bytes": 10_000 * 21 * 2 * 4,
        "store_bytes": 5 * (chunk_bytes + 2 * 4),
        "workers": 1,
        "worker_bytes": 3 * chunk_bytes,
        "peak_bytes": 3 * chunk_bytes,
        "dask_bytes": 6 * chunk_bytes,
        "backend": "synchronous (dask.config scheduler='synchronous')",
        "reduction": plan.reduction,
        "reduction_bytes": None,
        "store_ratio": None,
        "measured": 0,
        "equation": (
            "dS = μ S dt + √V S dW, dV = κ (θ − V) dt + ξ √V dZ, d⟨W, Z⟩ = ρ dt,"
            " μ = 0.03, κ = 2, θ = 0.04, ξ = 0.3, ρ = -0.7"
        ),
    }
    assert json.loads(json.dumps(plan.to_dict())) == plan.to_dict()
    for text in ("Heston: 10,000 paths of 20 steps", "5 of 2,048 paths", "1,008.0 KiB per worker"):
        assert text in str(plan)


def test_a_plan_counts_the_complete_paths_of_which_little_is_kept():
    T = 10_000
    path_bytes = 8 * (T + 1)
    ds = mz.simulate(GBM, 10_000, T, seed=1, keep=[-1], chunks=1024)
    assert mz.plan(ds).worker_bytes == 3 * (1024 * 8 + (2**25 // path_bytes) * path_bytes)
    one = mz.simulate(lambda rng, T: rng.random(T + 1), 5, T, seed=1, keep=[-1])
    assert mz.plan(one).worker_bytes == 3 * (5 * 8 + path_bytes)


def test_what_cannot_fit_is_refused_with_the_projected_size(monkeypatch):
    monkeypatch.setattr(chunk_policy, "memory_limit", lambda: 2**30)
    with pytest.raises(mz.MemoryBudgetError, match=r"chunks: .*got 1,024 paths .*1\.9 GiB.*1\.0 G"):
        mz.simulate(GBM, 10**6, 250_000, seed=1)
    with pytest.raises(mz.MemoryBudgetError, match=r"chunks: "):
        mz.simulate(GBM, 10**7, 252, seed=1, chunks=10**7)
    with pytest.raises(mz.MemoryBudgetError, match=r"T: .*got 2,000,000,000 steps = 14\.9 GiB"):
        mz.simulate(GBM, 1, 2_000_000_000, seed=1, keep=[-1])
    with pytest.raises(mz.MemoryBudgetError, match=r"n_paths: .*7,812,500,000,000,000 .*chunks"):
        mz.simulate(GBM, 8 * 10**18, 252, seed=1, chunks=1024)
    assert mz.simulate(GBM, 1, 10_000_000, seed=1).x.shape == (1, 10_000_001)


def test_a_dataset_that_is_not_ours_has_no_plan():
    for ds in (xr.Dataset(), xr.Dataset(attrs={"montezarr": "no json"}), 3, None):
        with pytest.raises((mz.ArgumentTypeError, mz.ArgumentValueError), match=r"^ds: expected"):
            mz.plan(ds)
    newer = mz.simulate(GBM, 3, 2, seed=1)
    newer.attrs["montezarr"] = json.dumps(recipe(newer) | {"format": 2})
    with pytest.raises(mz.ArgumentValueError, match=r"format 1, got 2\. It was made by another"):
        mz.replay(newer, 1)


# --- the graph -------------------------------------------------------------------------------


def test_task_names_say_what_is_simulated():
    for process in (GBM, CHAIN, mz.BrownianMotion()):
        ds = mz.simulate(process, 3000, 2, seed=1)
        assert ds.x.data.name.startswith(f"simulate-{type(process).__name__}-")
    heston = mz.simulate(HESTON, 3000, 2, seed=1)
    layers = list(heston.s.data.dask.layers)
    assert any(name.startswith("simulate-Heston-") for name in layers)
    assert any(name in heston.v.data.dask.layers for name in layers if name.startswith("simulate"))


def optimised_tasks(array):
    """Return the tasks of a lazy array as a scheduler gets them."""
    (optimised,) = dask.optimize(array.data)
    return dict(optimised.__dask_graph__())


def test_the_sampler_and_what_is_made_of_it_are_one_task():
    ds = mz.simulate(GBM, 8 * 1024, 12, seed=1, chunks=1024)
    payoff = (ds.x.isel(time=-1) - 1).clip(min=0)
    for reduced in (payoff.mean("path"), ds.x.mean(), (payoff**2).max(), ds.x.std()):
        tasks = optimised_tasks(reduced)
        sources = [task for task in tasks.values() if not task.dependencies]
        # One task for each chunk, which samples and reduces: only small results leave it.
        assert len(sources) == 8
        assert max(sizeof(task()) for task in sources) < 1000


calls = []


class Counted:
    def sample_paths(self, n, T, x0, rng):
        calls.append(rng.bit_generator.seed_seq.spawn_key[-1])
        return {"a": rng.random((n, T + 1)), "b": rng.random((n, T + 1))}


def test_variables_computed_together_are_simulated_once():
    ds = mz.simulate(Counted(), 4 * 1024, 3, seed=1, chunks=1024)
    calls.clear()
    ds.compute(scheduler="synchronous")
    assert sorted(calls) == [0, 1, 2, 3]
    calls.clear()
    dask.compute(ds.a.mean(), (ds.b - ds.a).max(), scheduler="synchronous")
    assert sorted(calls) == [0, 1, 2, 3]


def test_a_part_of_the_paths_simulates_the_chunks_that_hold_it_alone():
    ds = mz.simulate(Counted(), 4 * 1024, 3, seed=1, chunks=1024)
    calls.clear()
    ds.a.isel(path=slice(1100, 1200)).compute(scheduler="synchronous")
    assert calls == [1]


def test_two_calls_make_one_array():
    first, second = (mz.simulate(GBM, 3000, 4, x0=np.ones(3000), seed=1) for _ in "ab")
    assert first.x.data.name == second.x.data.name
    different = mz.simulate(GBM, 3000, 4, x0=np.full(3000, 2.0), seed=1)
    a, b = dask.compute(first.x, different.x)
    np.testing.assert_allclose(2 * a, b)


def test_chunks_hold_their_paths_side_by_side_as_they_were_simulated():
    ds = mz.simulate(GBM, 2000, 4, seed=1)
    is_dense = ds.x.data.map_blocks(lambda chunk: np.array([[chunk.T.flags.c_contiguous]]))
    assert is_dense.compute(scheduler="synchronous").all()


# --- a billion paths -------------------------------------------------------------------------


PEAK = """
import resource
from pathlib import Path

def peak():
    # getrusage also counts the process that this one was started from, on Linux.
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024
"""


def test_a_billion_paths_are_a_dataset_at_once_and_any_of_them_is_replayed_at_once():
    code = """
        import json, sys
        sys.path.insert(0, sys.argv[1])
        import montezarr as mz
        from patience import calls_of
        gbm = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
        def make(n):
            ds = mz.simulate(gbm, n, 252, x0=100.0, dt=1 / 252, seed=42)
            repr(ds), ds._repr_html_()
            return ds
        make(1000)
        before = peak()
        ds = make(10**9)
        taken = peak() - before
        made = calls_of(make, 10**9)
        near, far = mz.replay(ds, 0), mz.replay(ds, 987_654_321)
        replayed = calls_of(mz.replay, ds, 0), calls_of(mz.replay, ds, 987_654_321)
        print(json.dumps([made, taken, replayed, mz.plan(ds).chunks, float(far.x[-1])]))
    """
    here = Path(__file__).parent
    found = json.loads(run_python(PEAK + textwrap.dedent(code), here))
    made, taken, replayed, chunks, last = found
    print(f"Dataset {made} calls, {taken / 1e6:.1f} MB; replay {replayed} calls")
    assert made < 200_000  # of which Dask has two for each chunk
    assert taken < 100e6
    assert replayed[1] <= replayed[0] + 10
    assert replayed[1] < 5000
    assert chunks <= 20_000
    far = mz.simulate(GBM, 1, 252, x0=100.0, dt=1 / 252, seed=42)
    assert mz.replay(far, 987_654_321).x[-1] == last


def test_a_part_of_a_billion_paths_is_reduced_in_bounded_memory():
    code = """
        import json
        import montezarr as mz
        gbm = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
        ds = mz.simulate(gbm, 10**9, 252, x0=100.0, dt=1 / 252, seed=42)
        part = ds.x.isel(path=slice(500_000_000, 501_000_000))
        mean = float(part.isel(time=-1).mean().compute(scheduler="threads", num_workers=2))
        print(json.dumps([mean, peak()]))
    """
    mean, peak = json.loads(run_python(PEAK + textwrap.dedent(code)))
    print(f"mean {mean:.4f}, peak {peak / 1e6:.0f} MB")
    assert abs(mean - 100 * np.exp(0.05)) < 0.15
    assert peak < 2**30


def test_the_chunks_of_a_run_tile_its_paths():
    run = Run.behind(mz.simulate(GBM, 10_000, 3, seed=1, chunks=3000))
    ranges = [run.range_of(chunk) for chunk in range(run.n_chunks)]
    assert ranges[0][0] == 0
    assert ranges[-1][1] == 10_000
    assert all(a[1] == b[0] for a, b in pairwise(ranges))
