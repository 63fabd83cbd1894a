"""Paths that the system cannot have are refused at the call, by the name of the argument."""

import os

import pytest

import montezarr as mz
from montezarr.store.export import export

LONG = "y" * 300


@pytest.fixture(scope="module")
def ds():
    return mz.simulate(mz.BrownianMotion(), n_paths=1500, T=5, seed=1)


@pytest.fixture(scope="module")
def store(ds, tmp_path_factory):
    path = tmp_path_factory.mktemp("long") / "a.zarr"
    mz.write(ds, path)
    return path


@pytest.fixture(scope="module")
def snapshot(ds):
    *_, last = mz.stream(ds.x, "mean", until=mz.PathCount(1024))
    return last


CALLS = {
    "write": lambda at, ds, store, snapshot: mz.write(ds, at),
    "open": lambda at, ds, store, snapshot: mz.open(at),
    "verify": lambda at, ds, store, snapshot: mz.verify(at),
    "repair": lambda at, ds, store, snapshot: mz.repair(at),
    "extend": lambda at, ds, store, snapshot: mz.extend(at, 3000),
    "merge": lambda at, ds, store, snapshot: mz.merge([at], store.parent / "m.zarr"),
    "merge into": lambda at, ds, store, snapshot: mz.merge([store], at),
    "export": lambda at, ds, store, snapshot: export(store, f"{at}.parquet"),
    "export of": lambda at, ds, store, snapshot: export(at, store.parent / "a.parquet"),
    "report": lambda at, ds, store, snapshot: mz.report(f"{at}.html"),
    "save": lambda at, ds, store, snapshot: snapshot.save(f"{at}.npz"),
    "resume": lambda at, ds, store, snapshot: list(mz.stream(ds.x, "mean", resume_from=at)),
    "picture": lambda at, ds, store, snapshot: mz.plot.save_fan(ds.x, f"{at}.png"),
    "virtual": lambda at, ds, store, snapshot: mz.VirtualStore(ds).save(f"{at}.json"),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("kind", ["name", "path", "home", "surrogate"])
def test_a_path_that_no_system_has_is_refused(call, kind, ds, store, snapshot, tmp_path):
    at = {
        "name": str(tmp_path / LONG),
        "path": str(tmp_path) + "/x" * 2200,
        "home": "~nobody_has_this_name/a",
        "surrogate": str(tmp_path / "\ud800"),
    }[kind]
    said = {"name": "longest name 30", "path": "too long", "home": "home", "surrogate": "surrog"}
    with pytest.raises(mz.MontezarrError, match=said[kind]) as caught:
        CALLS[call](at, ds, store, snapshot)
    assert str(caught.value).partition(":")[0] in ("path", "out", "file", "resume_from")
    assert os.listdir(tmp_path) == []


def test_a_store_whose_files_would_have_too_long_names_is_not_begun(ds, tmp_path):
    deep = tmp_path / "/".join(["d" * 200] * ((4000 - len(str(tmp_path))) // 201))
    path = deep / ("e" * max(1, 4070 - len(str(deep))))
    with pytest.raises(mz.MontezarrError, match="too long"):
        mz.write(ds, path)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["語" * 70, "é" * 110, "a" * 240])
def test_a_file_may_have_as_long_a_name_as_the_system_takes(name, snapshot, tmp_path):
    file = tmp_path / f"{name}.npz"
    snapshot.save(file)
    assert os.listdir(tmp_path) == [file.name]
