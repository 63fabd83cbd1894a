"""What an array is: pandas, xarray and Dask are taken, and nothing is read through a mask."""

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import montezarr as mz
from montezarr.statistics.risk import estimate_risk

BM = mz.BrownianMotion(sigma=0.0)
HESTON = mz.Heston(mu=0.03, kappa=2.0, theta=0.04, xi=0.3, rho=-0.7)
N = 4096
STATES = np.stack([np.linspace(90.0, 110.0, N), np.full(N, 0.04)])


def masked(values, where=1):
    """Return values of which one is masked; the number under the mask looks like any other."""
    mask = np.zeros(np.shape(values), bool)
    mask[..., where] = True
    return np.ma.array(values, mask=mask)


def start(x0, n_paths=3, process=BM, **options):
    ds = mz.simulate(process, n_paths, 2, x0=x0, seed=1, **options)
    return ds[next(iter(ds.data_vars))].isel(time=0).values


# --- masks -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "x0",
    [
        masked([1.0, 2.0, 3.0]),
        masked([1, 2, 3]),
        np.ma.masked,
        np.ma.array(5.0, mask=True),
        [1.0, np.ma.masked, 3.0],
        da.ma.masked_array(da.ones(3, chunks=2), mask=[0, 1, 0]),
    ],
    ids=["real", "integer", "constant", "without-dimension", "in-a-list", "dask"],
)
def test_a_masked_initial_state_is_refused_at_the_call(x0):
    with pytest.raises(mz.MontezarrError, match=r"^x0: expected .* masked|^x0: .*Masked ones"):
        mz.simulate(BM, 3, 2, x0=x0, seed=1)


@pytest.mark.parametrize(
    "x0",
    [
        {"s": masked(STATES[0]), "v": 0.04},
        (masked(STATES[0]), 0.04),
        masked(STATES),
        {"s": 100.0, "v": np.ma.masked},
    ],
    ids=["mapping", "tuple", "matrix", "constant"],
)
def test_a_masked_initial_state_of_one_variable_is_refused(x0):
    with pytest.raises(mz.ArgumentValueError, match=r"x0.*: expected entries of which none is mas"):
        mz.simulate(HESTON, N, 2, x0=x0, seed=1)


def test_masked_labels_are_no_initial_states():
    chain = mz.MarkovChain(transition=[[0.5, 0.5], [0.5, 0.5]], states=["a", "b"])
    with pytest.raises(mz.ArgumentValueError, match="none is masked, got 1 masked of 2"):
        mz.simulate(chain, 2, 1, x0=masked(np.array(["a", "b"])), seed=1)


def test_a_mask_that_a_lazy_array_does_not_tell_of_is_met_when_it_is_computed():
    hidden = da.ones(3).map_blocks(lambda b: np.ma.array(b, mask=[0, 1, 0]), meta=np.empty(0))
    ds = mz.simulate(BM, 3, 2, x0=hidden, seed=1)
    with pytest.raises(mz.ArgumentValueError, match=r"x0: .*none is masked"):
        ds.compute(scheduler="synchronous")


def test_a_mask_with_nothing_under_it_is_no_matter():
    assert start(np.ma.array([1.0, 2.0, 3.0], mask=False)).tolist() == [1.0, 2.0, 3.0]
    fit = mz.GeometricBrownianMotion.fit(np.ma.array([1.0, 2.0, 3.0]), dt=1.0)
    assert fit == mz.GeometricBrownianMotion.fit([1.0, 2.0, 3.0], dt=1.0)


