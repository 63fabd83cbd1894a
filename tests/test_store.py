"""The store: what is written, what is refused, and that nothing of others is touched."""

import json
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr
import zarr
from stores import GBM, files, gbm_paths

import montezarr as mz


def test_what_is_read_back_is_what_was_simulated(tmp_path):
    ds = gbm_paths()
    stored = mz.write(ds, tmp_path / "a.zarr")
    assert stored.identical(mz.open(tmp_path / "a.zarr"))
    xr.testing.assert_equal(stored.compute(), ds.compute())
    assert stored.attrs == ds.attrs
    assert np.array_equal(mz.replay(stored, 4999).x, ds.x[4999])


def test_float32_month_ends_of_two_variables_with_their_own_x0(tmp_path):
    heston = mz.Heston(mu=0.0, kappa=1.0, theta=0.04, xi=0.5, rho=-0.5)
    x0 = {"s": 100.0, "v": np.linspace(0.01, 0.09, 3000)}
    ds = mz.simulate(heston, 3000, 24, x0, dt=1 / 24, seed=1, dtype="float32", keep=6, chunks=1024)
    stored = mz.write(ds, tmp_path / "h.zarr")
    assert stored.s.dtype == np.float32
    assert stored.sizes == {"path": 3000, "time": 5}
    xr.testing.assert_equal(stored.compute(), ds.compute())


def test_labels_keep_their_meanings(tmp_path):
    chain = mz.MarkovChain(transition=[[0.5, 0.5], [0.1, 0.9]], states=["calm", "storm"])
    ds = mz.simulate(chain, n_paths=2000, T=5, x0="storm", seed=1)
    stored = mz.write(ds, tmp_path / "c.zarr")
    assert stored.x.attrs["flag_meanings"] == "calm storm"
    assert list(stored.x.attrs["flag_values"]) == [0, 1]
    assert (stored.x[:, 0] == 1).all()


def test_plain_xarray_reads_it_without_a_warning(tmp_path):
    mz.write(gbm_paths(), tmp_path / "a.zarr")
    plain = xr.open_zarr(tmp_path / "a.zarr", consolidated=False)
    xr.testing.assert_equal(plain.compute(), gbm_paths().compute())
    assert "_FillValue" not in plain.x.attrs


def test_format_on_disk_is_transposed_with_a_checksum_and_nothing_else(tmp_path):
    mz.write(gbm_paths(), tmp_path / "a.zarr")
    metadata = json.loads((tmp_path / "a.zarr/x/zarr.json").read_text())
    assert metadata["zarr_format"] == 3
    assert [codec["name"] for codec in metadata["codecs"]] == ["transpose", "bytes", "crc32c"]
    assert metadata["dimension_names"] == ["path", "time"]
    size = 1024 * 21 * 8 + 4
    assert {os.path.getsize(tmp_path / f"a.zarr/x/c/{i}/0") for i in range(5)} == {size}
    assert not list((tmp_path / "a.zarr").rglob("*.partial"))


def test_a_flipped_byte_is_an_error_not_a_number(tmp_path):
    stored = mz.write(gbm_paths(), tmp_path / "a.zarr")
    chunk = tmp_path / "a.zarr/x/c/2/0"
    data = bytearray(chunk.read_bytes())
    data[1000] ^= 1
    chunk.write_bytes(data)
    stored.x[:1000].compute()
    with pytest.raises(ValueError, match="checksum"):
        stored.x[2048:2060].compute()


def test_a_constant_path_of_zeros_is_stored_and_not_left_out(tmp_path):
    still = mz.BrownianMotion(mu=0.0, sigma=0.0)
    stored = mz.write(mz.simulate(still, n_paths=2000, T=3, seed=1), tmp_path / "z.zarr")
    assert (tmp_path / "z.zarr/x/c/0/0").exists()
    assert (stored.x == 0).all()


def test_written_again_it_is_complete_and_nothing_is_simulated(tmp_path):
    mz.write(gbm_paths(), tmp_path / "a.zarr")
    before = files(tmp_path)
    calls = []
    mz.write(gbm_paths(), tmp_path / "a.zarr", on_progress=lambda done, *rest: calls.append(done))
    assert calls == []
    assert files(tmp_path) == before


def test_progress_counts_paths_up_to_all(tmp_path):
    calls = []
    mz.write(gbm_paths(), tmp_path / "a.zarr", on_progress=lambda *report: calls.append(report))
    assert sorted(calls) == calls
    assert calls[0] == (0, 5000, 0)
    assert calls[-1] == (5000, 5000, 0)


