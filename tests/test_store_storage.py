"""Choices of storage: what they keep, what they save, and that plan says so before."""

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given
from hypothesis import strategies as st
from stores import CHAIN, files, gbm_paths, payoff_of

import montezarr as mz
from montezarr.store.format._storage import round_bits


def bytes_of(root):
    return sum(path.stat().st_size for path in root.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    "storage",
    [
        mz.Storage(),
        mz.Storage(inner_chunk=1024),
        *(mz.Storage(compression=name) for name in ("zstd", "gzip", "blosc")),
        mz.Storage(compression="zstd", level=19, inner_chunk=2048),
    ],
)
def test_exact_choices_keep_every_bit(tmp_path, storage):
    ds = gbm_paths(chunks=4096)
    stored = mz.write(ds, tmp_path / "a.zarr", storage=storage)
    xr.testing.assert_identical(stored.compute(), ds.compute())
    xr.testing.assert_equal(xr.open_zarr(tmp_path / "a.zarr").compute(), ds.compute())
    assert mz.verify(tmp_path / "a.zarr", 3).ok
    assert mz.Storage.from_dict(storage.to_dict()) == storage


def test_single_precision_is_rounded_once_and_halves_the_size(tmp_path):
    ds = gbm_paths(n_paths=8192)
    exact = mz.write(ds, tmp_path / "a.zarr")
    half = mz.write(ds, tmp_path / "b.zarr", storage=mz.Storage(dtype="float32"))
    assert half.x.dtype == np.float32
    assert np.array_equal(half.x, exact.x.astype(np.float32))
    assert bytes_of(tmp_path / "b.zarr/x") / bytes_of(tmp_path / "a.zarr/x") < 0.51


@given(
    st.lists(st.floats(allow_subnormal=False), min_size=1, max_size=20),
    st.integers(1, 52),
)
def test_rounding_keeps_that_many_bits_to_nearest_ties_to_even(numbers, keep):
    values = np.array(numbers)
    rounded = round_bits(values.copy(), keep)
    finite = np.isfinite(values)
    assert np.array_equal(rounded[~finite], values[~finite], equal_nan=True)
    mantissa, exponent = np.frexp(values[finite])
    # Of the mantissa in [0.5, 1) the first bit is not stored.
    with np.errstate(over="ignore", under="ignore"):
        exact = np.ldexp(np.rint(np.ldexp(mantissa, keep + 1)), exponent - keep - 1)
    held = np.isfinite(exact)  # beyond the largest number, the value itself is kept
    assert np.array_equal(rounded[finite][held], exact[held])
    assert np.array_equal(rounded[finite][~held], values[finite][~held])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("keep", [4, 10, 23])
def test_rounded_values_are_within_the_stated_error_and_compress(tmp_path, dtype, keep):
    ds = gbm_paths(n_paths=4096)
    storage = mz.Storage(dtype=dtype, keep_bits=keep, compression="zstd")
    stored = mz.write(ds, tmp_path / "a.zarr", storage=storage)
    exact = ds.x.values if dtype == "float64" else ds.x.values.astype(np.float32)
    assert np.max(np.abs(stored.x.values - exact) / exact) <= 2.0 ** -(keep + 1)
    plan = mz.plan(ds, storage=storage)
    found = bytes_of(tmp_path / "a.zarr")
    assert found == pytest.approx(plan.store_bytes, rel=0.05)
    assert plan.store_ratio == pytest.approx(found / ds.nbytes, rel=0.05)
    assert "measured on 1,024 paths" in str(plan)


def test_plan_knows_the_size_of_what_is_not_compressed(tmp_path):
    for i, storage in enumerate([mz.Storage(), mz.Storage(dtype="float32", inner_chunk=1024)]):
        for ds in (gbm_paths(), payoff_of(gbm_paths())[["payoff"]]):
            target = tmp_path / f"{i}-{len(ds.dims)}.zarr"
            mz.write(ds, target, storage=storage)
            said = mz.plan(ds, storage=storage).store_bytes
            journal = (target / "montezarr/journal").stat().st_size
            assert said == pytest.approx(bytes_of(target) - journal, abs=64)


