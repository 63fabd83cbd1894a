"""Every statistic: the shipped suite, and the public API on every way to the same paths."""

import random
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import xarray as xr
from own_statistics import LargestRange, MeanSquare
from patience import PATIENCE

import montezarr as mz
from montezarr.execute._base import ThreadBackend
from montezarr.statistics._built_in import built_in_statistics
from montezarr.testing import StatisticTests
from montezarr.testing._accumulation import assert_agrees
from montezarr.testing.statistics import built_in_examples

DISCRETE = ("poisson", "three", "zero", "rounded", "tenth", "empty")


class TestEveryBuiltInStatistic(StatisticTests):
    kinds = (*StatisticTests.kinds, "huge")


class TestStatesThatAreObserved(StatisticTests):
    statistics = (mz.Proportion(),)
    kinds = DISCRETE


class TestStatesWithLabels(StatisticTests):
    statistics = (mz.Proportion(), mz.Proportion(states=(4, 0)))
    kinds = DISCRETE
    labels = ((0, "calm"), (1, "windy"), (4, "storm"))


class TestPathsOfOneTime(StatisticTests):
    statistics = (mz.Covariance(), mz.Autocorrelation(0), mz.FirstPassage(0.5), mz.Drawdown())
    times = (1.0,)


class TestStatisticsOfAUser(StatisticTests):
    statistics = (MeanSquare(), LargestRange(), LargestRange(scale=4.0))


def test_a_statistic_of_a_user_works_as_the_built_in_ones_do(tmp_path):
    ds = mz.simulate(mz.BrownianMotion(), n_paths=5000, T=4, seed=1, chunks=1024)
    wanted = mz.reduce(ds, [MeanSquare(), LargestRange(), "mean"])
    x = ds.x.values
    np.testing.assert_allclose(wanted.x_mean_square, (x**2).mean(axis=0), rtol=1e-12)
    assert wanted.x_largest_range == np.ptp(x, axis=1).max()
    for obj in (ds.compute(), ds.chunk(path=777)):
        xr.testing.assert_identical(mz.reduce(obj, [MeanSquare(), LargestRange(), "mean"]), wanted)
    *first, last = mz.stream(ds, [MeanSquare(), LargestRange()])
    xr.testing.assert_identical(last["x_mean_square"], wanted.x_mean_square)
    first[1].save(tmp_path / "state")
    *_, again = mz.stream(ds, [MeanSquare(), LargestRange()], resume_from=tmp_path / "state")
    xr.testing.assert_identical(again.dataset, last.dataset)


def test_every_statistic_is_public():
    for name, kind in built_in_statistics().items():
        assert getattr(mz, name) is kind
        assert name in mz.__all__


# --- one result on every way to the same paths ---------------------------------------------------

N = 5 * 1024 + 300


def without_clash(statistics):
    """Return lists of the statistics, none with two results of one name."""
    lists: list[list[mz.Statistic]] = []
    for statistic in statistics:
        for taken in lists:
            if type(statistic) not in map(type, taken):
                taken.append(statistic)
                break
        else:
            lists.append([statistic])
    return lists


@dataclass(frozen=True)
class Case:
    """Paths, and statistics that are taken of them at once."""

    process: Any
    x0: Any
    statistics: tuple[mz.Statistic, ...]
    vary: Any = None

    def simulate(self, **options):
        return mz.simulate(
            self.process, N, T=4, dt=0.5, x0=self.x0, seed=5, vary=self.vary, **options
        )

    def reduce(self, obj, **options):
        return mz.reduce(obj, self.statistics, **options)

    @property
    def lazy(self):
        """Those of which all coordinates are known before."""
        labels = getattr(self.process, "labels", None)
        source = mz.Source(labels=labels and tuple(enumerate(labels)))
        return [
            statistic
            for statistic in self.statistics
            if not (getattr(statistic, "exact", False) or statistic.adapts_to_data(source))
        ]


def cases():
    gbm = mz.GeometricBrownianMotion(mu=0.05, sigma=0.4)
    one = [s for s in built_in_examples() if s.axis != "variable" and not s.takes_axes]
    of_scenarios = [s for s in built_in_examples() if s.takes_axes]
    own = [MeanSquare(), LargestRange()]
    yield from (Case(gbm, 1.0, tuple(statistics)) for statistics in without_clash([*one, *own]))
    vary = {"sigma": xr.DataArray(np.linspace(0.1, 0.6, 6), dims="scenario")}
    for statistics in without_clash(of_scenarios):
        yield Case(gbm, 1.0, (*statistics, mz.Mean()), vary)
    transition = [[0.9, 0.1, 0.0], [0.2, 0.5, 0.3], [0.0, 0.3, 0.7]]
    chain = mz.MarkovChain(transition=transition, states=["a", "b", "c"])
    yield Case(chain, "a", (mz.Proportion(), mz.Count()))
    walk = mz.RandomWalk(p=0.4)
    yield Case(walk, 3, (mz.Proportion(), mz.Mean(), mz.Quantile(0.5, exact=True)))
    heston = mz.Heston(mu=0.05, kappa=1.5, theta=0.09, xi=0.4, rho=-0.7)
    yield Case(heston, None, (mz.Covariance("variable"), mz.StandardDeviation(), mz.Drawdown()))


CASES = list(cases())


