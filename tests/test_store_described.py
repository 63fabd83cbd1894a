"""What a user says of paths, such as their units, takes part in no path: no `ds=` is needed."""

import shutil

import numpy as np
import pytest
import xarray as xr
from stores import CHAIN, GBM, HESTON, files

import montezarr as mz

PROCESSES = {
    "gbm": (GBM, 100.0),
    "chain": (CHAIN, "calm"),
    "heston": (HESTON, {"s": 1.0, "v": 0.1}),
}
STATISTICS = {"gbm": "mean", "chain": mz.Proportion(), "heston": "mean"}


def paths(n=3000, kind="gbm", **options):
    process, x0 = PROCESSES[kind]
    return mz.simulate(process, n_paths=n, T=5, x0=x0, dt=0.1, seed=1, chunks=1024, **options)


def units(ds):
    for variable in ds.data_vars.values():
        variable.attrs["units"] = "EUR"
    return ds


def no_words(ds):
    for variable in ds.data_vars.values():
        variable.attrs.pop("long_name", None)
    return ds


def time_units(ds):
    ds.time.attrs.update(units="a", note=[1, 2])
    return ds


def dates(ds):
    return ds.assign_coords(time=np.datetime64("2026-01-01") + np.arange(6).astype("m8[D]"))


def year(ds):
    return ds.assign_coords(year=("time", np.arange(6)))


def run(ds):
    return ds.assign_coords(run=7)


def no_time(ds):
    return ds.drop_vars("time")


SAID = [units, no_words, time_units, dates, year, run, no_time]


CASES = [
    *(("gbm", said, said not in (units, dates)) for said in SAID),
    *((kind, said, True) for kind in ("chain", "heston") for said in (units, dates)),
]


@pytest.mark.parametrize(("kind", "said", "statistics"), CASES)
def test_a_store_goes_on_by_its_recipe_whatever_was_said_of_it(tmp_path, kind, said, statistics):
    statistics = STATISTICS[kind] if statistics else None
    mz.write(said(paths(kind=kind)), tmp_path / "a", statistics=statistics)
    assert mz.verify(tmp_path / "a", 3).ok
    name = next(iter(paths(kind=kind).data_vars))
    before = files(tmp_path / "a")
    (tmp_path / "a" / name / "c/1/0").unlink()
    assert mz.repair(tmp_path / "a").ok
    assert files(tmp_path / "a") == before
    mz.extend(tmp_path / "a", 4000)
    mz.write(said(paths(4000, kind)), tmp_path / "fresh", statistics=statistics)
    assert files(tmp_path / "a") == files(tmp_path / "fresh")


@pytest.mark.parametrize("said", SAID)
def test_it_is_made_anew_from_its_root_alone(tmp_path, said):
    mz.write(said(paths()), tmp_path / "a")
    before = files(tmp_path / "a")
    shutil.rmtree(tmp_path / "a/montezarr")
    assert mz.repair(tmp_path / "a").ok
    assert files(tmp_path / "a") == before


def test_what_masks_paths_is_no_remark(tmp_path):
    ds = paths(kind="chain", on_nonfinite="mask")
    ds.x.attrs["note"] = "mine"
    mz.write(ds, tmp_path / "a")
    mz.extend(tmp_path / "a", 4000)
    xr.testing.assert_identical(
        mz.open(tmp_path / "a").x.drop_attrs().compute(),
        paths(4000, "chain").x.drop_attrs().compute(),
    )
