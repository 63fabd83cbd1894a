"""Scenarios whose paths are one recursion each: drawn in one call, and reduced in little memory."""

from dataclasses import dataclass

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import montezarr as mz
from montezarr import Draws
from montezarr.core.tunables.memory import TRANSFORMED_SLAB_BYTES, WHOLE_BLOCK_MAX_BYTES
from montezarr.processes import Process
from montezarr.random.draws import has_kernel, kernel, reference
from montezarr.random.draws.recursions import Recursions
from montezarr.random.seeding import BLOCK
from montezarr.reduction.accumulate import Accumulator, DrawnTask, _task, dump_states
from montezarr.reduction.passes import prepare_reduction
from montezarr.run import cost
from montezarr.run._run import Run
from montezarr.samplers.counter import CounterSampler
from montezarr.samplers.policy import FailureReport
from montezarr.samplers.varied import VariedSampler

T, DT = 7, 0.25
GBM = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
SIGMA = [0.1, 0.35, 0.2]
GRID = mz.TimeGrid.of(T, DT)
DTYPES = ["float64", "float32"]

ONE_PASS = {
    "GeometricBrownianMotion": (GBM, {"sigma": SIGMA, "mu": [0.0, 0.1]}, 100.0),
    "BrownianMotion": (mz.BrownianMotion(), {"sigma": [0.5, 2.0], "mu": [0.0, 1.0]}, 0.0),
    "OrnsteinUhlenbeck": (
        mz.OrnsteinUhlenbeck(theta=2.0, mu=0.1, sigma=0.2),
        {"theta": [0.5, 3.0], "x0": [0.0, 1.0]},
        0.0,
    ),
    "step lengths": (GBM, {"dt": [0.25, 0.5], "sigma": SIGMA}, 100.0),
}


def varied(values):
    return {name: xr.DataArray(v, dims=name, coords={name: v}) for name, v in values.items()}


def grid_of(process, values, x0, **options):
    options = {"n_paths": 3000, "T": T, "dt": DT, "x0": x0, "seed": 3, **options}
    options = {name: value for name, value in options.items() if name not in values}
    return mz.simulate(process, **options, vary=varied(values))


def no_scenario_alone(*_):
    raise AssertionError("a scenario was drawn by itself")


@pytest.mark.skipif(not has_kernel(), reason="needs Numba")
@given(st.integers(0, 2**32), st.sampled_from([0, 1, 13, 500]), st.integers(0, 6), st.booleans(),
       st.sampled_from(DTYPES), st.integers(0, 3), st.none() | st.sets(st.integers(0, 6)),
)  # fmt: skip
@settings(deadline=None, max_examples=30)
def test_several_recursions_are_those_of_the_reference(
    seed, n, steps, exponential, dtype, column, kept
):
    random = np.random.default_rng(seed)
    coefficients = random.uniform(-1, 1, (3, 3, steps))
    normals = random.standard_normal((steps, n)).astype(dtype)
    x0 = random.uniform(0.1, 2, 3).astype(dtype)
    times = None if kept is None else tuple(sorted(k for k in kept if k <= steps))
    count = steps + 1 if times is None else len(times)
    one, other = np.full((2, 3, count, n + column + 2), 7, dtype)
    for module, out in ((kernel, one), (reference, other)):
        module.several_recursions(coefficients, normals, x0, out, column, exponential, times)
    assert one.tobytes() == other.tobytes()
    assert (one[..., :column] == 7).all()  # nothing is written beside the paths
    assert (one[..., column + n :] == 7).all()


