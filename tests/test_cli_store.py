"""The command line for stores: what it prints, its exit statuses, and what it leaves behind."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
import xarray as xr
from commands import run_here

import montezarr as mz
from montezarr import cli
from montezarr.store.export import _parquet, export
from montezarr.store.format import _commit_log

ROOT = Path(__file__).parents[1]
CHUNK = 1024
GBM = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)


def simulated(n=5000, process=GBM, T=10, x0=100.0, **options):
    return mz.simulate(process, n, T, x0, seed=1, chunks=CHUNK, **{"dt": 0.1} | options)


def stop_after(paths):
    def report(done, total, failed):
        if done >= paths:
            raise RuntimeError("enough")

    return report


OWN = """
import sys, dask.array as da, numpy as np, montezarr as mz
ds = mz.simulate(lambda rng: rng.standard_normal(4).cumsum(), 2000, seed=1)
mz.write(ds, sys.argv[1] + "/own.zarr")
x0 = np.linspace(90, 110, 2000)
mz.write(mz.simulate(mz.BrownianMotion(), 2000, 4, x0, seed=1), sys.argv[1] + "/starts.zarr")
x0 = da.from_array(x0)
mz.write(mz.simulate(mz.BrownianMotion(), 2000, 4, x0, seed=1), sys.argv[1] + "/lazily.zarr")
"""
"""What a command line cannot draw: written in another process, so that nothing of it lives here."""


@pytest.fixture(scope="session")
def stores(tmp_path_factory):
    """A directory with a store of each kind, written once."""
    root = tmp_path_factory.mktemp("stores")
    ds = simulated()
    mz.write(ds, root / "gbm.zarr", statistics=["mean"])
    heston = mz.Heston(mu=0.0, kappa=1.0, theta=0.04, xi=0.5, rho=-0.5)
    mz.write(simulated(3000, heston, x0={"s": 100.0, "v": 0.04}), root / "heston.zarr")
    chain = mz.MarkovChain(transition=((0.5, 0.5), (0.1, 0.9)), states=("up", "down"))
    mz.write(simulated(3000, chain, x0="up", dt=1.0), root / "chain.zarr")
    mz.write(ds, root / "a.zarr", paths=range(2048))
    mz.write(ds, root / "b.zarr", paths=range(2048, 5000))
    payoff = ds.assign(payoff=(ds.x.isel(time=-1) - 105).clip(min=0))
    mz.write(payoff, root / "derived.zarr")
    subprocess.run([sys.executable, "-c", OWN, root], check=True)
    with mz.backend("synchronous"), pytest.raises(RuntimeError, match="enough"):
        mz.write(ds, root / "part.zarr", on_progress=stop_after(2048))
    return root


@pytest.fixture
def place(stores, tmp_path):
    """A function that copies a store, to be changed."""

    def copied(name):
        shutil.copytree(stores / name, tmp_path / name)
        return tmp_path / name

    return copied


@pytest.fixture
def montezarr(capsys):
    """A function that runs the command in this process: exit status, output, errors."""

    def run(*arguments):
        done = run_here(capsys, *arguments)
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.fixture
def as_json(montezarr):
    """A function that runs the command with --json and returns what it prints."""

    def run(*arguments, status=0):
        found, out, _ = montezarr(*arguments, "--json")
        assert found == status
        return json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))

    return run


def digests(root):
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


# info


def test_info_says_what_a_store_is(stores, montezarr):
    status, out, err = montezarr("info", stores / "gbm.zarr")
    assert (status, err) == (0, "")
    assert out.startswith(f"{stores / 'gbm.zarr'}: complete\n")
    for line in (
        "process     GeometricBrownianMotion(mu=0.05, sigma=0.2)",
        "run         seed 1, x0 100, sample",
        "paths       5,000 of 5,000",
        "times       11, from 0 to 1",
        "variable    x (path: 5,000, time: 11) float64",
        "chunk       1,024 paths",
        "storage     exact, uncompressed",
        "statistics  Mean",
    ):
        assert f"  {line}\n" in out


def test_info_as_json(stores, as_json):
    found = as_json("info", stores / "gbm.zarr")
    assert found["process"] == {"name": "GeometricBrownianMotion", "mu": 0.05, "sigma": 0.2}
    assert found["committed"] == found["target"] == found["readable"] == 5000
    assert found["times"] == [11, 0.0, 1.0]
    assert found["variables"] == [
        {"name": "x", "dtype": "float64", "dims": ["path", "time"], "shape": [5000, 11]}
    ]
    files = [p for p in (stores / "gbm.zarr").rglob("*") if p.is_file()]
    assert (found["files"], found["bytes"]) == (len(files), sum(p.stat().st_size for p in files))
    assert found["environments"][0]["numpy"] == np.__version__
    assert not found["own_code"]
    assert as_json("info", stores / "own.zarr")["own_code"]
    assert as_json("info", stores / "derived.zarr")["derived"]


def test_info_of_a_store_that_is_not_complete_and_of_a_range(stores, montezarr):
    part = montezarr("info", stores / "part.zarr")[1]
    assert "part.zarr: incomplete, 40 %\n" in part
    assert "  paths       2,048 of 5,000\n" in part
    assert "from path 2,048 on" in montezarr("info", stores / "b.zarr")[1]


def test_info_counts_masked_paths_and_tells_storage(tmp_path, montezarr, as_json):
    storage = mz.Storage(dtype="float32", keep_bits=9, compression="zstd")

    def sometimes(rng):
        path = rng.standard_normal(4)
        return np.full(4, np.nan) if path[0] > 2 else path

    ds = mz.simulate(sometimes, 500, seed=1, on_nonfinite="mask")
    with pytest.warns(mz.MaskedPathsWarning) as told:
        mz.write(ds, tmp_path / "s.zarr", storage=storage)
    assert as_json("info", tmp_path / "s.zarr")["masked"] == len(told[0].message.paths) > 0
    out = montezarr("info", tmp_path / "s.zarr")[1]
    assert "  storage     dtype float32, keep_bits 9, compression zstd, level 3\n" in out


def test_info_runs_and_imports_nothing_that_a_store_names(place, montezarr):
    store = place("gbm.zarr")
    journal = store / "montezarr/journal"
    records = _commit_log.read_records(journal.read_bytes())[0]
    recipe = json.loads(records[0]["manifest"]["recipe"])
    recipe["process"] = {"name": "antigravity\x1b[31m\nsecond", "code": "antigravity"}
    records[0]["manifest"]["recipe"] = json.dumps(recipe)
    journal.write_bytes(_commit_log.lines_of(records))
    status, out, _ = montezarr("info", store)
    assert status == 0
    assert "\x1b" not in out
    assert "process     antigravity\\x1b[31m\\nsecond(code='antigravity')\n" in out
    assert "antigravity" not in sys.modules


# verify and repair


def test_verify_exits_with_0_or_1(place, montezarr, as_json):
    store = place("gbm.zarr")
    status, out, err = montezarr("verify", store, "--level", 3)
    assert (status, err) == (0, "")
    assert "intact" in out
    assert "5 chunks drawn again" in out
    assert as_json("verify", store, "--level", 2, "--sample", 2, "--seed", 5)["drawn"] == 2
    chunk = store / "x/c/1/0"
    data = bytearray(chunk.read_bytes())
    data[100] ^= 1
    chunk.write_bytes(data)
    assert as_json("verify", store, "--level", 0)["ok"]
    found = as_json("verify", store, status=1)
    assert not found["ok"]
    assert [(p["kind"], p["key"]) for p in found["problems"]] == [("damaged", "x/c/1/0")]
    assert "damaged: x/c/1/0" in montezarr("verify", store)[1]


def test_repair_draws_again_and_exits_with_0(place, stores, montezarr, as_json):
    store = place("gbm.zarr")
    (store / "x/c/1/0").unlink()
    status, out, err = montezarr("repair", store, "--quiet")
    assert (status, err) == (0, "")
    assert "intact" in out
    assert "1 files made anew" in out
    assert digests(store) == digests(stores / "gbm.zarr")
    assert as_json("repair", store, "--quiet")["repaired"] == []


def test_repair_exits_with_1_if_the_store_is_not_intact_then(stores, monkeypatch, montezarr):
    problem = mz.Problem("size", "x/c/0/0", "expected more")
    found = mz.Verification(
        path="p", level=1, n_paths=1, target=1, files=1, drawn=0, problems=(problem,)
    )
    monkeypatch.setattr("montezarr.store.repair", lambda path, **options: found)
    assert montezarr("repair", stores / "gbm.zarr")[0] == 1


def test_not_finite_numbers_are_null_in_json(stores, monkeypatch, as_json):
    found = mz.Verification(
        path="p", level=2, n_paths=1, target=1, files=1, drawn=1, problems=(),
        environment="numpy 1 there, 2 here", largest_difference=float("inf"),
    )  # fmt: skip
    monkeypatch.setattr("montezarr.store.verify", lambda path, level, **options: found)
    assert as_json("verify", stores / "gbm.zarr")["largest_difference"] is None


@pytest.mark.parametrize(
    ("command", "call"),
    [
        (("verify", "--level", 2), "mz.verify({!r}, 2, process=...)"),
        (("extend", "--n-paths", 9000), "mz.extend({!r}, 9000, process=...)"),
        (("repair",), "mz.repair({!r}, process=...)"),
    ],
)
def test_own_code_is_for_python(place, montezarr, command, call):
    store = place("own.zarr")
    name, *options = map(str, command)
    if name == "repair":
        (store / "x/c/0/0").unlink()
    status, out, err = montezarr(name, store, *options)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "code of yours" in err
    assert call.format(str(store)) in err


def test_what_an_expression_made_is_for_python(stores, montezarr):
    status, _, err = montezarr("verify", stores / "derived.zarr", "--level", 2)
    assert (status, err.count("\n")) == (2, 1)
    assert "ds=...)" in err
    assert montezarr("verify", stores / "derived.zarr")[0] == 0


def test_paths_that_start_at_their_own_states_are_drawn_again(stores, montezarr):
    status, _, err = montezarr("verify", stores / "starts.zarr", "--level", 2)
    assert (status, err) == (0, "")


def test_paths_that_start_at_states_of_which_nothing_is_stored_are_for_python(stores, montezarr):
    status, _, err = montezarr("verify", stores / "lazily.zarr", "--level", 2)
    assert (status, err.count("\n")) == (2, 1)
    assert err.endswith("lazily.zarr', 2, ds=...)\n")


# a store without a disk


def test_a_virtual_store_is_told_of_and_exported(tmp_path, as_json, montezarr):
    file = tmp_path / "paths.json"
    mz.VirtualStore(simulated()).save(file)
    found = as_json("info", file)
    assert (found["status"], found["committed"], found["target"]) == ("complete", 5000, 5000)
    assert found["variables"][0]["shape"] == [5000, 11]
    assert "paths       5,000 of 5,000" in montezarr("info", file)[1]
    as_json("export", file, tmp_path / "a.nc", "--paths", "1000:2000", "--quiet")
    with xr.open_dataset(tmp_path / "a.nc", engine="h5netcdf") as there:
        assert np.array_equal(there.x, simulated().x[1000:2000])


# extend and merge


def test_extend_is_as_a_fresh_store(place, tmp_path, montezarr, as_json):
    store = place("gbm.zarr")
    found = as_json("extend", store, "--n-paths", 7000, "--quiet", "--chunks-per-task", 2)
    assert found == {"store": str(store), "paths": 7000, "added": 2000}
    mz.write(simulated(7000), tmp_path / "fresh.zarr", statistics=["mean"])
    assert digests(store) == digests(tmp_path / "fresh.zarr")
    status, out, err = montezarr("extend", store, "--n-paths", 7000, "--durable")
    assert (status, out.strip()) == (0, f"0 paths added, 7,000 in {store}")
    status, _, err = montezarr("extend", store, "--n-paths", 6000)
    assert (status, err.count("\n")) == (2, 1)
    assert "does not shrink" in err


def test_extend_shows_progress_unless_quiet(place, montezarr):
    store = place("gbm.zarr")
    assert "extend: 6,000 of 6,000 paths" in montezarr("extend", store, "--n-paths", 6000)[2]
    assert montezarr("extend", store, "--n-paths", 7000, "--quiet")[2] == ""


def test_merge_makes_one_of_several(stores, tmp_path, montezarr, as_json):
    parts = stores / "a.zarr", stores / "b.zarr"
    found = as_json("merge", tmp_path / "all.zarr", *reversed(parts))
    assert found == {"store": str(tmp_path / "all.zarr"), "paths": 5000, "stores": 2}
    assert np.array_equal(mz.open(tmp_path / "all.zarr").x, simulated().x)
    for wrong in ([parts[0], parts[0]], [parts[0], stores / "part.zarr"], [tmp_path / "no.zarr"]):
        status, out, err = montezarr("merge", tmp_path / "wrong.zarr", *wrong)
        assert (status, out, err.count("\n")) == (2, "", 1)
    assert not (tmp_path / "wrong.zarr").exists()
    status, _, err = montezarr("merge", tmp_path / "wrong.zarr", parts[0], stores / "heston.zarr")
    assert (status, err.count("\n")) == (2, 1)  # also where the message is a list


# export


@pytest.mark.parametrize("name", ["gbm", "heston", "chain", "derived"])
def test_netcdf_is_what_open_gives(stores, tmp_path, as_json, name):
    found = as_json("export", stores / f"{name}.zarr", tmp_path / "out.nc", "--quiet")
    stored = mz.open(stores / f"{name}.zarr")
    assert found["paths"] == stored.sizes["path"]
    assert found["bytes"] == (tmp_path / "out.nc").stat().st_size
    with xr.open_dataset(tmp_path / "out.nc", engine="h5netcdf") as there:
        assert list(there) == list(stored)
        assert there.attrs == stored.attrs
        xr.testing.assert_equal(there.load(), stored.load())
        for variable in stored.variables:
            assert there[variable].dtype == stored[variable].dtype
    if name == "chain":
        assert there.x.attrs["flag_meanings"] == "up down"
        assert there.x.attrs["flag_values"].dtype == there.x.dtype
        assert there.x.attrs["flag_values"].tolist() == [0, 1]


@pytest.mark.parametrize("name", ["gbm", "heston", "chain"])
def test_parquet_is_a_tidy_table(stores, tmp_path, as_json, name):
    as_json("export", stores / f"{name}.zarr", tmp_path / "out.parquet", "--quiet")
    stored = mz.open(stores / f"{name}.zarr").load()
    table = pd.read_parquet(tmp_path / "out.parquet")
    assert list(table) == ["path", "time", *stored]
    n, times = stored.sizes["path"], stored.sizes["time"]
    assert (table.path == np.repeat(np.arange(n), times)).all()
    assert (table.time == np.tile(stored.time, n)).all()
    for variable in stored:
        assert (table[variable] == stored[variable].values.ravel()).all()
        assert table[variable].dtype == stored[variable].dtype
    schema = pyarrow.parquet.read_schema(tmp_path / "out.parquet")
    assert schema.metadata[b"montezarr"].decode() == stored.attrs["montezarr"]
    if name == "chain":
        assert schema.field("x").metadata[b"flag_meanings"] == b"up down"


def test_parquet_has_a_row_group_for_each_batch_of_paths(stores, tmp_path, monkeypatch):
    export(stores / "gbm.zarr", tmp_path / "a.parquet", start=500, stop=3000)
    groups = pyarrow.parquet.ParquetFile(tmp_path / "a.parquet").metadata
    rows = [groups.row_group(i).num_rows for i in range(groups.num_row_groups)]
    assert rows == [11 * paths for paths in (524, 1024, 952)]
    monkeypatch.setattr(_parquet, "PARQUET_GROUP_ROWS", 11 * 500)
    export(stores / "gbm.zarr", tmp_path / "b.parquet")
    groups = pyarrow.parquet.ParquetFile(tmp_path / "b.parquet").metadata
    assert max(groups.row_group(i).num_rows for i in range(groups.num_row_groups)) == 11 * 500
    assert groups.num_rows == 11 * 5000


@pytest.mark.parametrize("suffix", ["nc", "parquet"])
def test_a_part_of_a_store_is_exported(stores, tmp_path, as_json, suffix):
    file = tmp_path / f"out.{suffix}"
    options = "--paths", "3000:4500", "--every", 4, "--quiet"
    found = as_json("export", stores / "b.zarr", file, *options)
    assert (found["paths"], found["first_path"], found["left_out"]) == (1500, 3000, 0)
    expected = simulated().x[3000:4500, ::4].values
    if suffix == "nc":
        with xr.open_dataset(file, engine="h5netcdf") as there:
            assert np.array_equal(there.x, expected)
            assert there.attrs["montezarr_first_path"] == 3000
            assert np.array_equal(mz.replay(there, 3001).x[::4], there.x[1])
    else:
        table = pd.read_parquet(file)
        assert table.path.unique().tolist() == list(range(3000, 4500))
        assert (table.x == expected.ravel()).all()


def test_chosen_variables_and_format(stores, tmp_path, montezarr):
    heston, file = stores / "heston.zarr", tmp_path / "out.dat"
    options = "--variable", "v", "--format", "parquet", "--quiet"
    assert montezarr("export", heston, file, *options)[0] == 0
    assert list(pd.read_parquet(file)) == ["path", "time", "v"]
    # Of different dimensions no one table can be made.
    status, _, err = montezarr("export", stores / "derived.zarr", tmp_path / "p.parquet")
    assert (status, err.count("\n")) == (2, 1)
    assert "--variable" in err
    options = "--variable", "payoff", "--quiet"
    assert montezarr("export", stores / "derived.zarr", tmp_path / "p.parquet", *options)[0] == 0
    assert list(pd.read_parquet(tmp_path / "p.parquet")) == ["path", "payoff"]


def test_of_an_incomplete_store_what_is_committed_is_exported(stores, tmp_path, montezarr):
    part = stores / "part.zarr"
    status, out, err = montezarr("export", part, tmp_path / "a.nc", "--quiet", "--json")
    assert status == 0
    assert (json.loads(out)["paths"], json.loads(out)["left_out"]) == (2048, 2952)
    assert err.count("\n") == 1
    assert "2,952 of the paths asked for are not committed" in err
    done = montezarr("export", part, tmp_path / "b.nc", "--paths", ":2000", "--quiet")
    assert (done[0], done[2]) == (0, "")
    status, _, err = montezarr("export", part, tmp_path / "c.nc", "--paths", "3000:")
    assert (status, err.count("\n")) == (2, 1)


@pytest.mark.parametrize("paths", ["x", "1:2:3", "-1:5", "5:5", "6:5", "0:99999", "5", "٣:9", "¹:"])
def test_a_wrong_range_is_one_line(stores, tmp_path, montezarr, paths):
    status, out, err = montezarr("export", stores / "gbm.zarr", tmp_path / "a.nc", "--paths", paths)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("montezarr: paths: expected")
    assert not list(tmp_path.iterdir())


def test_no_file_is_overwritten_unasked(stores, tmp_path, montezarr):
    file = tmp_path / "out.nc"
    file.write_bytes(b"mine")
    status, _, err = montezarr("export", stores / "gbm.zarr", file, "--quiet")
    assert (status, err.count("\n"), file.read_bytes()) == (2, 1, b"mine")
    assert "--overwrite" in err
    assert montezarr("export", stores / "gbm.zarr", file, "--overwrite", "--quiet")[0] == 0
    xr.open_dataset(file, engine="h5netcdf").close()
    assert [p.name for p in tmp_path.iterdir()] == ["out.nc"]


def test_a_file_that_comes_to_be_there_meanwhile_stays(stores, tmp_path, monkeypatch):
    file = tmp_path / "out.parquet"

    def late(done, total, failed):
        file.write_bytes(b"mine")

    with pytest.raises(mz.StoreExistsError, match="meanwhile"):
        export(stores / "gbm.zarr", file, on_progress=late)
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"mine"]


@pytest.mark.parametrize("suffix", ["nc", "parquet"])
def test_an_export_that_fails_leaves_nothing(place, tmp_path, montezarr, suffix):
    store = place("gbm.zarr")
    file = store / "x/c/3/0"
    file.write_bytes(file.read_bytes()[:-1] + b"\x00")
    before = sorted(tmp_path.iterdir())
    status, out, err = montezarr("export", store, tmp_path / f"out.{suffix}", "--quiet")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "montezarr verify" in err
    assert sorted(tmp_path.iterdir()) == before


def test_room_is_looked_for_before(stores, tmp_path, monkeypatch, montezarr):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    status, _, err = montezarr("export", stores / "gbm.zarr", tmp_path / "out.nc")
    assert (status, err.count("\n")) == (2, 1)
    assert "expected room for 429.7 KiB, got 1,000 B free" in err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("package", "suffix"), [("h5py", "nc"), ("pyarrow", "parquet")])
def test_a_missing_package_is_named_with_the_line_that_installs_it(
    stores, tmp_path, monkeypatch, montezarr, package, suffix
):
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.setitem(sys.modules, name, None)
    status, _, err = montezarr("export", stores / "gbm.zarr", tmp_path / f"out.{suffix}")
    assert (status, err.count("\n")) == (2, 1)
    assert 'pip install "montezarr[export]"' in err


# what is no store, and no place


def hostile(tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other/file").write_text("x")
    (tmp_path / "text").write_text("x")
    (tmp_path / "link").symlink_to("other")
    (tmp_path / "loop").symlink_to("loop")
    names = ["other", "text", "link", "loop", "none", "new\nline", "\x1b[31mred", "-x", "x" * 300]
    return ["", "a\x00b", "a::b", os.devnull, "\udcff", *(str(tmp_path / name) for name in names)]


@pytest.mark.parametrize(
    "command",
    [
        "info {}",
        "verify {}",
        "repair {}",
        "extend {} --n-paths 9",
        "merge out {}",
        "export {} o.nc",
    ],
)
def test_what_is_no_store_is_one_line_and_left_alone(tmp_path, monkeypatch, montezarr, command):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for path in hostile(tmp_path):
        before = sorted(tmp_path.rglob("*"))
        words = [path if word == "{}" else word for word in command.split()]
        status, out, err = montezarr(*words)
        assert (status, out, err.count("\n")) == (2, "", 1), (path, err)
        assert err.startswith("montezarr: ")
        assert err.strip().isprintable()
        assert sorted(tmp_path.rglob("*")) == before, path


def test_a_file_that_cannot_be_is_one_line(place, montezarr, tmp_path):
    store = place("gbm.zarr")
    before = digests(tmp_path)
    names = ["", "out", "none/out.nc", "gbm.zarr", "gbm.zarr/out.nc", "gbm.zarr/x/out.parquet"]
    paths = [str(tmp_path / name) if name else "" for name in names]
    for out in [*paths, "s3://bucket/out.nc", "a\x00.nc", str(tmp_path / ("x" * 300 + ".nc"))]:
        options = ["--overwrite", *(["--format", "netcdf"] if out.endswith("gbm.zarr") else [])]
        status, _, err = montezarr("export", store, out, *options, "--quiet")
        assert (status, err.count("\n")) == (2, 1), (out, err)
    assert digests(tmp_path) == before


@pytest.mark.parametrize(
    "words",
    ["nothing", "info", "verify s --level 9", "extend s", "extend s --n-paths many", "merge o",
     "export s o.nc --format csv", "export s o.nc --every x", "info a b"],
)  # fmt: skip
def test_wrong_usage_is_one_line(montezarr, words):
    status, out, err = montezarr(*words.split())
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "--help" in err


# signals

STOPPED = """
import os, signal, sys
from montezarr import cli
from montezarr.execute import progress
show = progress.Progress.__call__
left = int(sys.argv[2])
def stop(self, done, total, failed=0):
    global left
    show(self, done, total, failed)
    if done > 6000 and left:
        left -= 1
        os.kill(os.getpid(), getattr(signal, sys.argv[1]))
