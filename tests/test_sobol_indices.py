"""Sobol indices and shares of variance: known values, coverage, one pass, any chunks."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from designs import MODELS, STANDARD, run_of, values_by_hand

import montezarr as mz
from montezarr.core.errors import ArgumentTypeError, ArgumentValueError
from montezarr.statistics import Sample, Source

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # the benchmarks are in no package that is installed
calibration = importlib.import_module("benchmarks.calibration")
sys.path.remove(str(ROOT))

REPEATS = 500
"""Samples for coverage, of the seeds 0, 1, ..."""


def close(found, wanted, errors=3.0):
    """Return whether estimates are within so many standard errors of the true values."""
    names = ("out_first_order", "out_total")
    return all(
        (np.abs(found[name] - true) <= errors * found[f"{name}_se"]).all()
        for name, true in zip(names, wanted, strict=True)
    )


def test_known_indices_are_the_published_ones():
    np.testing.assert_allclose(MODELS["ishigami"][2][0], [0.3139, 0.4424, 0.0], atol=5e-5)
    np.testing.assert_allclose(MODELS["ishigami"][2][1], [0.5576, 0.4424, 0.2437], atol=5e-5)
    assert MODELS["g"][2][0].sum() < 1 < MODELS["g"][2][1].sum()


@pytest.mark.parametrize("model", MODELS)
def test_indices_are_within_three_standard_errors_of_the_known_ones(model):
    found = mz.reduce(run_of(model, 20_000), mz.SobolIndices())
    names = MODELS[model][1]
    assert found.out_first_order.dims == ("parameter",)
    assert found.parameter.values.tolist() == list(names)
    assert close(found, MODELS[model][2])
    assert found.out_total_se.max() < 0.02
    assert found.out_first_order_se.max() < 0.02


def held(found, true, name):
    """Return how many intervals (repeat) hold the true value of each parameter."""
    low, high = found[f"x_{name}_low"], found[f"x_{name}_high"]
    return ((low <= true) & (true <= high)).sum("repeat").values


def assert_rule(counts, n):
    for count in np.ravel(counts):
        cell = calibration.Cell("index", "interval", "model", n, REPEATS, int(count))
        assert cell.verdict == "pass", counts


@pytest.mark.slow
@pytest.mark.parametrize("n", [300, 2000])
@pytest.mark.parametrize("model", MODELS)
def test_intervals_of_indices_hold_by_the_rule(model, n):
    rows = [values_by_hand(model, n, np.random.default_rng(seed)) for seed in range(REPEATS)]
    x = xr.DataArray(np.stack(rows, axis=-1), dims=("path", "repeat"), name="x")
    found = mz.reduce(x, mz.SobolIndices(MODELS[model][1]))
    for name, wanted in zip(("first_order", "total"), MODELS[model][2], strict=True):
        true = xr.DataArray(wanted, dims="parameter")
        assert_rule(held(found, true, name), n)


@pytest.mark.slow
@pytest.mark.parametrize("replicates", [2, 5])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_intervals_of_shares_hold_by_the_rule(replicates, share):
    n = 300
    rows = []
    for seed in range(REPEATS):
        rng = np.random.default_rng(seed)
        # Skewed parameters, and noise whose size depends on them.
        shape = rng.exponential(size=n)
        noise = rng.standard_normal((n, replicates)) * np.sqrt(shape)[:, None]
        rows.append((np.sqrt(share) * shape[:, None] + np.sqrt(1 - share) * noise).ravel())
    x = xr.DataArray(np.stack(rows, axis=-1), dims=("path", "repeat"), name="x")
    found = mz.reduce(x, mz.VarianceShares(replicates))
    assert_rule(held(found, share, "parameter_share"), n)
    assert_rule(held(found, 1 - share, "noise_share"), n)


def test_noise_is_left_where_all_parameters_are_known():
    def f(rng, n, a, b):
        return {"out": a + 0.0 * b + 2.0 * rng.normal(size=n)}

    design = mz.saltelli({"a": STANDARD, "b": STANDARD}, 20_000)
    ds = mz.simulate(f, design.n_paths, vary=design, dims={"out": ()}, seed=3)
    assert close(mz.reduce(ds, mz.SobolIndices()), ([0.2, 0.0], [1.0, 0.8]))


def test_parameters_and_noise_share_the_variance():
    def f(rng, n, a):
        return {"out": a + 2.0 * rng.normal(size=n)}

    design = mz.nested({"a": STANDARD}, 5_000, replicates=4)
    ds = mz.simulate(f, design.n_paths, vary=design, dims={"out": ()}, seed=3)
    found = mz.reduce(ds, mz.VarianceShares())
    assert abs(found.out_parameter_share - 0.2) < 3 * found.out_parameter_share_se
    assert found.out_parameter_share + found.out_noise_share == pytest.approx(1.0)
    assert found.out_parameter_share_se < 0.01
    # A parameter of its own, drawn for each group, has no noise at all.
    assert found.a_parameter_share.item() == pytest.approx(1.0)


def arrays_of(found):
    return {name: array.values.tobytes() for name, array in found.data_vars.items()}


def test_chunks_memory_streams_and_stores_give_the_same_bits(tmp_path):
    ds = run_of("ishigami", 1500)  # 7500 paths: base points extend over all blocks
    wanted = arrays_of(mz.reduce(ds.out, mz.SobolIndices()))
    for chunks in (1024, 3072):
        again = run_of("ishigami", 1500, chunks=chunks)
        assert arrays_of(mz.reduce(again.out, mz.SobolIndices())) == wanted
    assert arrays_of(mz.reduce(ds.out.chunk(path=777), mz.SobolIndices())) == wanted
    assert arrays_of(mz.reduce(ds[["out"]].compute(), mz.SobolIndices())) == wanted
    assert arrays_of(mz.reduce(ds.out.compute(), mz.SobolIndices(["x", "y", "z"]))) == wanted
    *_, last = mz.stream(ds.out, mz.SobolIndices())
    assert arrays_of(last.dataset[list(wanted)]) == wanted
    small = run_of("ishigami", 500, chunks=1024)
    mz.write(small, tmp_path / "s.zarr", statistics=[mz.SobolIndices()])
    mz.extend(tmp_path / "s.zarr", 7500, ds=small)
    stored = mz.open(tmp_path / "s.zarr")
    assert arrays_of(mz.reduce(stored.out, mz.SobolIndices())) == wanted
    kept = mz.open(tmp_path / "s.zarr", group="statistics")
    assert arrays_of(kept[list(wanted)]) == wanted


def test_a_run_without_end_stops_at_an_error():
    ds = run_of("ishigami", None)
    *_, last = mz.stream(ds.out, mz.SobolIndices(), until=mz.StandardError(abs=0.02))
    assert close(last.dataset, MODELS["ishigami"][2])
    n_paths = last.dataset.attrs["n_paths"]
    whole = run_of("ishigami", None, n_paths=-(-n_paths // 5) * 5)
    wanted = mz.reduce(whole.out.isel(path=slice(0, n_paths)), mz.SobolIndices())
    assert arrays_of(last.dataset[list(wanted)]) == arrays_of(wanted)


def test_stores_of_ranges_join_to_the_bits_of_one_run(tmp_path):
    ds = run_of("ishigami", 1500, chunks=1024)
    wanted = mz.reduce(ds.out, mz.SobolIndices())
    for name, paths in {"a": range(3072), "b": range(3072, 7500)}.items():
        mz.write(ds, tmp_path / name, paths=paths, statistics=[mz.SobolIndices()])
    part = mz.reduce(mz.open(tmp_path / "b"), mz.SobolIndices())
    own = mz.open(tmp_path / "b", "statistics")
    np.testing.assert_allclose(own.out_total, part.out_total, rtol=1e-12)
    assert np.abs(part.out_total - wanted.out_total).max() < 0.2  # base points by path index
    mz.merge([tmp_path / "a", tmp_path / "b"], tmp_path / "all")
    kept = mz.open(tmp_path / "all", "statistics")
    assert arrays_of(kept[list(wanted)]) == arrays_of(wanted)
    assert arrays_of(mz.reduce(mz.open(tmp_path / "all").out, mz.SobolIndices())) == arrays_of(
        wanted
    )


def test_cells_are_times_and_scenarios():
    def f(rng, n, T, a, b, scale):
        steps = np.arange(T + 1)
        return {"out": scale * a[:, None] + steps * b[:, None]}

    design = mz.saltelli({"a": STANDARD, "b": STANDARD}, 3000)
    vary = {design.names: design, "scale": xr.DataArray([1.0, 3.0], dims="scale")}
    ds = mz.simulate(f, design.n_paths, 2, vary=vary, seed=2)
    found = mz.reduce(ds.out, mz.SobolIndices())
    assert found.out_total.dims == ("scale", "time", "parameter")
    b = ds.time**2 / (ds.scale**2 + ds.time**2)
    wanted = xr.concat([1 - b, b], "parameter")
    off = np.abs(found.out_first_order - wanted) / found.out_first_order_se.clip(1e-9)
    assert off.max() < 3.5
    one = mz.reduce(ds.out.sel(scale=3.0).isel(time=1), mz.SobolIndices())
    np.testing.assert_array_equal(one.out_total, found.out_total.sel(scale=3.0).isel(time=1))


def test_a_base_point_without_a_path_does_not_count():
    values = values_by_hand("ishigami", 900, np.random.default_rng(5))
    holes = values.copy()
    holes[[0, 1026, 2047, 4499]] = np.nan  # also in points between blocks
    kept = np.delete(values.reshape(-1, 5), [0, 205, 409, 899], axis=0).ravel()
    statistic = mz.SobolIndices(["x", "y", "z"])
    with pytest.warns(mz.MontezarrWarning, match="4 of 4,500"):
        found = mz.reduce(xr.DataArray(holes, dims="path", name="x"), statistic)
    wanted = mz.reduce(xr.DataArray(kept, dims="path", name="x"), statistic)
    np.testing.assert_allclose(found.x_total, wanted.x_total, rtol=1e-12)
    np.testing.assert_allclose(found.x_first_order_se, wanted.x_first_order_se, rtol=1e-9)


def test_a_part_of_the_run_keeps_its_base_points():
    ds = run_of("ishigami", 1000)
    whole = ds.out.isel(path=slice(10, 4010))
    wanted = mz.reduce(whole.compute(), mz.SobolIndices(["x", "y", "z"]))
    cut = mz.reduce(ds.out.isel(path=slice(8, 4012)), mz.SobolIndices())
    np.testing.assert_allclose(cut.out_total, wanted.out_total, rtol=1e-12)


@pytest.mark.parametrize("size", [2, 3, 7, 42, 1000, 1024])
def test_large_groups_extend_over_blocks(size):
    rng = np.random.default_rng(size)
    values = rng.normal(size=(5 * 1024, 2)) + np.repeat(rng.normal(size=(2560, 2)), 2, axis=0)
    x = xr.DataArray(values, dims=("path", "cell"), name="x")
    statistic = mz.VarianceShares(size)
    found = mz.reduce(x, statistic)
    wanted = statistic.reference(values.T, Source())
    np.testing.assert_allclose(found.x_parameter_share, wanted["parameter_share"], rtol=1e-9)
    assert np.isfinite(found.x_parameter_share_se).all()


def test_equal_values_have_no_indices():
    for value in (0.1, 3.0, 0.0):
        sample = Sample(np.full((1, 2, 1000), value))
        for statistic, name in (
            (mz.SobolIndices(["a"]), "total"), (mz.VarianceShares(2), "noise_share"),
        ):  # fmt: skip
            found = statistic.finalize(statistic.chunk(sample), sample.source)
            assert np.isnan(found[name].values).all()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda ds: mz.reduce(ds.out.isel(path=slice(None, None, 2)), mz.SobolIndices()),
            "consecutive paths of the run",
        ),
        (lambda ds: mz.reduce(ds.out.compute(), mz.SobolIndices()), "No such run is known"),
        (lambda ds: mz.reduce(ds.out, mz.SobolIndices(["x", "y"])), "the design of the run"),
        (lambda ds: mz.reduce(ds.out, mz.VarianceShares()), "on the design 'saltelli'"),
        (lambda ds: mz.SobolIndices("xyz"), "names of all parameters"),
        (lambda ds: mz.SobolIndices([]), "names of all parameters"),
        (lambda ds: mz.SobolIndices(["a", "a"]), "each once"),
        (lambda ds: mz.VarianceShares(1), "replicates"),
    ],
)
def test_what_is_wrong_is_said_at_the_call(call, words):
    with pytest.raises((ArgumentTypeError, ArgumentValueError), match=words):
        call(run_of("ishigami", 10))


def test_outputs_and_parameters_covary_in_one_pass():
    def f(rng, n, R0):
        return {"final": 2.0 * R0 + rng.normal(size=n)}

    ds = mz.simulate(f, 20_000, vary={"R0": STANDARD}, dims={"final": ()}, seed=1)
    found = mz.reduce(ds[["final", "R0"]], mz.Covariance("variable"))
    assert found.variable.values.tolist() == ["final", "R0"]
    r, error = (found[name].values[0, 1] for name in ("correlation", "correlation_se"))
    assert abs(r - 2 / np.sqrt(5)) < 3 * error
    table = ds.compute()
    both = np.cov(table.final, table.R0)
    np.testing.assert_allclose(found.covariance, both, rtol=1e-12)