def test_progress_is_shown_when_asked_for(tmp_path, capsys):
    mz.write(gbm_paths(), tmp_path / "a.zarr")
    assert capsys.readouterr() == ("", "")
    mz.write(gbm_paths(), tmp_path / "b.zarr", show_progress=True)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "write: 5,000 of 5,000 paths (100%)" in printed.err
    with pytest.raises(mz.ArgumentTypeError, match="show_progress"):
        mz.write(gbm_paths(), tmp_path / "c.zarr", show_progress=1)
    assert not (tmp_path / "c.zarr").exists()


def test_missing_chunks_are_drawn_again_to_the_same_bytes(tmp_path):
    mz.write(gbm_paths(), tmp_path / "a.zarr")
    before = files(tmp_path)
    (tmp_path / "a.zarr/x/c/1/0").unlink()
    with pytest.raises(mz.StoreError, match="from 1,024"):
        mz.open(tmp_path / "a.zarr").load()
    mz.write(gbm_paths(), tmp_path / "a.zarr")
    assert files(tmp_path) == before


KILLED = """
import os, sys
import montezarr as mz
gbm = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
ds = mz.simulate(gbm, n_paths=5000, T=20, x0=100.0, dt=0.05, seed=42, chunks=1024)
mz.write(ds, sys.argv[1], on_progress=lambda done, *rest: done > 2000 and os.kill(os.getpid(), 9))
"""


def test_a_killed_run_shows_what_is_committed_and_goes_on_to_the_same_bytes(tmp_path):
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "k.zarr")], check=False)
    assert done.returncode == -9
    shown = mz.open(tmp_path / "k.zarr")
    assert shown.attrs["montezarr_status"].startswith("incomplete, ")
    xr.testing.assert_equal(shown.compute(), gbm_paths().isel(path=slice(0, shown.sizes["path"])))
    mz.write(gbm_paths(), tmp_path / "k.zarr")
    mz.write(gbm_paths(), tmp_path / "whole.zarr")
    assert files(tmp_path / "k.zarr") == files(tmp_path / "whole.zarr")


def test_a_failing_sampler_keeps_what_is_done(tmp_path):
    switch = {"broken": True}

    def sampler(rng, T):
        x = rng.standard_normal(T + 1)
        if switch["broken"] and x[0] > 3.3:
            raise RuntimeError("broken")
        return x

    ds = mz.simulate(sampler, n_paths=6000, T=3, seed=1, chunks=1024)
    with mz.backend("synchronous"):
        with pytest.raises(mz.SamplerError):
            mz.write(ds, tmp_path / "f.zarr")
        assert mz.open(tmp_path / "f.zarr").attrs["montezarr_status"].startswith("incomplete")
        switch["broken"] = False
        xr.testing.assert_equal(mz.write(ds, tmp_path / "f.zarr").compute(), ds.compute())


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"seed": 43}, "seed"),
        ({"x0": 99.0}, "x0"),
        ({"T": 21}, "grid"),
        ({"dt": 0.1}, "grid"),
        ({"dtype": "float32"}, "variables"),
        ({"keep": 5}, "keep"),
        ({"n_paths": 6000}, "n_paths"),
        ({"times": np.arange(21.0), "T": None, "dt": None}, "grid"),
    ],
)
def test_another_recipe_is_refused_and_the_store_is_left_alone(tmp_path, changes, field):
    mz.write(gbm_paths(), tmp_path / "a.zarr")
    before = files(tmp_path)
    with pytest.raises(mz.StoreMismatchError, match=field):
        mz.write(gbm_paths(**changes), tmp_path / "a.zarr")
    assert files(tmp_path) == before


def test_a_store_goes_on_in_its_own_chunks(tmp_path):
    mz.write(gbm_paths(), tmp_path / "a.zarr")
    before = files(tmp_path)
    (tmp_path / "a.zarr/x/c/1/0").unlink()
    mz.write(gbm_paths(chunks=4096), tmp_path / "a.zarr")
    assert files(tmp_path) == before


@pytest.mark.parametrize("size", [0, 100])
def test_a_cut_chunk_is_missing_and_drawn_again(tmp_path, size):
    mz.write(gbm_paths(), tmp_path / "a.zarr")
    before = files(tmp_path)
    os.truncate(tmp_path / "a.zarr/x/c/1/0", size)
    with pytest.raises(mz.StoreError, match="from 1,024"):
        mz.open(tmp_path / "a.zarr").load()
    mz.write(gbm_paths(), tmp_path / "a.zarr")
    assert files(tmp_path) == before


