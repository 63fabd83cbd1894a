"""Expressions of xarray across scenarios: reduced block by block, with and without an end."""

import warnings

import numpy as np
import pytest
import xarray as xr

import montezarr as mz
from montezarr.core.errors import ArgumentValueError

GBM = mz.GeometricBrownianMotion(mu=0.03, sigma=0.2)
SIGMA, MU = [0.1, 0.2, 0.3, 0.45], [0.0, 0.05]
VARY = {
    "sigma": xr.DataArray(SIGMA, dims="sigma", coords={"sigma": SIGMA}),
    "mu": xr.DataArray(MU, dims="mu", coords={"mu": MU}),
}
WEIGHTS = xr.DataArray([1.0, 2.0, 3.0, 4.0], dims="sigma", coords={"sigma": SIGMA})
PAIRS = [xr.DataArray(entries, dims="pair") for entries in ([1, 0, 1], [0, 1, 0], [0, 2, 3])]
GROUPS = xr.DataArray([0, 0, 1, 1], dims="sigma", coords={"sigma": SIGMA}, name="group")


def spread(a):
    return a.max(axis=-1) - a.min(axis=-1)


def over_sigma(function, p, out=()):
    return xr.apply_ufunc(
        function, p, input_core_dims=[["sigma"]], output_core_dims=[list(out)],
        dask="parallelized", output_dtypes=[float],
    )  # fmt: skip


def beside(p):
    """Put scenarios side by side along one dimension, less their mean."""
    stacked = p.stack(scenario=["sigma", "mu"])
    return stacked - stacked.mean("scenario")