def test_codes_compress_and_keep_their_meanings(tmp_path):
    ds = mz.simulate(CHAIN, n_paths=4096, T=50, seed=1, chunks=1024)
    stored = mz.write(ds, tmp_path / "a.zarr", storage=mz.Storage(compression="zstd"))
    xr.testing.assert_identical(stored.compute(), ds.compute())
    assert mz.plan(ds, storage=mz.Storage(compression="zstd")).store_ratio < 0.3


def test_one_path_of_a_shard_is_read_without_the_rest(tmp_path):
    mz.write(gbm_paths(chunks=4096), tmp_path / "a.zarr", storage=mz.Storage(inner_chunk=1024))
    array = zarr.open_array(tmp_path / "a.zarr/x", mode="r")
    assert array.shards == (4096, 21)
    assert array.chunks == (1024, 21)
    shard = tmp_path / "a.zarr/x/c/0/0"
    data = bytearray(shard.read_bytes())
    data[:1000] = bytes(1000)  # of the first inner chunk
    shard.write_bytes(data)
    assert np.array_equal(array[3000], gbm_paths().x[3000])
    with pytest.raises(ValueError, match="checksum"):
        array[0]


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"dtype": "float16"}, "dtype"),
        ({"dtype": np.float32}, "dtype"),
        ({"keep_bits": 0}, "keep_bits"),
        ({"keep_bits": 53}, "keep_bits"),
        ({"keep_bits": 24, "dtype": "float32"}, "keep_bits"),
        ({"compression": "lzma"}, "compression"),
        ({"compression": "zstd", "level": 0}, "level"),
        ({"level": 3}, "level"),
        ({"inner_chunk": 1000}, "inner_chunk"),
        ({"inner_chunk": -1024}, "inner_chunk"),
    ],
)
def test_bad_choices_are_refused_by_name(arguments, name):
    with pytest.raises(mz.MontezarrError, match=f"^{name}: expected"):
        mz.Storage(**arguments)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"storage": "zstd"}, "storage"),
        ({"storage": mz.Storage(inner_chunk=3072)}, "inner_chunk"),
        ({"variables": "x"}, "variables"),
        ({"variables": ["y"]}, "variables"),
        ({"variables": []}, "variables"),
        ({"statistics": "mode"}, "statistics"),
        ({"statistics": {"y": "mean"}}, "statistics"),
        ({"statistics": mz.Quantile(0.5, exact=True)}, "statistics"),
        ({"durable": 1}, "durable"),
        ({"chunks_per_task": 0}, "chunks_per_task"),
        ({"storage_options": {}}, "storage_options"),
        ({"on_progress": 3}, "on_progress"),
    ],
)
def test_bad_arguments_of_write_are_refused_and_nothing_is_left(tmp_path, arguments, name):
    with pytest.raises(mz.MontezarrError, match=f"^{name}: expected"):
        mz.write(gbm_paths(), tmp_path / "a.zarr", **arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "changes",
    [
        {"storage": mz.Storage(dtype="float32")},
        {"storage": mz.Storage(compression="zstd")},
        {"statistics": ["mean"]},
        {"statistics": ["std"]},
        {"variables": ["payoff"]},
    ],
)
def test_other_choices_are_another_store_and_each_field_is_named(tmp_path, changes):
    ds = payoff_of(gbm_paths())
    mz.write(ds, tmp_path / "a.zarr", statistics="q05")
    before = files(tmp_path)
    with pytest.raises(mz.StoreMismatchError, match=r" there, .* here"):
        mz.write(ds, tmp_path / "a.zarr", **({"statistics": "q05"} | changes))
    assert files(tmp_path) == before


