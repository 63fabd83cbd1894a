"""Other tools write into a store: what is said of it, and that `repair` makes it what it was."""

import shutil

import numpy as np
import pytest
import xarray as xr
import zarr
from stores import files, gbm_paths
from zarr.storage import MemoryStore

import montezarr as mz
from montezarr.store._where import location_of

pytestmark = pytest.mark.filterwarnings("ignore:Consolidated metadata", "ignore:Object at")

N = 3000


def paths():
    return gbm_paths(n_paths=N, T=3)


def more():
    return paths().isel(path=slice(500)).drop_attrs().compute() * 0.0


def append(store):
    more().to_zarr(store, append_dim="path")


def append_with_the_recipe(store):
    more().assign_attrs(paths().attrs).to_zarr(store, append_dim="path")


def append_without_consolidation(store):
    more().to_zarr(store, append_dim="path", consolidated=False)


def clear_attributes(store):
    zarr.open_group(store, mode="r+").attrs.put({})


def append_by_zarr(store):
    zarr.open_array(store, path="x", mode="r+").append(np.zeros((500, 4)))


def shrink_by_zarr(store):
    zarr.open_array(store, path="x", mode="r+").resize((200, 4))


def attribute_of_a_variable(store):
    zarr.open_array(store, path="x", mode="r+").attrs["note"] = "mine"


def consolidate(store):
    zarr.consolidate_metadata(store)


def write_a_region(store):
    more().drop_vars("time").to_zarr(store, region={"path": slice(0, 500)})


OF_THE_ROOT = [
    append,
    append_with_the_recipe,
    append_without_consolidation,
    clear_attributes,
]
OF_METADATA = [append_by_zarr, shrink_by_zarr, attribute_of_a_variable, consolidate]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "a"
    mz.write(paths(), path, statistics="mean")
    return path


@pytest.fixture
def copy(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "a")


CALLS = {
    "open": mz.open,
    "statistics": lambda path: mz.open(path, "statistics"),
    "write": lambda path: mz.write(paths(), path, statistics="mean"),
    "extend": lambda path: mz.extend(path, 5000),
    "merge": lambda path: mz.merge([path], f"{path}.merged"),
}


@pytest.mark.parametrize("change", OF_THE_ROOT)
def test_a_store_that_another_tool_appended_to_is_told_and_mended(whole, copy, change):
    change(copy)
    for call in CALLS.values():
        with pytest.raises(mz.StoreError, match=r"another writer has changed.*montezarr\.repair"):
            call(copy)
    assert not mz.verify(copy).ok
    assert mz.repair(copy).ok
    assert files(copy) == files(whole)


@pytest.mark.parametrize("change", [*OF_METADATA, write_a_region])
def test_other_changes_are_told_where_they_show_and_mended(whole, copy, change):
    change(copy)
    if change in OF_METADATA:
        with pytest.raises(mz.StoreError, match=r"another writer.*montezarr\.repair"):
            mz.open(copy)
    assert not mz.verify(copy).ok
    assert mz.repair(copy).ok
    assert files(copy) == files(whole)


def test_it_is_so_of_objects_too():
    store = MemoryStore()
    mz.write(paths(), store)
    before = {key: location_of(store).get(key) for key in location_of(store).objects()}
    append(store)
    for call in (mz.open, lambda store: mz.write(paths(), store)):
        with pytest.raises(mz.StoreError, match="another writer has changed"):
            call(store)
    mz.repair(store)
    assert {key: location_of(store).get(key) for key in location_of(store).objects()} == before


def test_what_was_put_in_place_of_a_store_is_no_store(copy):
    more().to_zarr(copy, mode="w")
    with pytest.raises(mz.StoreNotFoundError):
        mz.open(copy)
    with pytest.raises(mz.StoreExistsError, match="another Zarr group"):
        mz.write(paths(), copy)
    xr.testing.assert_equal(xr.open_zarr(copy), more())