PRICES = [100.0, 101.0, 99.0, 102.0, 100.0, 103.0]


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: mz.simulate(BM, 3, times=masked([0.0, 1.0, 2.0]), seed=1), "times"),
        (lambda: mz.GeometricBrownianMotion.fit(masked(PRICES), dt=1.0), "prices"),
        (lambda: mz.MarkovChain.fit(masked([0, 1, 0, 0, 1])), "path"),
        (lambda: mz.MarkovChain.fit([0, np.ma.masked, 0, 1, 0]), "path"),
        (lambda: mz.MarkovChain(transition=masked([[0.5, 0.5], [0.5, 0.5]])), "transition"),
        (lambda: mz.MarkovChain(transition=[masked([0.5, 0.5]), [0.5, 0.5]]), "transition"),
        (lambda: estimate_risk(masked(np.arange(1000.0)), [0.9]), "losses"),
        (lambda: mz.simulate(BM, 3, 2, keep=masked([0, 1]), seed=1), "keep"),
        (lambda: mz.Histogram(masked([0.0, 1.0, 2.0])), "edges"),
        (lambda: mz.simulate(BM, 3, 2, seed=masked([1, 2])), "seed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_masked_argument_is_refused_by_name(call, name):
    with pytest.raises(mz.ArgumentValueError, match=f"^{name}: expected entries of which none is"):
        call()


def test_prices_behind_a_lazy_mask_are_refused():
    prices = xr.DataArray(da.ma.masked_equal(da.from_array(np.array(PRICES)), 101.0), dims="day")
    with pytest.raises(mz.ArgumentValueError, match="prices: expected "):
        mz.GeometricBrownianMotion.fit(prices, dt=1.0)


class Masks:
    """Masks a state of path 5, drawn in any way."""

    def __init__(self, kind):
        setattr(self, kind, getattr(self, f"_{kind}"))

    @staticmethod
    def _hide(z, paths):
        return np.ma.array(z, mask=np.broadcast_to(np.asarray(paths) == 5, z.shape))

    def _sample(self, draws, grid, x0):
        paths = np.arange(draws.start, draws.start + draws.n)
        return self._hide(draws.normal(range(grid.T + 1)), paths)

    def _sample_path(self, T, x0, rng):
        return self._hide(rng.standard_normal(T + 1), rng.bit_generator.seed_seq.spawn_key[0])


@pytest.mark.parametrize("kind", ["sample", "sample_path"])
def test_a_masked_state_of_a_path_fails_the_path_and_a_policy_masks_it(kind):
    ds = mz.simulate(Masks(kind), 10, 3, seed=1)
    with pytest.raises(mz.SamplerError, match=r"path 5: .*none is masked") as caught:
        ds.compute(scheduler="synchronous")
    assert caught.value.path == 5
    ds = mz.simulate(Masks(kind), 10, 3, seed=1, on_error="mask")
    values = ds.x.compute(scheduler="synchronous")
    assert np.flatnonzero(np.isnan(values).any("time")).tolist() == [5]


@pytest.mark.parametrize(
    "returned",
    [
        masked([1.0, 2.0]),
        masked([1, 2]),
        {"a": [1.0, 2.0], "b": masked([1, 2])},
        [np.ma.array(1.0, mask=True), 2.0],
    ],
)
def test_a_masked_result_of_the_first_path_is_refused_at_the_call(returned):
    with pytest.raises(mz.SamplerError, match=r"path 0: .*: expected .* none is masked"):
        mz.simulate(lambda rng: returned, 3, seed=1)


def test_masked_times_of_a_path_and_masked_blocks_are_refused():
    class Path:
        times, states = masked([0.0, 1.0]), [1.0, 2.0]

    with pytest.raises(mz.SamplerError, match="times: expected entries of which none"):
        mz.simulate(lambda rng: Path(), 3, seed=1)

    class Blocks:
        def sample_paths(self, n, T, x0, rng):
            return {"a": masked(rng.random((n, T + 1)))}

    with pytest.raises(mz.SamplerError, match="a: expected entries of which none"):
        mz.simulate(Blocks(), 3, 2, seed=1)


def test_a_masked_coefficient_is_refused():
    process = mz.Diffusion(
        drift=lambda t, x: np.ma.masked_less(x, 10.0), diffusion=lambda t, x: 1.0 + 0 * x
    )
    with pytest.raises(mz.SamplerError, match="drift: expected entries of which none is masked"):
        mz.simulate(process, 3, 2, x0=1.0, seed=1)


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "int16", "bool"])
@pytest.mark.parametrize("how", ["memory", "lazy", "inside"])
def test_statistics_leave_out_what_is_masked_as_xarray_does(dtype, how):
    values = np.array([1, 0, 1, 1, 0, 1, 1, 1]).astype(dtype)
    mask = np.array([0, 1, 0, 0, 0, 1, 0, 0], bool)
    data = da.ma.masked_array(da.from_array(values, chunks=3), mask=da.from_array(mask, chunks=3))
    held = xr.Variable(
        "path", data if how != "memory" else data.compute(), fastpath=how == "inside"
    )
    array = xr.DataArray(held, name="x")
    with pytest.warns(mz.MontezarrWarning, match="2 of 8 values are not finite, or masked"):
        found = mz.reduce(array, ["mean", "count"])
    assert found.x_mean == values[~mask].astype(float).mean()
    assert found.x_count == 6


