"""Random reductions: each is what NumPy makes of the same values, and the same in any chunks."""

import itertools
import traceback
import warnings

import numpy as np
import xarray as xr

import montezarr as mz
from chaos import recipes

MOST = 4000
"""Paths of a reduction, at most."""


def values_of(rng, shape):
    """Return values at random: of some law, scale and dtype, some of them not finite."""
    laws = (
        lambda: rng.standard_normal(shape),
        lambda: rng.exponential(size=shape) + 1e6,
        lambda: rng.standard_t(5, shape) * 1e-8,
        lambda: rng.integers(-5, 6, shape).astype(float),
        lambda: np.full(shape, 3.25),
    )
    out = laws[rng.integers(len(laws))]()
    kind = rng.random()
    if kind < 0.5:
        spoilt = rng.random(shape) < rng.choice([0.001, 0.05, 0.9])
        out[spoilt] = rng.choice([np.nan, np.inf, -np.inf], spoilt.sum())
    elif kind < 0.6:
        out = rng.integers(-1000, 1000, shape).astype(rng.choice(["int16", "int64", "int32"]))
    elif kind < 0.7:
        out = out.astype(np.float32)
    elif kind < 0.75:
        out = rng.random(shape) < 0.3
    return out


def data(rng):
    """Return an array of paths, in memory."""
    n = int(rng.integers(1, MOST)) if rng.random() < 0.8 else int(rng.choice([1, 2, 1024, 2048]))
    dims = ("path", *[("time", "asset")[i] for i in range(rng.integers(0, 3))])
    shape = (n, *(int(k) for k in rng.integers(1, 5, len(dims) - 1)))
    array = xr.DataArray(values_of(rng, shape), dims=dims, name="x")
    return array.transpose(*rng.permutation(dims)) if rng.random() < 0.2 else array


STATISTICS = {
    "count": lambda v: len(v),
    "mean": lambda v: v.mean(),
    "variance": lambda v: v.var(ddof=1),
    "std": lambda v: v.std(ddof=1),
    "min": lambda v: v.min(),
    "max": lambda v: v.max(),
    "skewness": lambda v: _moment(v, 3),
    "kurtosis": lambda v: _moment(v, 4) - 3,
}
"""By name, what NumPy makes of the finite values of a cell."""

LEAST = {"variance": 2, "std": 2, "skewness": 3, "kurtosis": 4}
"""Values that a statistic needs; 1 where nothing is said."""

RTOL = {"skewness": 1e-5, "kurtosis": 1e-5, "variance": 1e-7, "std": 1e-7}


def _moment(v, k):
    centred = v - v.mean()
    return (centred**k).mean() / (centred**2).mean() ** (k / 2)


def check_numpy(array, found, names):
    """Assert that results are those of NumPy."""
    whole = array.transpose("path", ...).values
    for name in names:
        result = found[f"x_{name}"].transpose(*[d for d in array.dims if d != "path"]).values
        for index in np.ndindex(whole.shape[1:]):
            cell = whole[(slice(None), *index)].astype(np.float64)
            cell = cell[np.isfinite(cell)]
            got = float(result[index])
            if len(cell) < LEAST.get(name, 1) and name != "count":
                assert np.isnan(got) or len(cell) > 0 or array.dtype.kind in "iub", (name, got)
                continue
            if name in ("skewness", "kurtosis") and cell.std() <= 1e-9 * abs(cell).max():
                continue  # of values that are all the same, up to rounding, it is of no meaning
            right = float(STATISTICS[name](cell))
            scale = float(abs(cell).max(initial=0.0)) ** {"variance": 2}.get(name, 1)
            slack = 1e-12 * (scale if name not in ("skewness", "kurtosis") else 1.0)
            close = np.isclose(got, right, rtol=RTOL.get(name, 1e-9), atol=slack)
            assert close, f"{name} at {index}: {got!r}, NumPy {right!r}"


def check_quantile(array, found, q):
    """Assert that a quantile lies between order statistics of about its rank."""
    whole = array.transpose("path", ...).values
    result = found["x_quantile"].transpose(..., "quantile").values[..., 0]
    for index in np.ndindex(whole.shape[1:]):
        cell = whole[(slice(None), *index)].astype(np.float64)
        cell = np.sort(cell[np.isfinite(cell)])
        if len(cell) == 0:
            continue
        place = q * (len(cell) - 1)
        low, high = cell[int(np.floor(place))], cell[int(np.ceil(place))]
        slack = 1e-3 * max(abs(low), abs(high)) + 1e-300
        got = float(result[index])
        assert low - slack <= got <= high + slack, f"q{q} at {index}: {got}, {low} to {high}"