def test_times_that_were_never_filled_are_filled_when_the_run_goes_on(tmp_path):
    mz.write(gbm_paths(), tmp_path / "a.zarr")
    before = files(tmp_path)
    (tmp_path / "a.zarr/time/c/0").unlink()
    assert mz.write(gbm_paths(), tmp_path / "a.zarr").time[-1] == 1.0
    assert files(tmp_path) == before


def edit(root, change):
    file = root / "zarr.json"
    metadata = json.loads(file.read_text())
    change(metadata["attributes"])
    file.write_text(json.dumps(metadata))


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a["montezarr_store"].update(format=99),
        lambda a: a["montezarr_store"].update(chunk=0),
        lambda a: a["montezarr_store"].update(n_paths="many"),
        lambda a: a["montezarr_store"].pop("chunk"),
        lambda a: a.update(montezarr="[]"),
        lambda a: a.update(montezarr="{}"),
        lambda a: a.update(montezarr_store=3),
    ],
)
def test_a_changed_root_is_refused_by_all_and_left_alone(tmp_path, change):
    mz.write(gbm_paths(), tmp_path / "a.zarr")
    edit(tmp_path / "a.zarr", change)
    before = files(tmp_path)
    with pytest.raises(mz.StoreError):
        mz.open(tmp_path / "a.zarr")
    with pytest.raises(mz.StoreError):
        mz.write(gbm_paths(), tmp_path / "a.zarr")
    assert files(tmp_path) == before


def test_an_unpickled_dataset_plans_and_writes_like_the_original(tmp_path):
    file = tmp_path / "ds.pickle"
    file.write_bytes(pickle.dumps(gbm_paths()))
    code = (
        "import pickle, sys, montezarr as mz\n"
        "ds = pickle.load(open(sys.argv[1], 'rb'))\n"
        "print(mz.plan(ds).chunks)\n"
        "mz.write(ds, sys.argv[2])\n"
    )
    command = [sys.executable, "-c", code, str(file), str(tmp_path / "p.zarr")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "5"
    mz.write(gbm_paths(), tmp_path / "a.zarr")
    assert files(tmp_path / "p.zarr") == files(tmp_path / "a.zarr")


def test_another_process_is_not_taken_for_the_one_of_the_dataset(tmp_path):
    with pytest.raises(mz.ReplayError):
        mz.replay(gbm_paths(), 1, process=mz.BrownianMotion())
    with pytest.raises(mz.ReplayError):
        mz.write(gbm_paths(), tmp_path / "a.zarr", process=mz.BrownianMotion())
    same = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
    assert np.array_equal(mz.replay(gbm_paths(), 1, process=same).x, gbm_paths().x[1])


def test_changed_code_of_a_sampler_is_another_recipe(tmp_path):
    def first(rng):
        return rng.standard_normal(3)

    def second(rng):
        return rng.standard_normal(3) + 0

    second.__name__ = second.__qualname__ = first.__name__
    mz.write(mz.simulate(first, n_paths=10, seed=1), tmp_path / "a.zarr")
    with pytest.raises(mz.StoreMismatchError, match="code"):
        mz.write(mz.simulate(second, n_paths=10, seed=1), tmp_path / "a.zarr")


def make_file(path):
    path.write_text("thesis")


def make_folder(path):
    path.mkdir()
    (path / "thesis.tex").write_text("years of work")


def make_other_group(path):
    zarr.create_group(path, attributes={"theirs": 1})


def make_link(path):
    (path.parent / "real").mkdir()
    path.symlink_to(path.parent / "real")


@pytest.mark.parametrize("make", [make_file, make_folder, make_other_group, make_link])
def test_what_is_not_ours_is_refused_and_left_as_it_is(tmp_path, make):
    make(tmp_path / "a.zarr")
    before = files(tmp_path)
    with pytest.raises(mz.StoreExistsError):
        mz.write(gbm_paths(), tmp_path / "a.zarr")
    with pytest.raises(mz.StoreNotFoundError):
        mz.open(tmp_path / "a.zarr")
    assert files(tmp_path) == before


def test_an_empty_directory_is_used(tmp_path):
    (tmp_path / "a.zarr").mkdir()
    assert mz.write(gbm_paths(), tmp_path / "a.zarr").sizes["path"] == 5000


DERIVED = {
    "doubled": lambda ds: ds * 2,
    "thinned": lambda ds: ds.isel(time=slice(0, None, 5)),
    "last": lambda ds: ds.isel(time=-1),
    "one more": lambda ds: ds.assign(payoff=(ds.x.isel(time=-1) - 105).clip(min=0)),
    "one alone": lambda ds: ds[["x"]].rename(x="price"),
    "turned": lambda ds: ds.transpose("time", "path"),
    "whole numbers": lambda ds: (ds > 100).astype("int8"),
    "truth": lambda ds: ds > 100,
}


@pytest.mark.parametrize("what", DERIVED)
def test_derived_variables_are_written_as_they_are_computed(tmp_path, what):
    ds = DERIVED[what](gbm_paths()).assign_attrs(gbm_paths().attrs)
    stored = mz.write(ds, tmp_path / "a.zarr")
    xr.testing.assert_identical(stored.compute(), ds.compute())
    before = files(tmp_path)
    mz.write(ds, tmp_path / "a.zarr", on_progress=lambda *_: pytest.fail("drawn again"))
    other = (ds + 1).assign_attrs(ds.attrs) if what != "truth" else (~ds).assign_attrs(ds.attrs)
    with pytest.raises(mz.StoreMismatchError, match="values"):
        mz.write(other, tmp_path / "a.zarr")
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    ("derive", "reason"),
    [
        (lambda ds: ds.isel(path=slice(0, 1024)), "chunks"),
        (lambda ds: ds.compute(), "lazy"),
        (lambda ds: ds - ds.mean("path"), "path by path"),
        (lambda ds: ds.assign(y=ds.x.mean("path")), "with the dimension 'path'"),
        (lambda ds: ds.assign_coords(path=np.arange(5000)), "a path's index is its position"),
        (lambda ds: ds.rename(x="a/b"), "names of variables"),
        (lambda ds: ds.rename(x="statistics"), "names of variables"),
        (lambda ds: ds.assign_coords(time=list("abcdefghijklmnopqrstu")), "holds no text"),
        (lambda ds: ds.assign_attrs(mz.simulate(GBM, 5, T=2, seed=1).attrs), "recipe"),
    ],
)
def test_what_cannot_be_drawn_again_path_by_path_is_refused(tmp_path, derive, reason):
    with pytest.raises(mz.MontezarrError, match=reason):
        mz.write(derive(gbm_paths()), tmp_path / "a.zarr")
    assert not list(tmp_path.iterdir())