def test_paths_that_an_expression_masks_are_left_out():
    gbm = mz.GeometricBrownianMotion(mu=0.0, sigma=0.2)
    ds = mz.simulate(gbm, 2000, 3, x0=1.0, seed=1, chunks=1024)
    low = ds.x.copy(data=da.ma.masked_less(ds.x.data, 1.0)).isel(time=-1)
    last = ds.x.isel(time=-1).values
    with pytest.warns(mz.MontezarrWarning, match="not finite, or masked"):
        found = mz.reduce(low, ["mean", "count"])
    assert found.x_count == (last >= 1.0).sum()
    assert found.x_mean == pytest.approx(last[last >= 1.0].mean(), rel=1e-12)


def test_what_a_function_of_numpy_masks_in_chunks_is_left_out():
    x = xr.DataArray(da.arange(8.0, chunks=4), dims="path", name="x")
    high = xr.apply_ufunc(
        lambda a: np.ma.masked_less(a, 3), x, dask="parallelized", output_dtypes=[float]
    )
    with pytest.warns(mz.MontezarrWarning, match="3 of 8 values"):
        assert mz.reduce(high, "mean").x_mean == 5.0


def test_integers_masked_behind_the_back_of_their_array_are_an_error():
    data = da.ones(8, chunks=4, dtype=int).map_blocks(
        lambda b: np.ma.array(b, mask=b > 0), meta=np.empty(0, int)
    )
    with pytest.raises(mz.ArgumentValueError, match=r"masked of 4.*astype\(float\)"):
        mz.reduce(xr.DataArray(data, dims="path"), "mean")


def test_densities_and_probabilities_of_what_is_masked_are_nan():
    x = masked([1.0, 2.0, 3.0])
    for found in (
        mz.BrownianMotion().density(x, 1.0, 0.0),
        mz.GeometricBrownianMotion(mu=0.0, sigma=1.0).density(x, 1.0, 1.0),
        mz.PoissonProcess(rate=1.0).probability(masked([1, 2, 3]), 1.0),
        mz.RandomWalk().probability(masked([1, 1, 3]), 3),
        mz.MarkovChain(transition=[[0.5, 0.5], [0.5, 0.5]]).probability(masked([0, 1, 1]), 1, 0),
    ):
        assert np.isnan(np.asarray(found)).tolist() == [False, True, False]


# --- pandas and xarray -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "x0",
    [
        pd.Series([1.0, 2.0, 3.0]),
        pd.Series([1.0, 2.0, 3.0], index=[7, 5, 6]),
        pd.Series([1, 2, 3], dtype="Int64"),
        pd.Index([1.0, 2.0, 3.0]),
        pd.DataFrame({"price": [1.0, 2.0, 3.0]}),
        xr.DataArray([1.0, 2.0, 3.0], dims="path"),
        xr.DataArray([1.0, 2.0, 3.0], dims="path", coords={"path": [0, 1, 2]}),
    ],
    ids=["Series", "indexed", "Int64", "Index", "DataFrame", "DataArray", "labelled"],
)
def test_initial_states_may_be_series_and_tables_of_one_column(x0):
    assert start(x0).tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    "x0",
    [
        pd.Series([1.0, 2.0, 3.0], index=pd.Index([2, 1, 0], name="path")),
        xr.DataArray([1.0, 2.0, 3.0], dims="path", coords={"path": [1024, 1025, 1026]}),
    ],
)
def test_initial_states_labelled_with_other_paths_are_refused(x0):
    with pytest.raises(mz.ArgumentValueError, match="x0: expected entries of the paths 0, 1, 2"):
        mz.simulate(BM, 3, 2, x0=x0, seed=1)


def test_a_table_of_several_columns_is_refused_where_one_is_meant():
    table = pd.DataFrame({"open": PRICES, "close": PRICES})
    with pytest.raises(mz.ArgumentValueError, match="x0: expected a table of one column"):
        mz.simulate(BM, 6, 2, x0=table, seed=1)
    with pytest.raises(mz.ArgumentValueError, match="prices: expected finite numbers in 1"):
        mz.GeometricBrownianMotion.fit(table, dt=1.0)