@pytest.fixture(scope="module")
def expected():
    """The results of every case, computed in one thread."""
    with mz.backend("synchronous"):
        return [case.reduce(case.simulate()) for case in CASES]


def test_every_example_is_taken_somewhere():
    taken = {str(statistic) for case in CASES for statistic in case.statistics}
    assert {str(statistic) for statistic in built_in_examples()} <= taken


WAYS: dict[str, Callable[[Case, Any], xr.Dataset]] = {
    "chunks of 1024": lambda case, _: case.simulate(chunks=1024),
    "chunks of 3072": lambda case, _: case.simulate(chunks=3072),
    "rechunked": lambda case, _: case.simulate().chunk(path=777),
    "in memory": lambda case, _: case.simulate(chunks=1024).compute(),
    "from a store": lambda case, path: stored(case.simulate(chunks=1024), path),
    "multiplied by 1": lambda case, _: keeping(case.simulate(chunks=1024), lambda ds: ds * 1),
    "other layout": lambda case, _: case.simulate().transpose(..., "time", "path").compute(),
}


def stored(ds, path):
    mz.write(ds, path / "paths.zarr")
    return mz.open(path / "paths.zarr")


def keeping(ds, function):
    with xr.set_options(keep_attrs=True):
        return function(ds)


@pytest.mark.parametrize("way", WAYS)
def test_results_are_the_same_on_every_way_to_the_same_paths(way, expected, tmp_path):
    for i, (case, wanted) in enumerate(zip(CASES, expected, strict=True)):
        (tmp_path / str(i)).mkdir()
        found = case.reduce(WAYS[way](case, tmp_path / str(i)))
        xr.testing.assert_identical(found, wanted)
        for name, variable in found.variables.items():
            assert variable.values.tobytes() == wanted[name].values.tobytes(), name


@pytest.mark.parametrize("chunks", [1024, None])
def test_lazy_results_are_the_same(chunks, expected):
    for case, wanted in zip(CASES, expected, strict=True):
        ds = case.simulate(chunks=chunks)
        some = mz.reduce(ds, case.lazy, compute=False)
        assert all(array.chunks is not None for array in some.data_vars.values())
        found = some.compute()
        # Without those that adapt to the data, a dimension may keep its name.
        xr.testing.assert_identical(found, mz.reduce(ds, case.lazy))
        for name in found.data_vars:
            assert found[name].values.tobytes() == wanted[name].values.tobytes(), name


PLACES = [
    ("synchronous", 1), ("threads", 1), ("threads", 2), ("processes", 2), ("joblib", 2),
    ("dask", 2), ("ray", 2),
]  # fmt: skip


@pytest.mark.parametrize(("name", "workers"), PLACES)
def test_results_are_the_same_on_every_backend(name, workers, expected):
    with mz.backend(name, workers):
        for case, wanted in zip(CASES, expected, strict=True):
            xr.testing.assert_identical(case.reduce(case.simulate()), wanted)
        rechunked = CASES[0].simulate().chunk(path=777)
        xr.testing.assert_identical(CASES[0].reduce(rechunked), expected[0])


class Late(ThreadBackend):
    """Threads that take their time; the first task ends after the second or third one."""

    name = "threads"

    def __init__(self, seed):
        super().__init__(4)
        self.random, self.ended, self.others = random.Random(seed), [], threading.Event()

    def make_executor(self):
        place = self

        class Pool(ThreadPoolExecutor):
            def submit(self, fn, item):
                wait = place.random.uniform(0.0, 0.02)

                def run():
                    time.sleep(wait)
                    if item[0] == 0:
                        place.others.wait(PATIENCE)
                    result = fn(item)
                    place.ended.append(item[0])
                    if len(place.ended) > place.random.randint(0, 1):
                        place.others.set()
                    return result

                return super().submit(run)

        return Pool(self.workers)


@pytest.mark.parametrize("seed", [1, 2])
def test_results_do_not_depend_on_the_order_in_which_tasks_end(seed, expected):
    for case, wanted in zip(CASES, expected, strict=True):
        with Late(seed) as place:
            xr.testing.assert_identical(case.reduce(case.simulate(chunks=1024)), wanted)
            assert place.ended != sorted(place.ended)


def test_paths_of_float32_are_folded_as_float64():
    for case in CASES:
        if isinstance(case.process, (mz.MarkovChain, mz.RandomWalk)):
            continue
        ds = case.simulate(dtype="float32")
        found, memory = case.reduce(ds), ds.compute()
        assert all(v.dtype != np.float32 for v in found.data_vars.values())
        xr.testing.assert_identical(case.reduce(memory.astype("float64", keep_attrs=True)), found)
        for statistic in () if case.vary else case.statistics:
            if statistic.axis == "variable":
                values = np.stack([memory[name].values.T for name in "sv"]).astype(np.float64)
                check(found, "", statistic, values, mz.Source("", names=("s", "v")))
                continue
            for name, array in memory.data_vars.items():
                values = array.values.T.astype(np.float64)
                values = values[:, None] if statistic.axis == "time" else values
                check(found, f"{name}_", statistic, values, mz.Source(name, ds.time.values))


def check(found, prefix, statistic, values, source):
    """Assert that results are those of the reference of values."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        expected = statistic.reference(values, source)
    arrays = {name: found[prefix + name].values for name in expected}
    if statistic.axis == "time":
        arrays = {name: array[None] for name, array in arrays.items()}
    assert_agrees(arrays, expected, statistic.tolerance)
