"""A system without what POSIX has, such as Windows, reads a store, and is told not to write.

Nothing here runs on Windows: what its Python lacks is taken away.
"""

import os

import pytest
import xarray as xr
from stores import files, gbm_paths

import montezarr as mz
from montezarr.store.locations import _lock

LACKS = (
    "O_CLOEXEC",
    "O_NOFOLLOW",
    "O_NONBLOCK",
    "O_NOCTTY",
    "O_DIRECTORY",
    "SEEK_DATA",
    "SEEK_HOLE",
)


@pytest.fixture
def store(tmp_path):
    path = tmp_path / "a"
    mz.write(gbm_paths(n_paths=3000, T=3), path, statistics="mean")
    return path


@pytest.fixture
def windows(store, monkeypatch):
    monkeypatch.setattr(_lock, "fcntl", None)
    for name in LACKS:
        monkeypatch.delattr(os, name, raising=False)
    with mz.backend("synchronous"):
        yield


@pytest.mark.usefixtures("windows")
def test_it_is_read_and_verified(store):
    ds = gbm_paths(n_paths=3000, T=3)
    xr.testing.assert_equal(mz.open(store).compute(), ds.compute())
    assert mz.open(store, "statistics").x_mean.load().shape == (4,)
    assert mz.verify(store, 3).ok


@pytest.mark.usefixtures("windows")
def test_what_would_write_is_refused_and_leaves_it_as_it_is(store, tmp_path):
    before = files(tmp_path)
    calls = [
        lambda: mz.write(gbm_paths(n_paths=3000, T=3), tmp_path / "b"),
        lambda: mz.extend(store, 5000),
        lambda: mz.repair(store),
        lambda: mz.merge([store], tmp_path / "b"),
    ]
    for call in calls:
        with pytest.raises(mz.StoreError, match=r"a POSIX system to write on.*WSL"):
            call()
    assert files(tmp_path) == before
    assert not (tmp_path / "b").exists()
