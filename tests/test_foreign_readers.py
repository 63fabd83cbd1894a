"""Other people's Zarr libraries read the store and see equal values."""

import json
import shutil
import subprocess
import sys
import warnings

import numpy as np
import pytest
import tensorstore
import xarray as xr

import montezarr as mz

ZARRITA = ["zarrita@0.7.5", "@zarrita/storage@0.2.0"]

SCRIPT = """
import * as zarr from "zarrita";
import { FileSystemStore } from "@zarrita/storage";

const plain = (x) => (typeof x === "bigint" ? String(x) : Number.isNaN(x) ? null : x);
const store = new FileSystemStore(process.argv[2]);
const out = {};
for (const name of process.argv.slice(3)) {
  const array = await zarr.open(zarr.root(store).resolve(name), { kind: "array" });
  const all = await zarr.get(array);
  out[name] = {
    shape: all.shape,
    dtype: array.dtype,
    dims: array.dimensionNames,
    attrs: array.attrs,
    // JSON has no NaN, and no integer of 64 bits.
    data: Array.from(all.data, plain),
    stride: all.stride,
  };
}
console.log(JSON.stringify(out));
"""


def failing(rng, T):
    x = rng.standard_normal(T + 1)
    if x[0] > 2:
        raise RuntimeError("too large")
    return x


def failing_counts(rng, T):
    x = rng.poisson(3.0, T + 1)
    if x[0] > 7:
        raise RuntimeError("too many")
    return x


def mixed(rng, T):
    """A vector over time, counts over time, and three numbers of a path."""
    counts = rng.poisson(3.0, T + 1)
    return {
        "price": rng.random((T + 1, 2)),
        "counts": counts.astype("int16"),
        "final_size": np.uint16(counts.sum()),
        "share": np.float32(counts.mean()),
        "weights": rng.random(2),
        "sky": ["calm" if count < 3 else "storm" for count in counts],
    }


def jumps(rng):
    """Events of two streams, one of which has two numbers each."""
    n, m = rng.poisson(4.0, 2)
    return {
        "t": rng.random(n).cumsum(), "mark": rng.integers(0, 5, n).astype("int16"),
        "place": rng.random((m, 2)),
    }  # fmt: skip


JUMPS = {
    "dims": {"t": ("arrival",), "mark": ("arrival",), "place": ("departure", "leg")},
    "max_events": {"arrival": 32, "departure": 24},
}