@pytest.mark.parametrize("implementation", ["kernel", "reference"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_paths_of_recursions_are_those_of_the_processes(implementation, dtype):
    if implementation == "kernel" and not has_kernel():
        pytest.skip("needs Numba")
    processes = [GBM.with_parameters(sigma=sigma) for sigma in SIGMA]
    draws = Draws.of(1, start=700, n=50, dtype=dtype, implementation=implementation)
    scenarios = [(process, GRID, np.array(80.0 + i)) for i, process in enumerate(processes)]
    found = Recursions.of(draws, scenarios)
    out = np.empty((3, T + 1, 50), dtype)
    found.fill(draws, out, 0)
    for rows, (process, grid, x0) in zip(out, scenarios, strict=True):
        right = process.sample(draws, grid, x0.astype(dtype))
        assert rows.tobytes() == np.ascontiguousarray(right).tobytes()


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirrored(Process):
    """Brownian motion that is changed after its recursion."""

    is_one_pass = is_recursion = True
    sigma: float = 1.0

    def sample(self, draws, grid, x0):
        return np.abs(mz.BrownianMotion(sigma=self.sigma).sample(draws, grid, x0))


def test_processes_that_are_more_than_a_recursion_are_sampled():
    start, draws = np.array(1.0), Draws.of(1)
    assert Recursions.of(draws, [(GBM, GRID, start)]) is not None
    assert Recursions.of(draws, [(Mirrored(), GRID, start)]) is None
    assert Recursions.of(draws, [(GBM, GRID, start), (mz.BrownianMotion(), GRID, start)]) is None
    assert Recursions.of(draws, [(GBM, GRID, np.array([1.0, 2.0]))]) is None
    per_path = GBM.with_arrays({"sigma": np.array([0.2])})
    assert Recursions.of(draws, [(per_path, GRID, start)]) is None
    ds = mz.simulate(
        Mirrored(), n_paths=20, T=T, x0=0.0, seed=3, vary=varied({"sigma": [1.0, 2.0]})
    )
    one = mz.simulate(Mirrored(sigma=2.0), n_paths=20, T=T, x0=0.0, seed=3)
    np.testing.assert_array_equal(ds.x.sel(sigma=2.0), one.x)


@pytest.mark.parametrize("name", ONE_PASS)
@pytest.mark.parametrize("options", [{}, {"dtype": "float32"}, {"keep": 3}], ids=str)
def test_scenarios_are_drawn_in_one_call_and_are_the_separate_runs(name, options, monkeypatch):
    process, values, x0 = ONE_PASS[name]
    ds = grid_of(process, values, x0, **options)
    with monkeypatch.context() as patch:
        patch.setattr(CounterSampler, "draw", no_scenario_alone)
        found = ds.x.compute()
        part = ds.x.isel(path=slice(1200, 1207)).compute()
    np.testing.assert_array_equal(part, found.isel(path=slice(1200, 1207)))
    for place in np.ndindex(*(len(v) for v in values.values())):
        own = {k: v[i] for (k, v), i in zip(values.items(), place, strict=True)}
        arguments = {"x0": own.pop("x0", x0), "dt": own.pop("dt", DT)}
        run = {"n_paths": 3000, "T": T, "seed": 3, **arguments, **options}
        one = mz.simulate(process.with_parameters(**own), **run)
        where = dict(zip(values, place, strict=True))
        np.testing.assert_array_equal(found.isel(where).values, one.x.values)


@pytest.mark.parametrize("exponential", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_recursions_that_are_surely_finite_are_so_with_the_largest_normal_numbers(
    exponential, dtype
):
    top = np.log(float(np.finfo(dtype).max)) if exponential else float(np.finfo(dtype).max)
    steps, known = 5, set()
    for share in (0.01, 0.5, 0.95, 1.05, 3.0):
        for a in (-1.0, 0.5, 1.0, 1.5):
            c = share * top / steps / reference.FURTHEST / max(1.0, abs(a)) ** steps
            coefficients = np.tile(np.array([[a], [0.0], [c]]), (1, 1, steps))
            x0 = np.array([1.0], dtype)
            is_finite = Recursions(coefficients, x0, exponential, 0).is_surely_finite()
            signs = np.sign(a) ** np.arange(steps)[::-1]
            normals = (signs * reference.FURTHEST)[:, np.newaxis].astype(dtype)
            out = np.empty((1, steps + 1, 1), dtype)
            reference.several_recursions(coefficients, normals, x0, out, 0, exponential)
            assert np.isfinite(out).all() or not is_finite
            known.add((share, is_finite))
    assert {(0.01, True), (3.0, False)} <= known
    spoilt = Recursions(np.full((1, 3, 2), np.nan), np.ones(1, dtype), exponential, 0)
    assert not spoilt.is_surely_finite()


def test_scenarios_of_float32_are_drawn_in_one_call(monkeypatch):
    # The paths of one year at these volatilities are far below the largest number.
    sigma = {"sigma": [0.1, 0.4]}
    ds = grid_of(GBM, sigma, 100.0, n_paths=50, T=252, dt=1 / 252, dtype="float32")
    monkeypatch.setattr(CounterSampler, "draw", no_scenario_alone)
    ds.x.compute()


def test_scenarios_that_may_overflow_are_drawn_under_their_policies():
    ds = grid_of(GBM, {"mu": [0.2, 60.0]}, 1e300, n_paths=64, on_nonfinite="mask")
    found = ds.x.compute()
    assert np.isfinite(found.isel(mu=0)).all()
    assert np.isnan(found.isel(mu=1)).any()


# Memory

MANY = {"sigma": np.linspace(0.1, 0.4, 1200).tolist()}


def payoff(ds):
    return (ds.x.isel(time=-1) - 100.0).clip(min=0).rename("payoff")


def test_an_expression_of_many_scenarios_sees_part_of_a_block(monkeypatch):
    ds = grid_of(GBM, MANY, 100.0, n_paths=1100)
    sampler = Run.behind(ds.x).sampler
    width = sampler.path_bytes
    assert width * BLOCK > WHOLE_BLOCK_MAX_BYTES
    task = DrawnTask(sampler, Accumulator(()), lambda drawn: list(drawn.values()), width)
    assert task.slab % task.unit == 0
    assert task.at_once(None) * width <= TRANSFORMED_SLAB_BYTES
    drawn = []
    draw = type(sampler).draw_under

    def noted(self, function, start, stop, x0):
        drawn.append((stop - start) * self.path_bytes)
        return draw(self, function, start, stop, x0)

    monkeypatch.setattr(type(sampler), "draw_under", noted)
    with mz.backend("synchronous"):
        found = mz.reduce(payoff(ds), ["mean", "std", "max"])
    # Also the first paths, on which the expression is tried and the time of a path is measured.
    assert max(drawn) <= 2 * TRANSFORMED_SLAB_BYTES
    monkeypatch.undo()
    for i in (0, 1199):
        process = GBM.with_parameters(sigma=MANY["sigma"][i])
        one = mz.simulate(process, n_paths=1100, T=T, dt=DT, x0=100.0, seed=3)
        right = mz.reduce(payoff(one), ["mean", "std", "max"])
        for name in right.data_vars:
            np.testing.assert_array_equal(found[name].isel(sigma=i), right[name])


def test_the_cost_of_many_scenarios_is_measured_on_few_paths(monkeypatch):
    ds = grid_of(GBM, MANY, 100.0, n_paths=5000, seed=11)
    run = Run.behind(ds.x)
    sizes = []
    draw = type(run.sampler).draw_under

    def noted(self, function, start, stop, x0):
        sizes.append(stop - start)
        return draw(self, function, start, stop, x0)

    monkeypatch.setattr(type(run.sampler), "draw_under", noted)
    assert cost.measure(run) > 0
    assert max(sizes) * run.path_bytes <= TRANSFORMED_SLAB_BYTES


# Values that are not finite, where means show them


class Spoilt:
    """Normal numbers of which some are NaN, infinite, or too large for a sum."""

    def __init__(self, values):
        self.values = values

    def sample(self, draws, grid, x0):
        rows = draws.normal(range(grid.T + 1))
        paths = np.arange(draws.start, draws.start + draws.n)
        for path, value in self.values.items():
            rows[2, paths == path] = value
        return rows


@pytest.mark.parametrize(
    "values",
    [{5: np.nan}, {5: np.inf}, {5: np.inf, 6: -np.inf}, {1: 1.5e308, 2: 1.5e308}, {}],
    ids=str,
)
def test_values_that_are_not_finite_are_left_out_and_counted(values):
    ds = mz.simulate(Spoilt(values), n_paths=1500, T=3, seed=1, on_nonfinite="keep")
    with np.errstate(all="ignore"):
        if any(not np.isfinite(v) for v in values.values()):
            with pytest.warns(mz.MontezarrWarning, match="not finite"):
                found = mz.reduce(ds, ["count", "mean"])
        else:
            found = mz.reduce(ds, ["count", "max"])
    x = ds.x.values
    bad = ~np.isfinite(x)
    np.testing.assert_array_equal(found.x_nonfinite, bad.sum(axis=0))
    np.testing.assert_array_equal(found.x_count, (~bad).sum(axis=0))
    if "x_mean" in found and len(values) != 2:
        right = np.nanmean(np.where(bad, np.nan, x), axis=0)
        np.testing.assert_allclose(found.x_mean, right, rtol=1e-12, atol=1e-14)


def test_nothing_is_reported_of_scenarios_in_one_call():
    sampler = Run.behind(grid_of(GBM, {"sigma": SIGMA}, 100.0).x).sampler
    _, report = sampler.draw_under(no_scenario_alone, 5, 9, None)
    assert report == FailureReport()


# All times of many scenarios: a few scenarios of a block after the other


FEW = {"sigma": np.linspace(0.1, 0.4, 11).tolist()}
STATISTICS = ["mean", "variance", "skewness"]


@pytest.mark.parametrize(
    ("n_paths", "keep", "values"), [(1500, None, MANY), (700, 3, FEW), (2048, None, FEW)]
)
def test_many_scenarios_are_folded_a_few_at_a_time(n_paths, keep, values, monkeypatch):
    ds = grid_of(GBM, values, 100.0, n_paths=n_paths, keep=keep)
    if values is FEW:
        monkeypatch.setattr(_task, "WHOLE_BLOCK_MAX_BYTES", 2**10)
        monkeypatch.setattr(_task, "TRANSFORMED_SLAB_BYTES", 2**17)
    monkeypatch.setattr(VariedSampler, "draw_under", no_scenario_alone)
    monkeypatch.setattr(cost, "measure", lambda *_: 1e-6)
    with mz.backend("synchronous"):
        found = mz.reduce(ds, STATISTICS)
        last = list(mz.stream(ds, STATISTICS))[-1].dataset
    monkeypatch.undo()
    for i in (0, len(values["sigma"]) - 1):
        process = GBM.with_parameters(sigma=values["sigma"][i])
        one = mz.simulate(process, n_paths=n_paths, T=T, dt=DT, x0=100.0, seed=3, keep=keep)
        right = mz.reduce(one, STATISTICS)
        for name in right.data_vars:
            np.testing.assert_array_equal(found[name].isel(sigma=i), right[name])
            np.testing.assert_array_equal(last[name].isel(sigma=i), right[name])


def test_tails_of_scenarios_apart_are_those_of_all(monkeypatch):
    ds = grid_of(GBM, {"sigma": SIGMA, "mu": [0.0, 0.1]}, 100.0, n_paths=5000)
    accumulator = prepare_reduction(ds, "mean", "path", None, None)[1].accumulator
    run = Run.behind(ds.x)
    item = (0, 5000, (2048,), None)
    whole, _ = DrawnTask(run.sampler, accumulator)(item)
    monkeypatch.setattr(_task, "WHOLE_BLOCK_MAX_BYTES", 0)
    monkeypatch.setattr(_task, "TRANSFORMED_SLAB_BYTES", 4 * BLOCK * run.path_bytes // 6)
    monkeypatch.setattr(VariedSampler, "draw_under", no_scenario_alone)
    task = DrawnTask(run.sampler, accumulator)
    apart, report = task(item)
    assert report == FailureReport()
    assert task.bytes_at_once(None, None) == 4 * BLOCK * run.path_bytes // 6
    for (cut, one), (other_cut, other) in zip(whole, apart, strict=True):
        assert cut == other_cut
        assert one.paths == other.paths
        assert dump_states({}, one) == dump_states({}, other)
        for block, pieces in one.pieces.items():
            for a, b in zip(pieces, other.pieces[block], strict=True):
                assert a.start == b.start
                np.testing.assert_array_equal(a.arrays[0], b.arrays[0])


def test_statistics_that_take_all_scenarios_together_see_all(monkeypatch):
    ds = grid_of(GBM, {"sigma": SIGMA}, 100.0, n_paths=2000)
    wanted = mz.reduce(ds, ["mean", "max", "q50"])
    monkeypatch.setattr(_task, "WHOLE_BLOCK_MAX_BYTES", 0)
    monkeypatch.setattr(VariedSampler, "draw_apart", no_scenario_alone)
    xr.testing.assert_identical(mz.reduce(ds, ["mean", "max", "q50"]), wanted)


def test_memory_is_planned_for_the_scenarios_at_once():
    ds = grid_of(GBM, {"sigma": MANY["sigma"]}, 100.0, n_paths=10**6)
    source, layout = prepare_reduction(ds, "mean", "path", None, None)
    assert source.bytes_with(layout.accumulator) <= TRANSFORMED_SLAB_BYTES < source.block_bytes


@pytest.mark.parametrize("span", [(0, 3000), (100, 2500), (1000, 1030), (2048, 3072)])
def test_parts_of_blocks_are_folded_as_whole_blocks_are(span, monkeypatch):
    # In one scenario some paths overflow and are masked; their values are NaN.
    ds = grid_of(GBM, {"mu": [0.2, 60.0]}, 1e300, n_paths=4000, on_nonfinite="mask")
    top = ds.x.max("time").rename("top")
    source, layout = prepare_reduction(top, ["mean", "count"], "path", None, None)
    item = (*span, (2048,), None)
    whole, report = source.task(layout.accumulator)(item)
    assert report.masked
    monkeypatch.setattr(_task, "WHOLE_BLOCK_MAX_BYTES", 0)
    monkeypatch.setattr(_task, "TRANSFORMED_SLAB_BYTES", 48 * source.task(Accumulator(())).width)
    task = source.task(layout.accumulator)
    assert task.slab == 48  # no divisor of a block
    parts, other_report = task(item)
    assert sorted(report.masked) == sorted(other_report.masked)
    for (cut, one), (other_cut, other) in zip(whole, parts, strict=True):
        for state in (one, other):
            layout.accumulator.finish(state, min(cut, span[1]))
        assert cut == other_cut
        assert dump_states({}, one) == dump_states({}, other)