@pytest.mark.parametrize(
    "x0",
    [
        STATES,
        pd.DataFrame({"v": STATES[1], "s": STATES[0]}),
        xr.DataArray(STATES.T, dims=("path", "variable")),
        da.from_array(STATES, chunks=(1, 1000)),
        {"s": pd.Series(STATES[0]), "v": 0.04},
        {"s": STATES[0].tolist(), "v": 0.04},
        STATES.tolist(),
    ],
    ids=["array", "table", "DataArray", "dask", "Series", "list", "lists"],
)
def test_two_variables_may_start_from_a_matrix_with_one_column_per_path(x0):
    for chunks in (1024, 2048):
        ds = mz.simulate(HESTON, N, 2, x0=x0, seed=1, chunks=chunks)
        np.testing.assert_array_equal(ds.s.isel(time=0), STATES[0])
    assert mz.replay(ds, 1029).s[0] == STATES[0, 1029]


@pytest.mark.parametrize(
    "x0",
    [
        STATES[:, :1024],
        STATES[:, :2048].tolist(),
        STATES.T,
        {"s": STATES[0, :1024], "v": STATES[1, :1024]},
        {"s": STATES[0, :1024].tolist(), "v": 0.04},
        da.from_array(STATES[:, :1024]),
        np.ones((2, N, 1)),
    ],
)
@pytest.mark.parametrize("chunks", [1024, 2048])
def test_a_matrix_that_is_not_one_per_path_is_refused_at_the_call(x0, chunks):
    with pytest.raises(mz.ArgumentValueError, match="x0: expected "):
        mz.simulate(HESTON, N, 2, x0=x0, seed=1, chunks=chunks)


def test_one_state_of_all_paths_may_stand_in_a_list():
    for x0 in ([[100.0], [0.04]], np.array([[100.0], [0.04]]), {"s": [100.0], "v": 0.04}):
        assert (start(x0, N, HESTON) == 100.0).all()


def test_series_and_indices_are_taken_wherever_arrays_are():
    chain = mz.MarkovChain(
        transition=pd.DataFrame([[0.9, 0.1], [0.5, 0.5]]), states=pd.Index(["calm", "storm"])
    )
    assert chain == mz.MarkovChain(transition=[[0.9, 0.1], [0.5, 0.5]], states=["calm", "storm"])
    assert start(pd.Series(["storm", "calm"]), 2, chain).tolist() == [1, 0]
    path = ["calm", "storm", "calm", "calm", "storm"]
    expected = mz.MarkovChain.fit(path)
    for given in (pd.Series(path), pd.Index(path), pd.DataFrame({"sky": path})):
        assert mz.MarkovChain.fit(given, states=pd.Index(["calm", "storm"])) == expected
    expected = mz.GeometricBrownianMotion.fit(PRICES, dt=1.0)
    for given in (pd.Series(PRICES), pd.DataFrame({"close": PRICES}), xr.DataArray(PRICES)):
        assert mz.GeometricBrownianMotion.fit(given, dt=1.0) == expected
    ds = mz.simulate(BM, 3, times=pd.Index([0.0, 1.0, 3.0]), keep=pd.Series([0, 2]), seed=1)
    assert ds.time.values.tolist() == [0.0, 3.0]
    words = mz.simulate(lambda rng: ["a", "b"], 3, labels=pd.Index(["a", "b"]), seed=1)
    assert words.x.attrs["flag_meanings"] == "a b"
    seeds = [mz.simulate(mz.BrownianMotion(), 3, 2, seed=s).x for s in (pd.Index([1, 2]), [1, 2])]
    np.testing.assert_array_equal(*seeds)
    assert mz.Autocorrelation(pd.Index([1, 2])) == mz.Autocorrelation([1, 2])


def test_a_transition_table_in_two_orders_of_labels_is_refused():
    table = pd.DataFrame([[0.9, 0.1], [0.5, 0.5]], index=["a", "b"], columns=["b", "a"])
    with pytest.raises(mz.ArgumentValueError, match="transition: expected rows in the order"):
        mz.MarkovChain(transition=table)