progress.Progress.__call__ = stop
cli.main(sys.argv[3:])
"""


def stopped(name, times, *arguments):
    command = [sys.executable, "-c", STOPPED, name, str(times), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


JOB = """
process = { name = "BrownianMotion" }
run = { n_paths = 500_000, T = 50, seed = 1, chunks = 1024 }
output = { store = "s.zarr" }
"""


@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_job_that_is_stopped_says_which_command_goes_on(tmp_path, as_json, name, status):
    (tmp_path / "job 1.toml").write_text(JOB)
    done = stopped(name, 1, "run", tmp_path / "job 1.toml", "--quiet")
    assert done.returncode == status
    lines = done.stderr.strip().splitlines()
    assert lines[0] == "montezarr: finishing what runs; once more, to leave at once"
    (committed,) = re.findall(r"stopped; ([\d,]+) of 500,000 paths are committed\.", lines[1])
    again = f"montezarr run {shlex.quote(str(tmp_path / 'job 1.toml'))} --quiet"
    assert lines[1].endswith(f" To go on: {again}")
    assert len(lines) == 2
    found = as_json("info", tmp_path / "s.zarr")
    assert found["status"] == "incomplete"
    assert found["committed"] == int(committed.replace(",", ""))
    assert not (tmp_path / "s.zarr/montezarr/tmp").exists()


def test_extend_that_is_stopped_goes_on(place, montezarr, as_json):
    store = place("gbm.zarr")
    done = stopped("SIGINT", 1, "extend", store, "--n-paths", "300000", "--quiet")
    assert done.returncode == 130
    again = f"To go on: montezarr extend {store} --n-paths 300000 --quiet"
    assert done.stderr.strip().endswith(again)
    assert as_json("verify", store)["ok"]
    before = as_json("info", store)["committed"]
    assert 6000 < before < 300_000
    assert as_json("extend", store, "--n-paths", 300_000, "--quiet")["added"] == 300_000 - before


def test_a_second_signal_leaves_at_once(place, as_json):
    store = place("gbm.zarr")
    done = stopped("SIGTERM", 2, "extend", store, "--n-paths", "300000", "--quiet")
    assert done.returncode == 143
    assert done.stderr.strip() == "montezarr: finishing what runs; once more, to leave at once"
    assert as_json("repair", store, "--quiet")["ok"]


def test_an_export_that_is_stopped_leaves_nothing(place, tmp_path):
    store = place("gbm.zarr")
    mz.extend(store, 9000)
    done = stopped("SIGINT", 1, "export", store, tmp_path / "out.parquet", "--quiet")
    assert done.returncode == 130
    assert done.stderr.endswith("montezarr: interrupted.\n")
    assert [p.name for p in tmp_path.iterdir()] == ["gbm.zarr"]


def test_commands_of_the_page_run(stores, tmp_path, monkeypatch, montezarr):
    """Those of docs/how-to/command-line.md, in the order of the page."""
    page = (ROOT / "docs/how-to/command-line.md").read_text()
    for name in ("a.zarr", "b.zarr"):
        shutil.copytree(stores / name, tmp_path / name)
    shutil.copytree(stores / "gbm.zarr", tmp_path / "paths.zarr")
    monkeypatch.chdir(tmp_path)
    commands = re.findall(r"^\$ (montezarr .*)$", page, re.MULTILINE)
    seen = set()
    for command in commands:
        _, name, *words = shlex.split(command)
        status, _, err = montezarr(name, *words)
        assert status == 0, (command, err)
        seen.add(name)
    assert seen == {"info", "verify", "repair", "extend", "merge", "export"}
    assert set(cli.cli.commands) == set(re.findall(r"^montezarr (\w+)", page, re.MULTILINE))