def chunked(rng, array):
    """Return an array in random chunks along the paths."""
    n = array.sizes["path"]
    if rng.random() < 0.3:
        return array.chunk(path=max(1, n // int(rng.integers(1, 6))))
    cuts = sorted({0, n, *(int(c) for c in rng.integers(0, n + 1, rng.integers(0, 6)))})
    sizes = tuple(b - a for a, b in itertools.pairwise(cuts))
    return array.chunk(path=sizes)


def one_in_memory(rng):
    """Reduce arrays in memory and in chunks, with masks, and compare with NumPy."""
    array = data(rng)
    names = [str(name) for name in rng.permutation(list(STATISTICS))[: rng.integers(1, 5)]]
    q = float(rng.choice([0.05, 0.5, 0.9]))
    statistics = [*names, mz.Quantile([q])]
    if rng.random() < 0.4 and array.dtype.kind == "f":
        keep = xr.DataArray(rng.random(array.sizes["path"]) < 0.7, dims="path")
        array = array.where(keep)
    whole = mz.reduce(array, statistics)
    check_numpy(array, whole, names)
    check_quantile(array, whole, q)
    for place in ("synchronous", "threads"):
        with mz.backend(place, 2):
            again = mz.reduce(chunked(rng, array), statistics)
        check_same(again, whole)


def one_in_groups(rng):
    """Reduce by a group of each path, and compare with NumPy within each."""
    array = data(rng).astype(np.float64)
    groups = xr.DataArray(rng.integers(0, 3, array.sizes["path"]), dims="path", name="group")
    names = ["mean", "count", "max"]
    whole = mz.reduce(array, names, by=groups)
    for value in whole.group.values:
        part = array.isel(path=np.flatnonzero(groups.values == value))
        if part.sizes["path"]:
            check_numpy(part, whole.sel(group=value), names)
    again = mz.reduce(chunked(rng, array), names, by=groups.chunk(path=-1))
    check_same(again, whole)


def one_of_a_run(rng):
    """Reduce expressions of a simulated run, drawn and computed."""
    case = recipes.Case(rng, None)
    name = list(case.right.data_vars)[rng.integers(len(case.right.data_vars))]
    if case.right[name].dtype.kind not in "fiu":
        return
    makers = (
        lambda x: x,
        lambda x: x.isel(time=-1),
        lambda x: (x - x.isel(time=0)).clip(min=0),
        lambda x: x.where(x > 0),
        lambda x: x**2,
        lambda x: x.isel(time=slice(None, None, 2)),
    )
    of_codes = isinstance(case.process, mz.MarkovChain)
    make = makers[rng.integers(2 if of_codes else len(makers))]
    array = make(case.right[name]).rename("x")
    names = [str(key) for key in rng.permutation(["count", "mean", "std", "min", "max"])[:3]]
    names = [mz.Proportion()] if of_codes else names
    right = mz.reduce(array, names)
    if array.dtype == np.float64:
        check_numpy(array, right, names)
    results = []
    for place in ("synchronous", "threads"):
        with mz.backend(place, 2):
            results.append(mz.reduce(make(case.simulated()[name]).rename("x"), names))
    for found in results:
        check_same(found, right)


def check_same(found, right):
    """Assert that results are the same, bit for bit."""
    assert set(found.data_vars) == set(right.data_vars)
    for name in right.data_vars:
        one, other = found[name], right[name].transpose(*found[name].dims)
        equal = np.array_equal(one.values, other.values, equal_nan=one.dtype.kind == "f")
        assert equal, f"{name}: {one.values.ravel()[:3]}, {other.values.ravel()[:3]}"


KINDS = (one_in_memory, one_in_memory, one_in_groups, one_of_a_run)


def one(number, seed, folder):
    """Return what differs for one reduction, as text."""
    rng = np.random.default_rng([seed, number, 1])
    kind = KINDS[number % len(KINDS)]
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kind(rng)
    except Exception:
        text = traceback.format_exc(limit=-3)
        return [f"reduction {number} of seed {seed}, {kind.__name__}:\n{text}"]
    return []


def run(numbers, seed):
    """Return what differs in reductions of these numbers, as texts."""
    return recipes.run(numbers, seed, one)
