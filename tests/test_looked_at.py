"""A reduction of single times draws these alone, with the numbers of the whole paths."""

import numpy as np
import pytest
import xarray as xr

import montezarr as mz
from montezarr.processes._built_in import built_in_processes
from montezarr.random.draws import Draws
from montezarr.random.draws.kept import KeptDraws
from montezarr.random.draws.recursions import Recursions
from montezarr.testing.processes import _start

GRID = {"n_paths": 5000, "T": 12, "dt": 0.1, "seed": 3}
GBM = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
PROCESSES = [
    (GBM, 100.0), (mz.BrownianMotion(mu=0.1, sigma=0.3), 1.0),
    (mz.OrnsteinUhlenbeck(theta=1.0, mu=0.2, sigma=0.5), 0.5),
]  # fmt: skip

SINGLE = {
    "last": lambda x: x.isel(time=-1),
    "first": lambda x: x.isel(time=0),
    "by its label": lambda x: x.sel(time=0.5, method="nearest"),
    "scaled": lambda x: x.isel(time=-1) * 2.0 - 0.5,
    "difference": lambda x: x.isel(time=-1) - x.isel(time=3),
}
SEVERAL = {
    "slice": lambda x: x.isel(time=slice(0, None, 3)),
    "list": lambda x: x.isel(time=[1, 5]),
    "with the whole": lambda x: x.isel(time=-1) - x.mean("time"),
    "maximum": lambda x: x.max("time"),
}


@pytest.fixture
def kept(monkeypatch):
    """The times of every draw that keeps some."""
    seen = []
    over = KeptDraws.over
    monkeypatch.setattr(
        KeptDraws,
        "over",
        lambda draws, times, steps: seen.append(times) or over(draws, times, steps),
    )
    return seen


def numbers(expression):
    with mz.backend("synchronous"):
        return mz.reduce(expression, [mz.Mean(), mz.Variance()])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("process", "x0"), PROCESSES, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("look", [*SINGLE, *SEVERAL])
def test_what_is_looked_at_has_the_numbers_of_whole_paths(process, x0, look, dtype, kept):
    x = mz.simulate(process, x0=x0, dtype=dtype, chunks=2048, **GRID).x
    expression = (SINGLE | SEVERAL)[look](x)
    found = numbers(expression)
    assert bool(kept) == (look in SINGLE)
    computed = expression.compute(scheduler="synchronous")
    given = computed.chunk(path=2048) if computed.chunks is None else computed
    expected = numbers(xr.DataArray(given.data, given.coords, given.dims, "x"))
    for name in found.data_vars:
        np.testing.assert_array_equal(found[name].values, expected[name].values)


def test_only_the_times_that_an_expression_takes_are_drawn(kept):
    x = mz.simulate(GBM, x0=1.0, **GRID).x
    numbers(x.isel(time=-1) / x.isel(time=3))
    assert set(kept) == {(3, 12)}
    kept.clear()
    numbers(mz.simulate(GBM, x0=1.0, keep=[2, 5, 12], **GRID).x.isel(time=1))
    assert set(kept) == {(2, 5, 12), (5,)}  # the first on trial


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("look", [*SINGLE, *SEVERAL])
def test_scenarios_have_the_numbers_of_whole_paths_too(look, dtype, monkeypatch):
    seen = set()
    fill = Recursions.fill

    def noted(self, *arguments):
        seen.add(arguments[-1])  # the times
        return fill(self, *arguments)

    monkeypatch.setattr(Recursions, "fill", noted)
    sigma = xr.DataArray([0.1, 0.4], dims="sigma")
    made = (SINGLE | SEVERAL)[look]
    x = mz.simulate(GBM, x0=100.0, dtype=dtype, chunks=2048, vary={"sigma": sigma}, **GRID).x
    found = numbers(made(x))
    assert any(seen) == (look in SINGLE)
    for i, one in enumerate(sigma.values):
        process = GBM.with_parameters(sigma=one)
        alone = numbers(made(mz.simulate(process, x0=100.0, dtype=dtype, chunks=2048, **GRID).x))
        for name in alone.data_vars:
            np.testing.assert_array_equal(found[name].values[i], alone[name].values)


def test_one_of_the_scenarios_is_looked_at_too():
    sigma = xr.DataArray([0.1, 0.4], dims="sigma")
    x = mz.simulate(GBM, x0=100.0, vary={"sigma": sigma}, **GRID).x
    found = numbers(x.isel(sigma=1, time=-1))
    alone = numbers(mz.simulate(GBM.with_parameters(sigma=0.4), x0=100.0, **GRID).x.isel(time=-1))
    for name in alone.data_vars:
        np.testing.assert_array_equal(found[name].values, alone[name].values)


class Own(mz.GeometricBrownianMotion):
    """A user's process, whose `sample` may do anything with the rows."""


@pytest.mark.parametrize(
    ("process", "options"),
    [
        (Own(mu=0.0, sigma=0.1), {"x0": 1.0}),
        (mz.PoissonProcess(rate=1.0), {}),
        (GBM, {"x0": np.linspace(1.0, 2.0, GRID["n_paths"])}),
        # A path may be infinite in between: it is looked for at all times.
        (mz.GeometricBrownianMotion(mu=0.0, sigma=200.0), {"x0": 1.0, "on_nonfinite": "mask"}),
    ],
    ids=["own", "poisson", "start of each path", "masked"],
)
def test_whole_paths_are_drawn_where_all_times_count(process, options, kept):
    numbers(mz.simulate(process, **options, **GRID).x.isel(time=-1))
    assert not kept


