"""Masked paths of integers are missing values in files and tables of other programs."""

import json

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
import xarray as xr

import montezarr as mz
from montezarr.store.export import export

N = 3000


def counts(rng):
    values = rng.poisson(3.0, 5)
    if rng.random() < 0.1:
        raise ValueError("no such path")
    return {"n": values, "small": values.astype(np.int16), "real": values * 0.5}


def weather(rng):
    values = [["sun", "rain"][k] for k in rng.integers(0, 2, 4)]
    if rng.random() < 0.1:
        raise ValueError("no such path")
    return values


@pytest.fixture(scope="module", autouse=True)
def here():
    with mz.backend("synchronous"):
        yield


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """A store of counts and one of labels, with the paths that are masked in each."""
    root, masked = tmp_path_factory.mktemp("masked"), {}
    for name, run in (
        ("counts", mz.simulate(counts, N, seed=1, on_error="mask", chunks=1024)),
        ("labels", mz.simulate(weather, N, seed=0, on_error="mask", labels=["sun", "rain"])),
        ("without", mz.simulate(lambda rng: rng.poisson(3.0, 5), N, seed=1)),
    ):
        if name == "without":
            mz.write(run, root / f"{name}.zarr")
            masked[name] = np.zeros(N, bool)
            continue
        with pytest.warns(mz.MaskedPathsWarning):
            mz.write(run, root / f"{name}.zarr")
        first = next(iter(mz.open(root / f"{name}.zarr").data_vars.values()))
        masked[name] = (first == first.masked_value).all("time").values
        assert 100 < masked[name].sum() < 500
    return root, masked


def test_in_parquet_they_are_null(stores, tmp_path):
    root, masked = stores
    export(root / "counts.zarr", tmp_path / "out.parquet")
    table = pyarrow.parquet.read_table(tmp_path / "out.parquet")
    wanted = np.repeat(masked["counts"], 5)
    for name in ("n", "small"):
        column = table.column(name)
        assert column.null_count == wanted.sum()
        assert (column.is_null().to_numpy() == wanted).all()
        assert b"masked_value" not in (table.schema.field(name).metadata or {})
        assert min(x for x in column.to_pylist() if x is not None) >= 0
    assert str(table.schema.field("n").type) == "int64"
    assert str(table.schema.field("small").type) == "int16"
    stored = mz.open(root / "counts.zarr").n.values.ravel()
    read = pd.read_parquet(tmp_path / "out.parquet", dtype_backend="numpy_nullable").n
    assert (read.isna() == wanted).all()
    assert (read[~wanted].to_numpy(np.int64) == stored[~wanted]).all()


def test_in_netcdf_they_are_the_fill_value(stores, tmp_path):
    root, masked = stores
    export(root / "counts.zarr", tmp_path / "out.nc")
    with xr.open_dataset(tmp_path / "out.nc", engine="h5netcdf") as there:
        for name in ("n", "small", "real"):
            values = there[name].values
            assert (np.isnan(values) == masked["counts"][:, None]).all()
            assert "masked_value" not in there[name].attrs
        stored = mz.open(root / "counts.zarr").n.values
        assert (there.n.values[~masked["counts"]] == stored[~masked["counts"]]).all()
        with pytest.warns(mz.MontezarrWarning, match="not finite, or masked"):
            found = mz.reduce(there.n, "mean")
        with pytest.warns(mz.MontezarrWarning, match="not finite, or masked"):
            wanted = mz.reduce(mz.open(root / "counts.zarr").n, "mean")
        np.testing.assert_array_equal(found.n_mean, wanted.n_mean)
    with xr.open_dataset(tmp_path / "out.nc", engine="h5netcdf", mask_and_scale=False) as raw:
        assert raw.n.dtype == np.int64
        assert raw.n.attrs["_FillValue"].dtype == np.int64
        assert raw.small.attrs["_FillValue"].dtype == np.int16
        assert (raw.n == raw.n.attrs["_FillValue"]).all("time").sum() == masked["counts"].sum()


def test_labels_too(stores, tmp_path):
    root, masked = stores
    export(root / "labels.zarr", tmp_path / "out.parquet")
    column = pyarrow.parquet.read_table(tmp_path / "out.parquet").column("x")
    assert (column.is_null().to_numpy() == np.repeat(masked["labels"], 4)).all()
    export(root / "labels.zarr", tmp_path / "out.nc")
    with xr.open_dataset(tmp_path / "out.nc", engine="h5netcdf") as there:
        assert (there.x.isnull().all("time").values == masked["labels"]).all()
        assert there.x.attrs["flag_values"].tolist() == [0, 1]
        with pytest.warns(mz.MontezarrWarning, match="not finite, or masked"):
            shares = mz.reduce(there, mz.Proportion()).x_proportion
        assert shares.state.values.tolist() == ["sun", "rain"]
        np.testing.assert_allclose(shares.sum("state"), 1.0)


def test_without_masks_integers_stay_integers(stores, tmp_path):
    root, _ = stores
    export(root / "without.zarr", tmp_path / "out.nc")
    with xr.open_dataset(tmp_path / "out.nc", engine="h5netcdf") as there:
        assert there.x.dtype == np.int64
        assert "_FillValue" not in there.x.encoding
    export(root / "without.zarr", tmp_path / "out.parquet")
    assert pyarrow.parquet.read_table(tmp_path / "out.parquet").column("x").null_count == 0


def test_in_a_table_of_pandas_they_are_missing():
    with pytest.warns(mz.MaskedPathsWarning):
        result = mz.MonteCarloEngine(counts).simulate(500, 4, seed=1, on_error="mask")
    table = result.to_dataframe()
    missing = table.groupby("path_id").n.apply(lambda column: column.isna().all())
    assert missing.sum() == len(result.metadata["masked"])
    assert table.n.dtype == "Int64"
    assert table.small.dtype == "Int16"
    assert table.n.min() >= 0
    assert json.loads(table.n.head(1).to_json(orient="values")) == [int(result.dataset.n[0, 0])]


def test_a_batch_knows_its_masked_paths():
    run = mz.simulate(counts, N, seed=1, on_error="mask", chunks=1024)
    with pytest.warns(mz.MaskedPathsWarning):
        (batch,) = mz.batches(run, N)
    with pytest.warns(mz.MontezarrWarning, match="not finite, or masked"):
        found = mz.reduce(batch[["n"]], "min")
    assert found.n_min.min() >= 0