def test_every_field_that_differs_is_listed(tmp_path):
    mz.write(gbm_paths(), tmp_path / "a.zarr")
    other = mz.simulate(
        mz.GeometricBrownianMotion(mu=0.05, sigma=0.3), 5000, 20, 100.0, dt=0.05, seed=7
    )
    with pytest.raises(mz.StoreMismatchError) as caught:
        mz.write(other, tmp_path / "a.zarr")
    assert "\n  process.sigma: 0.2 there, 0.3 here" in str(caught.value)
    assert "\n  seed" in str(caught.value)
    assert "'42' there, '7' here" in str(caught.value)


def test_statistics_come_from_the_paths_as_drawn_not_as_stored(tmp_path):
    ds = payoff_of(gbm_paths(n_paths=9500))
    storage = mz.Storage(dtype="float32", keep_bits=4)
    mz.write(
        ds, tmp_path / "a.zarr", storage=storage, statistics={"payoff": ["mean", "q95"], "x": "max"}
    )
    found = mz.open(tmp_path / "a.zarr", "statistics")
    expected = mz.reduce(ds, {"payoff": ["mean", "q95"], "x": "max"})
    xr.testing.assert_identical(found, expected)
    plain = xr.open_zarr(tmp_path / "a.zarr", group="statistics", consolidated=False)
    assert plain.payoff_mean == expected.payoff_mean


def test_statistics_with_labels_come_back_with_them(tmp_path):
    ds = mz.simulate(CHAIN, n_paths=3000, T=5, seed=1, chunks=1024)
    mz.write(ds, tmp_path / "a.zarr", statistics=mz.Proportion())
    found = mz.open(tmp_path / "a.zarr", "statistics")
    xr.testing.assert_equal(found, mz.reduce(ds, mz.Proportion()))


def test_a_store_without_statistics_says_so(tmp_path):
    mz.write(gbm_paths(), tmp_path / "a.zarr")
    with pytest.raises(mz.StoreNotFoundError, match="with statistics"):
        mz.open(tmp_path / "a.zarr", "statistics")
    with pytest.raises(mz.ArgumentValueError, match="group"):
        mz.open(tmp_path / "a.zarr", "montezarr")


def failing(rng, T):
    x = rng.standard_normal(T + 1)
    if x[0] > 3:
        raise RuntimeError("too large")
    return x


@pytest.mark.filterwarnings("ignore::montezarr.MaskedPathsWarning")
def test_masked_paths_are_nan_also_in_what_is_made_of_them_and_told_again_after_a_crash(tmp_path):
    ds = mz.simulate(failing, n_paths=6000, T=3, seed=1, chunks=1024, on_error="mask")
    ds = ds.assign(positive=(ds.x > 0).astype(float))
    with mz.backend("synchronous"):
        with pytest.raises(ZeroDivisionError):
            mz.write(ds, tmp_path / "a.zarr", on_progress=lambda n, *_: 1 / 0 if n > 3000 else 0)
        with pytest.warns(mz.MaskedPathsWarning) as told:
            stored = mz.write(ds, tmp_path / "a.zarr")
    masked = list(told[0].message.paths)
    assert np.array_equal(np.flatnonzero(np.isnan(stored.x[:, 0].values)), masked)
    assert np.isnan(stored.positive.values[masked]).all()
    assert not np.isnan(np.delete(stored.positive.values, masked, axis=0)).any()
    with pytest.raises(mz.ArgumentValueError, match="real variables"):
        mz.write(ds.assign(positive=ds.x > 0), tmp_path / "b.zarr")


def test_dates_and_other_coordinates_of_derived_data_come_back(tmp_path):
    ds = gbm_paths().isel(time=slice(0, None, 10))
    dates = np.array(["2026-01-30", "2026-02-27", "2026-03-31"], "datetime64[ns]")
    ds = ds.assign_coords(date=("time", dates), strike=105.0)
    stored = mz.write(ds, tmp_path / "a.zarr")
    xr.testing.assert_equal(stored.compute(), ds.compute())
    assert list(stored.coords) == ["time", "date", "strike"] or set(stored.coords) == set(ds.coords)