def test_starts_that_are_equal_keep_their_sign():
    still = mz.BrownianMotion(mu=0.0, sigma=0.0)
    for x0 in (0.0, -0.0, 0.0):
        x = mz.simulate(still, n_paths=2, T=1, dt=1.0, x0=x0, seed=1).x.isel(time=0).values
        assert (np.signbit(x) == np.signbit(x0)).all()


@pytest.mark.parametrize("name", built_in_processes())
def test_processes_of_one_recursion_say_so_and_no_others(name):
    cls, grid = built_in_processes()[name], mz.TimeGrid.of(7, 0.1)
    assert cls.is_one_pass or not cls.is_recursion
    for process in cls.examples():
        real = process.dtypes[0] if process.dtypes[0].startswith("float") else "float64"
        draws = Draws.of(1, n=3, dtype=real)
        x0 = process.check_x0(_start(process), process.dtypes[0])
        try:
            found = Recursions.of(draws, [(process, grid, x0)])
        except ValueError:  # the state is no single number
            found = None
        assert (found is not None) == cls.is_recursion
        if cls.is_recursion:
            some = process.sample(KeptDraws.over(draws, (2, 7), 7), grid, x0)
            assert some.tobytes() == process.sample(draws, grid, x0)[[2, 7]].tobytes()


# --- plain Dask ------------------------------------------------------------------------------

INDICES = {
    "last": np.s_[:, -1], "path": np.s_[17], "path and time": np.s_[17, 3],
    "steps": np.s_[100:4000:7, ::2], "paths": np.s_[[5, 3, 2000]],
    "paths and a time": np.s_[[5, 3, 2000], 4], "times": np.s_[:, [1, 5, 2]],
    "both": np.s_[::2, [1, 5, 2]], "turned round": np.s_[::-1, ::-1], "new axis": np.s_[:, None, 3],
    "none": np.s_[0:0], "no time": np.s_[:, 3:3], "from the end": np.s_[-5:, -3:],
}  # fmt: skip


def by_path(rng, T):
    return rng.normal(size=T + 1)


def by_block(rng, n, T):
    return rng.integers(9, size=(n, T + 1))


@pytest.mark.parametrize("index", INDICES)
@pytest.mark.parametrize(
    "process", [GBM, mz.PoissonProcess(rate=3.0), by_path, by_block], ids=lambda p: str(p)[:12]
)
def test_a_slice_by_dask_has_the_values_of_whole_paths(process, index):
    ds = mz.simulate(process, chunks=1024, **(GRID if isinstance(process, mz.Process) else LEAST))
    whole, sliced = ds.x.values, ds.x.data[INDICES[index]]
    right = whole[INDICES[index]]
    np.testing.assert_array_equal(sliced.compute(), right)
    if right.ndim:
        np.testing.assert_array_equal(sliced.T[::2].compute(), right.T[::2])
    assert sliced.dtype == right.dtype


LEAST = {"n_paths": 5000, "T": 12, "seed": 3}


def test_a_slice_by_dask_of_scenarios_has_the_values_of_whole_paths():
    sigma = xr.DataArray([0.1, 0.2, 0.3], dims="sigma", coords={"sigma": [0.1, 0.2, 0.3]})
    x = mz.simulate(GBM, chunks=1024, vary={"sigma": sigma}, **GRID).x
    whole = x.compute()
    for choose in (
        lambda x: x.isel(time=-1), lambda x: x.sel(sigma=0.2), lambda x: x.isel(path=[7, 4000]),
        lambda x: x.isel(sigma=[2, 0], path=5, time=slice(2, 9, 3)),
        lambda x: x.isel(path=slice(0, 0)), lambda x: x.isel(path=slice(0, 0), time=-1),
    ):  # fmt: skip
        xr.testing.assert_identical(choose(x).compute(), choose(whole))


@pytest.mark.parametrize("look", [*SINGLE, "slice"])
def test_dask_draws_the_times_that_are_looked_at(look, kept):
    x = mz.simulate(GBM, x0=100.0, chunks=2048, **GRID).x
    found = (SINGLE | SEVERAL)[look](x).mean("path").compute(scheduler="synchronous")
    # What is looked at in two ways is drawn once, as a whole.
    assert len(kept) == (0 if look == "difference" else 3), kept
    whole = x.compute()
    np.testing.assert_allclose(found, (SINGLE | SEVERAL)[look](whole).mean("path"), rtol=1e-13)


def test_dask_draws_the_paths_that_are_looked_at():
    drawn = []

    def noted(rng, T):
        drawn.append(1)
        return rng.normal(size=T + 1)

    x = mz.simulate(noted, **LEAST).x
    drawn.clear()
    alone = x.isel(path=4017).compute(scheduler="synchronous")
    assert len(drawn) == 1
    np.testing.assert_array_equal(alone, x[4017].values)
    drawn.clear()
    x[100:110].compute(scheduler="synchronous")
    assert len(drawn) == 10