# Of p, the payoff (sigma, mu, path).
QUICK = {
    "difference": lambda p: p - p.sel(sigma=0.2),
    "mean": lambda p: p.mean("sigma"),
    "diff": lambda p: p.diff("sigma"),
    "interp": lambda p: p.interp(sigma=[0.15, 0.25], mu=0.02),
    "dot": lambda p: p.dot(WEIGHTS),
    "where": lambda p: p.where(p.sel(sigma=0.2) > 0, 0.0),
    "ratio": lambda p: (p + 1) / (p.sel(sigma=0.2) + 1),
    "concat": lambda p: xr.concat([p.sel(sigma=0.1), p.sel(sigma=0.3)], dim="sigma"),
    "pairs": lambda p: p.isel(sigma=PAIRS[0]) - p.isel(sigma=PAIRS[2]),
    "points": lambda p: p.isel(sigma=PAIRS[0], mu=PAIRS[1]),
    "differentiate": lambda p: p.differentiate("sigma"),
    "rank": lambda p: over_sigma(lambda a: a.argsort().argsort(), p, ["sigma"]),
    "shift": lambda p: p - p.shift(sigma=1, fill_value=0.0),
    "coarsen": lambda p: p.coarsen(sigma=2).mean(),
    "stack": beside,
    "stack and unstack": lambda p: p.stack(s=["sigma", "mu"]).unstack("s"),
    "broadcast": lambda p: p.sel(sigma=0.2, drop=True).broadcast_like(p),
    "groupby": lambda p: p.groupby(GROUPS).mean(),
}
MORE = {
    "drop": lambda p: p - p.sel(sigma=0.2, drop=True),
    "nearest": lambda p: p - p.sel(sigma=0.21, method="nearest"),
    "several": lambda p: p.sel(sigma=[0.3, 0.1]),
    "slice": lambda p: p.sel(sigma=slice(0.1, 0.3)),
    "two": lambda p: p.isel(sigma=1) - p.isel(sigma=0),
    "reversed": lambda p: p.isel(sigma=slice(None, None, -1)),
    "mean of both": lambda p: p.mean(["sigma", "mu"]),
    "sum": lambda p: p.sum("sigma"),
    "max": lambda p: p.max("sigma"),
    "min": lambda p: p.min("mu"),
    "prod": lambda p: (p / 50).prod("sigma"),
    "quantile": lambda p: p.quantile([0.3, 0.5], "sigma"),
    "median": lambda p: p.median("sigma"),
    "all": lambda p: (p > 0).all("sigma"),
    "any": lambda p: (p > 0).any("sigma"),
    "count": lambda p: p.where(p > 0).count("sigma"),
    "argmax": lambda p: p.argmax("sigma"),
    "idxmax": lambda p: p.idxmax("sigma"),
    "diff of diff": lambda p: p.diff("sigma", n=2),
    "cubic": lambda p: p.interp(sigma=[0.15, 0.25], method="cubic"),
    "interp nearest": lambda p: p.interp(sigma=[0.15, 0.25], method="nearest"),
    "weighted sum": lambda p: p.weighted(WEIGHTS).sum("sigma"),
    "weighted std": lambda p: p.weighted(WEIGHTS).std("sigma"),
    "where without default": lambda p: p.where(p.sel(sigma=0.2) > 0),
    "choice": lambda p: xr.where(p > p.sel(sigma=0.2), 1.0, 0.0),
    "by coordinate": lambda p: p.where(p.sigma > 0.15, drop=True),
    "concat of parts": lambda p: xr.concat(
        [p.isel(sigma=slice(2)), p.isel(sigma=slice(3, 4))], dim="sigma"
    ),
    "cumsum": lambda p: p.cumsum("sigma"),
    "cumprod": lambda p: (p / 50).cumprod("sigma"),
    "roll": lambda p: p.roll(sigma=1),
    "transpose": lambda p: p.transpose("path", "mu", "sigma"),
    "sortby": lambda p: p.sortby("sigma", ascending=False),
    "reindex": lambda p: p.reindex(sigma=[0.31, 0.11], method="nearest"),
    "centred": lambda p: p - p.mean(["sigma", "mu"]),
    "bins": lambda p: p.groupby_bins("sigma", [0, 0.25, 0.5]).mean(),
    "polyfit": lambda p: p.polyfit("sigma", 1).polyfit_coefficients,
    "pad": lambda p: p.pad(sigma=1, mode="edge"),
    "std": lambda p: p.std("sigma", ddof=1),
    "weights": lambda p: p.weighted(WEIGHTS).mean("sigma"),
    "to_array": lambda p: xr.Dataset({"a": p, "b": p**2}).to_array("moment"),
    "integrate": lambda p: p.integrate("sigma"),
    "difference of two": lambda p: p - p.sel(sigma=0.2, mu=0.05),
    "concat of wholes": lambda p: xr.concat([p, 2 * p], dim="kind"),
    "polyval": lambda p: xr.polyval(p.sigma, p.polyfit("sigma", 1).polyfit_coefficients),
    "function of arrays": lambda p: over_sigma(spread, p),
    "new labels": lambda p: p.assign_coords(sigma=[1, 2, 3, 4]).diff("sigma"),
    "new name": lambda p: p - p.rename(sigma="to"),
    "clip": lambda p: p.clip(max=p.sel(sigma=0.3)),
    "fillna": lambda p: p.where(p > 0).fillna(p.sel(sigma=0.2)),
    "interpolate_na": lambda p: p.where(p != 0).interpolate_na("sigma").fillna(0),
    "combine_first": lambda p: p.where(p > 0).combine_first(p.sel(sigma=0.2) * 1),
    "maximum": lambda p: np.maximum(p.sel(sigma=0.1), p.sel(sigma=0.3)),
    "product": lambda p: p.sel(sigma=0.1) * p.sel(sigma=0.3),
    "zeros_like": lambda p: xr.zeros_like(p) + p.sel(sigma=0.2),
    "cov": lambda p: xr.cov(p, p.sel(mu=0.0) * 2, dim="sigma"),
    "outer": lambda p: xr.dot(p, p.rename(sigma="sigma2"), dim="mu"),
    "Dataset": lambda p: xr.Dataset({"a": p.sel(sigma=0.1), "b": p - p.sel(sigma=0.2)}),
    "map": lambda p: p.to_dataset(name="y").map(lambda v: v - v.sel(sigma=0.2)),
    "several sums": lambda p: sum(p.sel(sigma=s, drop=True) for s in (0.1, 0.2, 0.3)),
}
TABLE = [
    *(pytest.param(expression, id=name) for name, expression in QUICK.items()),
    *(pytest.param(f, id=name, marks=pytest.mark.slow) for name, f in MORE.items()),
]


def simulated(n, **more):
    return mz.simulate(GBM, n, T=2, dt=0.5, x0=100.0, seed=1, vary=VARY, **more)