def test_a_disk_without_room_is_refused_before_anything_is_written(tmp_path):
    ds = mz.simulate(GBM, n_paths=10**11, T=252, seed=1)
    with pytest.raises(mz.StoreError, match=r"room for 184\.[0-9] TiB"):
        mz.write(ds, tmp_path / "a.zarr")
    assert not list(tmp_path.iterdir())


def test_a_store_that_names_an_unknown_codec_or_strings_is_not_opened(tmp_path):
    mz.write(gbm_paths(), tmp_path / "a.zarr")
    file = tmp_path / "a.zarr/x/zarr.json"
    metadata = json.loads(file.read_text())
    metadata["codecs"].append({"name": "zstd", "configuration": {"level": 0, "checksum": False}})
    metadata["codecs"] = metadata["codecs"][:-1]
    metadata["data_type"] = "string"
    file.write_text(json.dumps(metadata))
    with pytest.raises((mz.StoreError, ValueError, TypeError)):
        mz.open(tmp_path / "a.zarr")


def test_on_a_cluster_the_same_bytes(tmp_path):
    from distributed import Client, LocalCluster

    mz.write(gbm_paths(), tmp_path / "threads.zarr")
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=2, host="127.0.0.1", dashboard_address="127.0.0.1:0"
        ) as cluster,
        Client(cluster),
    ):
        assert "active Client" in mz.plan(gbm_paths()).backend
        mz.write(gbm_paths(), tmp_path / "cluster.zarr")
    assert files(tmp_path / "threads.zarr") == files(tmp_path / "cluster.zarr")


@pytest.mark.parametrize("n", [1000, 3000])
def test_what_is_made_of_paths_is_written_whatever_the_number_of_chunks(tmp_path, n):
    def made(n):
        ds = mz.simulate(mz.BrownianMotion(), n_paths=n, T=10, seed=1, chunks=1024)
        return ds.assign(y=ds.x.max("time"))

    stored = mz.write(made(n), tmp_path / "a.zarr")
    assert np.array_equal(stored.y, made(n).y)
    assert np.array_equal(mz.extend(tmp_path / "a.zarr", 4000, ds=made(4000)).y, made(4000).y)
    assert mz.verify(tmp_path / "a.zarr").ok