def test_a_function_may_return_series_and_a_table_with_a_column_per_variable():
    def sampler(rng):
        z = rng.standard_normal(3)
        return pd.DataFrame({"z": z, "k": [1, 2, 3]}, index=[5, 6, 7])

    ds = mz.simulate(sampler, 4, seed=1).compute()
    assert (ds.z.dtype, ds.k.dtype) == (np.dtype("float64"), np.dtype("int64"))
    np.testing.assert_array_equal(ds.z[2], sampler(child(2)).z)
    series = mz.simulate(lambda rng: pd.Series(rng.random(3)), 4, seed=1).x
    np.testing.assert_array_equal(series[3], child(3).random(3))


def child(path):
    return np.random.default_rng(np.random.SeedSequence(1, spawn_key=(path,)))


# --- a mapping for a function ----------------------------------------------------------------


def first_of(rng, x0):
    assert set(x0) == {"a", "b", "c"}
    assert isinstance(x0["a"], int)
    x0["c"].append("written")  # it is the path's own
    return [float(x0["a"]), x0["b"], len(x0["c"])]


@pytest.mark.parametrize(
    "a", [np.arange(5), pd.Series(range(5)), da.arange(5, chunks=2), xr.DataArray(np.arange(5))]
)
def test_a_function_gets_the_entry_of_its_path_of_each_array_in_a_mapping(a):
    ds = mz.simulate(first_of, 5, x0={"a": a, "b": 1.5, "c": ["one"]}, seed=1)
    assert ds.x.values.tolist() == [[i, 1.5, 2.0] for i in range(5)]
    assert mz.replay(ds, 3).x.values.tolist() == [3.0, 1.5, 2.0]
    one = mz.simulate(first_of, 5, x0={"a": 3, "b": 1.5, "c": ["one"]}, seed=1)
    np.testing.assert_array_equal(one.x[0], ds.x[3])


def test_an_array_in_a_mapping_has_an_entry_for_each_path():
    with pytest.raises(mz.ArgumentValueError, match=r"x0\['a'\]: .*one entry per path \(7,\)"):
        mz.simulate(first_of, 7, x0={"a": np.arange(5), "b": 1.5, "c": []}, seed=1)
    with pytest.raises(mz.ArgumentTypeError, match="x0: expected names"):
        mz.simulate(first_of, 5, x0={0: np.arange(5)}, seed=1)


def test_blocks_get_the_entries_of_their_paths():
    class Blocks:
        def sample_paths(self, n, T, x0, rng):
            x0["a"] += 1.0
            return x0["a"][:, None] + np.zeros((n, T + 1))

    ds = mz.simulate(Blocks(), 2000, 1, x0={"a": np.arange(2000.0)}, seed=1, chunks=1024)
    np.testing.assert_array_equal(ds.x[:, 1], np.arange(2000.0) + 1.0)


def test_a_vectorised_sampler_gets_the_array_itself():
    class Counters:
        def sample(self, draws, grid, x0):
            x0 += 1.0
            return x0 + np.zeros((grid.T + 1, draws.n))

    given = np.arange(5.0)
    ds = mz.simulate(Counters(), 5, 1, x0={"x": given}, seed=1)
    for _ in range(2):
        assert ds.x[:, 1].values.tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert given.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_runs_of_other_entries_have_other_recipes():
    def recipe(a):
        return mz.simulate(first_of, 2, x0={"a": a, "b": 1.0, "c": []}, seed=1).attrs["montezarr"]

    assert recipe(np.array([1, 2])) == recipe(np.array([1, 2])) != recipe(np.array([1, 3]))


def test_a_range_of_initial_states_has_one_for_each_path_as_a_list_has():
    def start(rng, T, x0):
        return x0 + np.zeros(T + 1)

    for process in (start, mz.BrownianMotion(mu=0.0, sigma=1.0)):
        taken = mz.simulate(process, 3, 2, range(3), seed=1)
        xr.testing.assert_identical(taken, mz.simulate(process, 3, 2, [0, 1, 2], seed=1))
        np.testing.assert_array_equal(taken.x.isel(time=0), [0, 1, 2])
        with pytest.raises(mz.ArgumentValueError, match="one entry per path"):
            mz.simulate(process, 3, 2, range(4), seed=1)
