"""Other people's Zarr libraries read the store and see equal values."""

import json
import shutil
import subprocess

import numpy as np
import pytest
import tensorstore
import xarray as xr

import montezarr as mz

ZARRITA = ["zarrita@0.7.5", "@zarrita/storage@0.2.0"]

SCRIPT = """
import * as zarr from "zarrita";
import { FileSystemStore } from "@zarrita/storage";

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
    data: Array.from(all.data, Number),
    stride: all.stride,
  };
}
console.log(JSON.stringify(out));
"""


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Stores of several kinds: real, single precision, two variables, labels; odd last chunks."""
    root = tmp_path_factory.mktemp("stores")
    gbm = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
    heston = mz.Heston(mu=0.0, kappa=1.0, theta=0.04, xi=0.5, rho=-0.5)
    chain = mz.MarkovChain(transition=[[0.5, 0.5], [0.1, 0.9]], states=["calm", "storm"])
    common = {"seed": 3, "chunks": 1024}
    return {
        name: (root / f"{name}.zarr", mz.write(ds, root / f"{name}.zarr").compute())
        for name, ds in {
            "double": mz.simulate(gbm, 2500, 10, 100.0, dt=0.1, **common),
            "single": mz.simulate(
                gbm, 2500, 12, 100.0, dt=1 / 12, dtype="float32", keep=3, **common
            ),
            "two": mz.simulate(heston, 1500, 6, {"s": 100.0, "v": 0.04}, dt=0.5, **common),
            "labels": mz.simulate(chain, 3000, 9, **common),
        }.items()
    }


@pytest.mark.parametrize("kind", ["double", "single", "two", "labels"])
def test_tensorstore_reads_equal_values(stores, kind):
    path, expected = stores[kind]
    for name in [*expected.data_vars, "time"]:
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path / name)}}
        array = tensorstore.open(spec).result()
        assert array.dtype.numpy_dtype == expected[name].dtype
        assert np.array_equal(array.read().result(), expected[name].values)
        assert array.domain.labels == expected[name].dims


@pytest.mark.parametrize("kind", ["double", "single", "two", "labels"])
def test_plain_xarray_reads_equal_values(stores, kind):
    path, expected = stores[kind]
    xr.testing.assert_equal(xr.open_zarr(path, consolidated=False).compute(), expected)


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


@pytest.mark.parametrize("kind", ["double", "single", "two", "labels"])
def test_zarrita_reads_equal_values(stores, zarrita, kind):
    path, expected = stores[kind]
    names = [*map(str, expected.data_vars), "time"]
    found = zarrita(path, names)
    for name in names:
        got = found[name]
        assert got["dtype"] == str(expected[name].dtype)
        assert tuple(got["dims"]) == expected[name].dims
        # zarrita hands out what it read in the order of its strides: Fortran order here.
        order = "C" if list(got["stride"]) == sorted(got["stride"], reverse=True) else "F"
        values = np.array(got["data"]).reshape(got["shape"], order=order)
        assert np.array_equal(values, expected[name].values.astype(np.float64))
    if kind == "labels":
        assert found["x"]["attrs"]["flag_meanings"] == "calm storm"