def made(expression, ds):
    payoff = (ds.x.isel(time=-1, drop=True) - 100.0).clip(min=0).rename("payoff")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of mean values of nothing, in NumPy
        obj = expression(payoff)
    return obj if isinstance(obj, xr.Dataset) else obj.rename("value")


@pytest.fixture(scope="module")
def memory():
    return simulated(2500).compute()


def check(found, wanted):
    estimates = [name for name in wanted.data_vars if not str(name).endswith("_nonfinite")]
    assert estimates
    for name in estimates:
        xr.testing.assert_allclose(found[name], wanted[name], rtol=1e-12)


def check_blocks(expression, memory, chunks):
    obj = made(expression, simulated(2500, chunks=chunks))
    assert mz.plan(obj, "mean").reduction.startswith("block by block")
    check(mz.reduce(obj, "mean"), mz.reduce(made(expression, memory), "mean"))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("expression", TABLE)
def test_an_expression_is_reduced_block_by_block(expression, memory):
    """With an end and without, as that of the finite Dataset in memory."""
    check_blocks(expression, memory, 1024)
    *_, last = mz.stream(made(expression, simulated(None)), "mean", until=mz.PathCount(2048))
    check(last.dataset, mz.reduce(made(expression, memory.isel(path=slice(2048))), "mean"))


IN_ONE_CHUNK = ["concat", "points", "differentiate", "shift", "stack"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name",
    [
        *IN_ONE_CHUNK,
        *(
            pytest.param(n, marks=pytest.mark.slow)
            for n in {**QUICK, **MORE}
            if n not in IN_ONE_CHUNK
        ),
    ],
)
def test_an_expression_of_one_chunk_is_reduced_block_by_block(name, memory):
    check_blocks({**QUICK, **MORE}[name], memory, 2560)


def test_a_standard_error_is_that_of_the_paired_difference(memory):
    difference = made(QUICK["differentiate"], simulated(2500, chunks=1024))
    found = mz.reduce(difference, "mean").transpose("sigma", "mu")
    x = memory.x.isel(time=-1).transpose("sigma", "mu", "path").values
    slopes = np.gradient(np.maximum(x - 100.0, 0.0), SIGMA, axis=0)
    np.testing.assert_allclose(found.value_mean, slopes.mean(axis=-1), rtol=1e-12)
    error = slopes.std(axis=-1, ddof=1) / np.sqrt(2500)
    np.testing.assert_allclose(found.value_mean_se, error, rtol=1e-12)


def test_results_are_written_and_read_again(tmp_path):
    ds = simulated(2500, chunks=1024)
    mz.write(ds, tmp_path / "paths")
    wanted = mz.reduce(made(QUICK["concat"], ds), "mean")
    check(mz.reduce(made(QUICK["concat"], mz.open(tmp_path / "paths")), "mean"), wanted)


@pytest.mark.parametrize("n_paths", [1, 4])
def test_few_paths_that_are_as_many_as_scenarios_have_the_same_results(n_paths):
    for name in ("concat", "broadcast", "shift", "stack", "difference"):
        ds = simulated(n_paths)
        found = mz.reduce(made(QUICK[name], ds), "max")
        wanted = mz.reduce(made(QUICK[name], ds.compute()), "max")
        xr.testing.assert_equal(found.value_max, wanted.value_max)


def areas(p):
    return p.cumulative_integrate("sigma")


def test_what_dask_makes_otherwise_is_told_of_and_works_as_a_transform():
    with pytest.raises(ArgumentValueError, match=r"^obj: .*transform=.*n_paths="):
        mz.stream(made(areas, simulated(None)), "mean", until=mz.PathCount(2048))
    *_, last = mz.stream(
        simulated(None), "mean", until=mz.PathCount(2048), transform=lambda ds: made(areas, ds)
    )
    check(last.dataset, mz.reduce(made(areas, simulated(2048)), "mean"))


def test_an_expression_across_paths_has_no_block_function():
    for expression in (lambda p: p - p.mean("path"), lambda p: p.differentiate("path")):
        obj = made(expression, simulated(2500, chunks=1024).assign_coords(path=np.arange(2500.0)))
        assert mz.plan(obj, "mean").reduction.startswith("chunk by chunk")
        found = mz.reduce(obj, "mean")
        check(found, mz.reduce(obj.compute(), "mean").fillna(0))