MIXED = {
    "dims": {"price": ("time", "asset"), "weights": "asset"},
    "coords": {"asset": ["bond of Österreich", "stock"]},
    "labels": ["calm", "storm"],
}


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Stores of all kinds: plain, of shards, compressed, extended, merged, with masked paths."""
    root = tmp_path_factory.mktemp("stores")
    gbm = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
    heston = mz.Heston(mu=0.0, kappa=1.0, theta=0.04, xi=0.5, rho=-0.5)
    chain = mz.MarkovChain(transition=[[0.5, 0.5], [0.1, 0.9]], states=["calm", "storm"])
    common = {"seed": 3, "chunks": 1024}
    double = mz.simulate(gbm, 2500, 10, 100.0, dt=0.1, **common)
    large = mz.simulate(gbm, 5000, 10, 100.0, dt=0.1, seed=3, chunks=2048)
    varied = {"sigma": xr.DataArray([0.1, 0.3], dims="sigma", coords={"sigma": [0.1, 0.3]})}
    grid = mz.simulate(gbm, 2500, 10, 100.0, dt=0.1, seed=3, chunks=2048, vary=varied)
    kinds = {
        "double": (double, {}),
        "single": (
            mz.simulate(gbm, 2500, 12, 100.0, dt=1 / 12, dtype="float32", keep=3, **common),
            {},
        ),
        "two": (mz.simulate(heston, 1500, 6, {"s": 100.0, "v": 0.04}, dt=0.5, **common), {}),
        "labels": (mz.simulate(chain, 3000, 9, **common), {}),
        "sharded": (large, {"storage": mz.Storage(inner_chunk=1024)}),
        "zstd": (large, {"storage": mz.Storage(compression="zstd")}),
        "gzip shards": (large, {"storage": mz.Storage(compression="gzip", inner_chunk=1024)}),
        "blosc": (large, {"storage": mz.Storage(compression="blosc")}),
        "payoff": (double.assign(payoff=(double.x.isel(time=-1) - 105).clip(min=0)), {}),
        "masked": (mz.simulate(failing, 1500, 3, seed=1, on_error="mask"), {}),
        "masked counts": (mz.simulate(failing_counts, 1500, 3, seed=1, on_error="mask"), {}),
        "mixed": (mz.simulate(mixed, 1500, 4, **MIXED, **common), {}),
        "mixed shards": (
            mz.simulate(mixed, 3000, 4, **MIXED, seed=3, chunks=2048),
            {"storage": mz.Storage(compression="zstd", inner_chunk=1024)},
        ),
        "events": (mz.simulate(jumps, 2500, **JUMPS, **common), {}),
        "event shards": (
            mz.simulate(jumps, 3000, **JUMPS, seed=3, chunks=2048),
            {"storage": mz.Storage(compression="zstd", inner_chunk=1024)},
        ),
        "cut times": (large, {"storage": mz.Storage(time_chunk=4)}),
        "cut times in zstd": (
            large,
            {"storage": mz.Storage(time_chunk=1, compression="zstd", inner_chunk=1024)},
        ),
        "scenarios": (grid, {}),
        "scenario shards": (
            grid,
            {"storage": mz.Storage(compression="zstd", inner_chunk=1024)},
        ),
    }
    out = {}
    with warnings.catch_warnings(), mz.backend("synchronous"):
        warnings.simplefilter("ignore", mz.MaskedPathsWarning)
        for name, (ds, options) in kinds.items():
            out[name] = root / f"{name}.zarr", mz.write(ds, root / f"{name}.zarr", **options)
    mz.write(double, root / "extended.zarr")
    out["extended"] = root / "extended.zarr", mz.extend(root / "extended.zarr", 6000)
    for part in (range(0, 2048), range(2048, 2500)):
        mz.write(double, root / f"{part.start}.zarr", paths=part)
    parts = [root / "0.zarr", root / "2048.zarr"]
    out["merged"] = root / "merged.zarr", mz.merge(parts, root / "merged.zarr")
    return {name: (path, ds.compute()) for name, (path, ds) in out.items()}


KINDS = [
    "double", "single", "two", "labels", "sharded", "zstd", "gzip shards", "blosc", "payoff",
    "masked", "masked counts", "extended", "merged", "mixed", "mixed shards",
    "scenarios", "scenario shards", "events", "event shards",
]  # fmt: skip


def names_in(ds):
    """Names of the variables, and the time if there is one."""
    return [*map(str, ds.data_vars), *(["time"] if "time" in ds.coords else [])]


def test_masked_paths_and_labels_are_what_they_are_meant_to_be(stores):
    masked, counts, labels = (stores[name][1].x for name in ("masked", "masked counts", "labels"))
    assert 10 < np.isnan(masked).all("time").sum() < 100
    assert 5 < (counts == counts.attrs["masked_value"]).all("time").sum() < 100
    assert labels.attrs["flag_meanings"] == "calm storm"


@pytest.mark.parametrize("kind", ["mixed", "mixed shards"])
def test_variables_of_a_path_stand_beside_those_over_time(stores, kind):
    path, expected = stores[kind]
    assert {name: (v.dims[1:], str(v.dtype)) for name, v in expected.data_vars.items()} == {
        "price": (("time", "asset"), "float64"),
        "counts": (("time",), "int16"),
        "final_size": ((), "uint16"),
        "share": ((), "float32"),
        "weights": (("asset",), "float64"),
        "sky": (("time",), "int32"),
    }
    assert expected.asset.values.tolist() == ["bond of Österreich", "stock"]
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path / "asset")}}
    np.testing.assert_array_equal(tensorstore.open(spec).result().read().result(), [0, 1])
    attributes = json.loads((path / "asset/zarr.json").read_text())["attributes"]
    assert json.loads(attributes["montezarr_labels"]) == ["bond of Österreich", "stock"]


@pytest.mark.parametrize("kind", KINDS)
def test_tensorstore_reads_equal_values(stores, kind):
    path, expected = stores[kind]
    for name in names_in(expected):
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path / name)}}
        array = tensorstore.open(spec).result()
        assert array.dtype.numpy_dtype == expected[name].dtype
        np.testing.assert_array_equal(array.read().result(), expected[name].values)
        if name != "time":
            attributes = json.loads((path / name / "zarr.json").read_text())["attributes"]
            assert attributes.get("masked_value") == expected[name].attrs.get("masked_value")
        assert array.domain.labels == expected[name].dims


@pytest.mark.parametrize("kind", KINDS)
def test_plain_xarray_reads_equal_values(stores, kind):
    path, expected = stores[kind]
    if "asset" in expected.coords:  # of which it reads the positions of the labels
        expected = expected.assign_coords(asset=[0, 1])
    xr.testing.assert_equal(xr.open_zarr(path, consolidated=False).compute(), expected)


ZARRS = """
import sys, zarr, zarrs, numpy as np
zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"})
for name in sys.argv[3:]:
    np.save(f"{sys.argv[2]}/{name}.npy", zarr.open_array(f"{sys.argv[1]}/{name}", mode="r")[...])
"""


@pytest.mark.parametrize("kind", KINDS)
def test_zarrs_reads_equal_values(stores, kind, tmp_path):
    pytest.importorskip("zarrs")
    path, expected = stores[kind]
    names = names_in(expected)
    # In a process of its own: it takes the place of Zarr's own codecs.
    command = [sys.executable, "-W", "error", "-c", ZARRS, str(path), str(tmp_path), *names]
    subprocess.run(command, check=True, capture_output=True)
    for name in names:
        found = np.load(tmp_path / f"{name}.npy")
        np.testing.assert_array_equal(found, expected[name].values)


@pytest.fixture(scope="module")
def zarrita(tmp_path_factory):
    """A function that reads arrays with zarrita under Node.js, installed from npm."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("zarrita needs Node.js with npm")
    root = tmp_path_factory.mktemp("zarrita")
    (root / "package.json").write_text('{"type": "module"}')
    (root / "read.mjs").write_text(SCRIPT)
    install = ["npm", "install", "--silent", "--no-audit", "--no-fund", *ZARRITA]
    subprocess.run(install, cwd=root, check=True, capture_output=True)

    def read(path, names):
        command = ["node", str(root / "read.mjs"), str(path), *names]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return read


@pytest.mark.parametrize("kind", KINDS)
def test_zarrita_reads_equal_values(stores, zarrita, kind):
    path, expected = stores[kind]
    names = names_in(expected)
    found = zarrita(path, names)
    for name in names:
        got = found[name]
        assert got["dtype"] == str(expected[name].dtype)
        assert tuple(got["dims"]) == expected[name].dims
        # zarrita hands out what it read in the order of its strides, as the chunks have it.
        data = np.array([np.nan if x is None else float(x) for x in got["data"]])
        strides = [8 * stride for stride in got["stride"]]
        values = np.lib.stride_tricks.as_strided(data, got["shape"], strides)
        np.testing.assert_array_equal(values, expected[name].values.astype(np.float64))
    if kind == "labels":
        assert found["x"]["attrs"]["flag_meanings"] == "calm storm"
