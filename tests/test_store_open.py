"""What `open` shows is committed, whole and as it was written; all else is an error of ours."""

import errno
import json
import os
import pickle
import shutil
import subprocess
import sys
from types import SimpleNamespace

import dask
import numpy as np
import pytest
import xarray as xr
from patience import calls_of
from stores import GBM, HESTON, files, gbm_paths
from zarr.storage import LocalStore, MemoryStore, ObjectStore, WrapperStore

import montezarr as mz
from montezarr.store import _open, _open_results
from montezarr.store._chunk_reader import ChunkReader
from montezarr.store._digest import file_digest
from montezarr.store.format import _commit_log, buffer_of
from montezarr.store.format._commit_state import CommitState
from montezarr.store.locations._location import LocalLocation


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("written") / "a.zarr"
    mz.write(gbm_paths(), path, statistics=["mean", "std"])
    return path


@pytest.fixture
def store(written, tmp_path):
    return shutil.copytree(written, tmp_path / "a.zarr")


def change_nodes(store, name, change, *, in_root=True):
    """Change the metadata of an array in its own document and in the root."""
    root = json.loads((store / "zarr.json").read_text())
    node = root["consolidated_metadata"]["metadata"][name]
    change(node)
    (store / name / "zarr.json").write_text(json.dumps(node))
    if in_root:
        (store / "zarr.json").write_text(json.dumps(root))


def change_root(store, change):
    root = json.loads((store / "zarr.json").read_text())
    change(root)
    (store / "zarr.json").write_text(json.dumps(root))


# --- statistics ------------------------------------------------------------------------------


def result_keys(store):
    return list(CommitState.read(LocalLocation(store)).statistics)


@pytest.mark.parametrize("damage", ["flip", "cut", "gone", "more"])
def test_results_that_are_not_those_of_the_journal_are_not_shown(store, damage):
    expected = mz.open(store, "statistics")
    for key in result_keys(store):
        file = store / key
        data = file.read_bytes()
        if damage == "flip":
            file.write_bytes(bytes([data[0] ^ 1]) + data[1:])
        elif damage == "cut":
            file.write_bytes(data[:-1])
        elif damage == "more":
            file.write_bytes(data + b" ")
        else:
            file.unlink()
        with pytest.raises(mz.StoreError, match=r"Call montezarr\.repair"):
            mz.open(store, "statistics")
        file.write_bytes(data)
    xr.testing.assert_identical(mz.open(store, "statistics"), expected)


def test_results_of_another_number_of_paths_are_not_mixed_in(store, tmp_path):
    mz.write(gbm_paths(n_paths=9000), tmp_path / "b.zarr", statistics=["mean", "std"])
    for key in result_keys(store):
        if "/c/" in key and (store / key).read_bytes() != (tmp_path / "b.zarr" / key).read_bytes():
            shutil.copyfile(tmp_path / "b.zarr" / key, store / key)
            break
    with pytest.raises(mz.StoreError, match=r"Call montezarr\.repair"):
        mz.open(store, "statistics")


def test_files_beside_the_results_are_not_shown(store):
    expected = mz.open(store, "statistics")
    shutil.copytree(store / "statistics/x_mean", store / "statistics/y_mean")
    xr.testing.assert_identical(mz.open(store, "statistics"), expected)


def test_results_that_are_replaced_in_the_middle_are_read_again(store, tmp_path, monkeypatch):
    other = tmp_path / "b.zarr"
    mz.write(gbm_paths(n_paths=9000), other, statistics=["mean", "std"])
    expected = mz.open(other, "statistics")
    stale = CommitState.read(LocalLocation(store))
    shutil.rmtree(store)
    shutil.copytree(other, store)
    reads = [stale]
    monkeypatch.setattr(
        _open_results,
        "CommitState",
        SimpleNamespace(read=lambda place: reads.pop() if reads else CommitState.read(place)),
    )
    xr.testing.assert_identical(mz.open(store, "statistics"), expected)
    assert not reads


def test_results_that_no_record_tells_of_are_not_shown(store):
    journal = store / "montezarr/journal"
    records, _, _ = _commit_log.read_records(journal.read_bytes())
    journal.write_bytes(_commit_log.lines_of(r for r in records if "statistics" not in r))
    with pytest.raises(mz.StoreNotFoundError):
        mz.open(store, "statistics")


def test_results_with_hostile_metadata_are_refused_though_the_journal_has_their_digests(store):
    journal = store / "montezarr/journal"
    good = journal.read_bytes()
    for key, change in [
        ("statistics/x_mean/zarr.json", lambda node: node.update(data_type="object")),
        ("statistics/x_mean/zarr.json", lambda node: node.update(dimension_names=5)),
        ("statistics/x_mean/zarr.json", lambda node: node.update(codecs=[{"name": "trap"}])),
        ("statistics/x_mean/zarr.json", lambda node: node.update(shape=[2**60])),
        ("statistics/zarr.json", lambda node: node.update(attributes=[])),
        ("statistics/zarr.json", lambda node: node["attributes"].update(montezarr_variables=5)),
        ("statistics/zarr.json", lambda node: node.update(node_type="array")),
    ]:
        data = (store / key).read_bytes()
        node = json.loads(data)
        change(node)
        new = json.dumps(node).encode()
        (store / key).write_bytes(new)
        records, _, _ = _commit_log.read_records(good)
        for record in records:
            if "statistics" in record:
                record["statistics"][key] = list(file_digest([new]))
        journal.write_bytes(_commit_log.lines_of(records))
        with pytest.raises(mz.StoreError):
            mz.open(store, "statistics")
        (store / key).write_bytes(data)
        journal.write_bytes(good)


# --- files that are gone ---------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["gone", "cut"])
def test_a_constant_that_is_gone_is_no_nan(store, damage):
    file = store / "time/c/0"
    data = file.read_bytes()
    file.unlink() if damage == "gone" else file.write_bytes(data[:-8])
    with pytest.raises(mz.StoreError, match="'time'"):
        mz.open(store)


def test_a_scalar_that_is_gone_is_no_nan(tmp_path):
    ds = gbm_paths().assign_coords(strike=105.0)
    mz.write(ds, tmp_path / "a.zarr")
    assert mz.open(tmp_path / "a.zarr").strike == 105.0
    (tmp_path / "a.zarr/strike/c").unlink()
    with pytest.raises(mz.StoreError, match="'strike'"):
        mz.open(tmp_path / "a.zarr")


@pytest.mark.parametrize(
    "storage",
    [None, mz.Storage(inner_chunk=1024), mz.Storage(compression="zstd", inner_chunk=1024)],
)
def test_a_chunk_that_goes_after_open_is_an_error_and_not_nan(tmp_path, storage):
    path = tmp_path / "a.zarr"
    mz.write(gbm_paths(chunks=2048), path, storage=storage)
    ds = mz.open(path)
    plain = ds.x.values
    (path / "x/c/1/0").unlink()
    for again in (ds, pickle.loads(pickle.dumps(ds))):
        for scheduler in ("synchronous", "threads"):
            with (
                dask.config.set(scheduler=scheduler),
                pytest.raises(mz.StoreError, match=r"none for paths from 2,048 on: .*x/c/1/0"),
            ):
                again.x.mean().compute()
        np.testing.assert_array_equal(again.x[:2048].values, plain[:2048])
    with pytest.raises(mz.StoreError, match="from 2,048 on"):
        mz.open(path).x[2048:].load()
    assert [problem.key for problem in mz.verify(path, 0).problems] == ["x/c/1/0"]


def test_a_dataset_that_is_read_in_another_process_misses_nothing(store):
    ds = mz.open(store)
    task = pickle.dumps(ds.x[2000:3000])
    code = (
        "import pickle, sys, montezarr as mz\n"
        "x = pickle.load(open(sys.argv[1], 'rb'))\n"
        "try:\n    print(float(x.sum()))\n"
        "except mz.StoreError as error:\n    print('gone', error)\n"
    )
    (store.parent / "task").write_bytes(task)
    command = [sys.executable, "-c", code, str(store.parent / "task")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert float(done.stdout) == float(ds.x[2000:3000].sum())
    (store / "x/c/2/0").unlink()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("gone")


def test_a_task_carries_no_metadata_of_the_root(store):
    shown = ChunkReader(LocalStore(store), {}, b"x" * 10**6)
    assert len(pickle.dumps(shown)) < 2000


def test_a_chunk_of_a_store_in_memory_that_goes_is_an_error(written):
    memory = MemoryStore()
    for name in files(written):
        memory._store_dict[name] = buffer_of((written / name).read_bytes())
    ds = mz.open(memory)
    np.testing.assert_array_equal(ds.x, mz.open(written).x)
    xr.testing.assert_identical(mz.open(memory, "statistics"), mz.open(written, "statistics"))
    del memory._store_dict["x/c/3/0"]
    with pytest.raises(mz.StoreError, match="x/c/3/0"):
        ds.x.compute()


def test_the_same_store_has_the_same_dask_tasks_and_another_state_others(store):
    first, again = mz.open(store), mz.open(store)
    assert first.x.data.name == again.x.data.name
    mz.extend(store, 9000)
    assert mz.open(store).x.data.name != first.x.data.name


def test_a_root_that_is_published_while_a_store_is_opened_changes_nothing(store, monkeypatch):
    longer = shutil.copytree(store, store.parent / "longer.zarr")
    mz.extend(longer, 9000)
    checked = _open.checked_arrays

    def published(*args):
        arrays = checked(*args)
        shutil.copytree(longer, store, dirs_exist_ok=True)
        return arrays

    monkeypatch.setattr(_open, "checked_arrays", published)
    ds = mz.open(store)
    assert ds.sizes["path"] == 5000
    np.testing.assert_array_equal(ds.x, gbm_paths().x)
    monkeypatch.undo()
    assert mz.open(store).sizes["path"] == 9000


def looks_of(monkeypatch, function):
    """Return the paths at which `function` looks."""
    looks = []
    lstat, stat = os.lstat, os.stat

    def noted(function):
        def look(path, *args, **options):
            looks.append(str(path))
            return function(path, *args, **options)

        return look

    with monkeypatch.context() as patched:
        patched.setattr(os, "lstat", noted(lstat))
        patched.setattr(os, "stat", noted(stat))
        function()
    return looks


def test_opening_a_store_does_not_look_at_each_chunk(tmp_path, monkeypatch):
    counts = []
    for n in (4, 16):
        ds = mz.simulate(mz.BrownianMotion(), n * 1024, T=1, seed=1, chunks=1024)
        mz.write(ds, tmp_path / f"{n}.zarr")
        looks = looks_of(monkeypatch, lambda n=n: mz.open(tmp_path / f"{n}.zarr"))
        counts.append(sum("/x/c/" in path for path in looks))
    assert counts[0] == counts[1]


class CountedStore(WrapperStore):
    """A store that counts the keys of chunks of paths that it is asked for."""

    asked = 0

    async def get(self, key, prototype=None, byte_range=None):
        self.asked += key.startswith("x/c/")
        return await self._store.get(key, prototype, byte_range)

    async def getsize(self, key):
        self.asked += key.startswith("x/c/")
        return await self._store.getsize(key)

    async def list_prefix(self, prefix):
        self.asked += 10**6  # all chunks are in a listing
        async for key in self._store.list_prefix(prefix):
            yield key


def test_opening_a_zarr_store_does_not_look_at_each_chunk():
    counts = []
    for n in (4, 40):
        memory = MemoryStore()
        mz.write(mz.simulate(mz.BrownianMotion(), n * 1024, T=1, seed=1, chunks=1024), memory)
        counted = CountedStore(memory)
        mz.open(counted)
        counts.append(counted.asked)
    assert counts[0] == counts[1] < 10


STORAGES = {
    "plain": None,
    "zstd": mz.Storage(compression="zstd"),
    "packed shards": mz.Storage(inner_chunk=1024, compression="gzip"),
}

NAMED = r"got .* for paths from 2,048 on: .*x/c/1/0\. Call montezarr\.repair"

BLOWS = {
    "gone": lambda data: None,
    "empty": lambda data: b"",
    "cut": lambda data: data[: len(data) // 2],
    "longer": lambda data: data + bytes(100),
    "other": lambda data: data[:3000] + bytes([data[3000] ^ 1]) + data[3001:],
}


@pytest.mark.parametrize(
    ("where", "storage", "blow"),
    [
        *(("directory", storage, blow) for storage in STORAGES for blow in BLOWS),
        *(("memory", "plain", blow) for blow in ("gone", "cut")),
    ],
)
def test_a_damaged_chunk_is_an_error_when_it_is_read_and_never_other_values(
    tmp_path, where, storage, blow
):
    path = tmp_path / "a.zarr" if where == "directory" else MemoryStore()
    mz.write(gbm_paths(n_paths=8192, chunks=2048), path, storage=STORAGES[storage])
    key = "x/c/1/0"
    if where == "directory":
        data = BLOWS[blow]((path / key).read_bytes())
        (path / key).unlink()
        if data is not None:
            (path / key).write_bytes(data)
    else:
        data = BLOWS[blow](path._store_dict.pop(key).to_bytes())
        if data is not None:
            path._store_dict[key] = buffer_of(data)
    ds = mz.open(path)
    # Of what is packed nobody knows the size: there the checksum is another one.
    named = data is None or (storage == "plain" and blow != "other") or len(data) == 0
    error, match = (mz.StoreError, NAMED) if named else (ValueError, "checksum")
    with pytest.raises(error, match=match):
        ds.x.compute()
    np.testing.assert_array_equal(ds.x[:2048], gbm_paths(n_paths=2048, chunks=2048).x)
    assert [problem.key for problem in mz.verify(path).problems] == [key]
    assert mz.repair(path).ok
    np.testing.assert_array_equal(mz.open(path).x, gbm_paths(n_paths=8192, chunks=2048).x)


# --- numbers ---------------------------------------------------------------------------------


def huge_root(root):
    info = root["attributes"]["montezarr_store"]
    info.update(n_paths=2**60, committed=2**60, target=2**60, chunk=1)
    root["consolidated_metadata"]["metadata"]["x"]["shape"][0] = 2**60


def many_chunks(root):
    huge_root(root)
    root["attributes"]["montezarr_store"].update(chunk=1024)


def huge_chunk(root):
    huge_root(root)
    root["attributes"]["montezarr_store"].update(chunk=2**61)


AT_ONCE = 20_000
"""Functions that a refusal may call: it looks at few chunks, however many a root tells of."""


@pytest.mark.parametrize("change", [huge_root, many_chunks, huge_chunk])
def test_a_root_of_absurd_numbers_is_refused_at_once(store, change):
    change_root(store, change)

    def refused():
        with pytest.raises(mz.StoreError):
            mz.open(store)

    assert calls_of(refused) < AT_ONCE


def test_the_most_chunks_that_a_root_may_tell_of_are_refused_at_once_where_they_are_not(store):
    def change(root):
        info = root["attributes"]["montezarr_store"]
        info.update(n_paths=1024 * 10**7, committed=1024 * 10**7, target=1024 * 10**7)
        root["consolidated_metadata"]["metadata"]["x"]["shape"][0] = 1024 * 10**7

    change_root(store, change)

    def refused():
        with pytest.raises(mz.StoreError, match="got none for paths from"):
            mz.open(store)

    assert calls_of(refused) < AT_ONCE


@pytest.mark.parametrize("name", ["x", "time"])
@pytest.mark.parametrize(
    "change",
    [
        lambda node: node["shape"].__setitem__(0, 2**50),
        lambda node: node["shape"].__setitem__(0, 4999),
        lambda node: node["shape"].__setitem__(-1, 2**50),
        lambda node: node["chunk_grid"]["configuration"]["chunk_shape"].__setitem__(0, 1),
        lambda node: node["chunk_grid"]["configuration"]["chunk_shape"].__setitem__(-1, 1),
        lambda node: node["chunk_grid"]["configuration"]["chunk_shape"].__setitem__(0, 2**50),
        lambda node: node["chunk_grid"]["configuration"].update(chunk_shape=5),
        lambda node: node.update(shape="ab"),
        lambda node: node.update(shape=[True, True]),
    ],
)
def test_an_array_of_other_numbers_than_the_root_is_refused_at_once(store, name, change):
    change_nodes(store, name, change)

    def refused():
        with pytest.raises(mz.StoreError):
            mz.open(store)

    assert calls_of(refused) < AT_ONCE


@pytest.mark.parametrize("inner", [[1, 1], [2**62, 1], [0, 21], "ab", [1024], [1000, 21]])
def test_shards_of_absurd_parts_are_refused(tmp_path, inner):
    path = tmp_path / "a.zarr"
    big = mz.simulate(GBM, 2**20, 10, 100.0, seed=1, chunks=2**20)
    small = mz.simulate(GBM, 2048, 20, 100.0, seed=1, chunks=2048)
    ds = big if inner == [1, 1] else small
    mz.write(ds, path, storage=mz.Storage(inner_chunk=1024))

    def change(node):
        node["codecs"][0]["configuration"]["chunk_shape"] = inner

    change_nodes(path, "x", change)
    with pytest.raises(mz.StoreError):
        mz.open(path)


def test_shards_of_very_many_parts_are_opened_whole(tmp_path, monkeypatch):
    path = tmp_path / "a.zarr"
    ds = gbm_paths(chunks=2048)
    mz.write(ds, path, storage=mz.Storage(inner_chunk=1024))
    assert mz.open(path).x.data.numblocks == (5, 1)
    monkeypatch.setattr(_open, "GRAPH_CHUNKS_MAX", 4)
    found = mz.open(path)
    assert found.x.data.chunks == ((2048, 2048, 904), (21,))
    np.testing.assert_array_equal(found.x, ds.x)


# --- errors ----------------------------------------------------------------------------------


def nested(depth=100_000):
    return "[" * depth + "]" * depth


def test_a_record_that_is_nested_too_deeply_is_no_record(store):
    text = nested().encode()
    line = b"%08x %s\n" % (_commit_log.google_crc32c.value(text), text)
    assert _commit_log.read_records(line) == ([], 0, 0)
    with (store / "montezarr/journal").open("ab") as file:
        file.write(line)
    mz.open(store, "statistics")
    assert not mz.verify(store).ok


def test_a_recipe_that_is_nested_too_deeply_is_refused(store):
    change_root(store, lambda root: root["attributes"].update(montezarr=nested()))
    with pytest.raises(mz.StoreError):
        mz.open(store)


@pytest.mark.parametrize("found", [[], None, 5, "a", {}, {"metadata": []}, {"metadata": 5}])
def test_a_root_without_the_metadata_of_all_is_refused(store, found):
    change_root(store, lambda root: root.update(consolidated_metadata=found))
    with pytest.raises(mz.StoreError):
        mz.open(store)


@pytest.mark.parametrize("variables", [5, [5], [{}], [[]]])
def test_a_recipe_with_other_variables_is_refused(store, variables):
    def change(root):
        recipe = json.loads(root["attributes"]["montezarr"])
        recipe["variables"] = variables
        root["attributes"]["montezarr"] = json.dumps(recipe)

    change_root(store, change)
    with pytest.raises(mz.StoreError):
        mz.open(store)


NODES = [
    *({"dimension_names": names} for names in (5, None, "xy", ["path"], ["path"] * 2, [1, 2], [])),
    {"dimension_names": ["path", ["time"]]},
    *({"fill_value": fill} for fill in (None, "x", [], {}, "0x7ff8000000000000", [1.0, 2.0])),
    *({"attributes": found} for found in ([], 5, "a", None)),
    *({"attributes": {"units": u}} for u in ("days since the flood", "days since 2000-13-77")),
    {"chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}}},
    {"chunk_key_encoding": {"name": "default", "configuration": 5}},
    {"chunk_key_encoding": []},
    {"codecs": 5},
    {"codecs": []},
    {"codecs": [{"name": "crc32c"}]},
    {"codecs": [{"name": "bytes", "configuration": {"endian": "sideways"}}]},
    {"chunk_grid": 5},
    {"node_type": "trap"},
    {"node_type": []},
    {"unknown": {"must_understand": True}},
    {"shape": 5},
]


@pytest.mark.parametrize("change", NODES, ids=str)
def test_whatever_is_wrong_with_the_metadata_of_an_array_is_one_error(store, change):
    change_nodes(store, "x", lambda node: node.update(change))
    with pytest.raises(mz.StoreError):
        mz.open(store)


@pytest.mark.parametrize("node", [5, [], "a", None, {}])
def test_a_node_that_is_no_document_is_refused(store, node):
    change_root(store, lambda root: root["consolidated_metadata"]["metadata"].update(x=node))
    with pytest.raises(mz.StoreError):
        mz.open(store)


@pytest.mark.parametrize("key", ["zarr.json", "x/zarr.json", "montezarr/manifest.json"])
def test_a_document_that_is_too_large_is_not_read(store, key, monkeypatch):
    with (store / key).open("ab") as file:
        file.truncate(2**36)  # a hole: it takes no room
    get = LocalLocation.get

    def small(place, name, *most):
        found = get(place, name, *most)
        assert found is None or name != key
        return found

    monkeypatch.setattr(LocalLocation, "get", small)
    if key == "montezarr/manifest.json":
        (store / "zarr.json").unlink()
        (store / "montezarr/journal").unlink()
    with pytest.raises(mz.StoreError):
        mz.open(store)


# --- what is not ours ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "montezarr/tmp/mine",
        "montezarr/tmp/0123456789abcdef0",
        "montezarr/tmp/0123456789abcdef/mine",
        "montezarr/states/mine",
        "montezarr/journal",
        "montezarr/manifest.json",
        "montezarr/zarr.json",
        "montezarr/lock/mine",
        "montezarr/mine",
        "mine",
    ],
)
def test_a_directory_of_somebody_else_is_never_touched(tmp_path, name):
    file = tmp_path / "a.zarr" / name
    file.parent.mkdir(parents=True)
    file.write_text("years of work")
    before = files(tmp_path)
    with pytest.raises(mz.StoreError):
        mz.write(gbm_paths(), tmp_path / "a.zarr")
    assert files(tmp_path) == before


def test_what_a_writer_left_that_was_killed_before_the_journal_is_taken_over(tmp_path):
    own = tmp_path / "a.zarr/montezarr"
    (own / "tmp").mkdir(parents=True)
    (own / "tmp/0123456789abcdef").write_bytes(b"half a jour")
    (own / "lock").touch()
    ds = mz.write(gbm_paths(), tmp_path / "a.zarr")
    assert ds.sizes["path"] == 5000


@pytest.mark.skipif(os.name == "nt", reason="links need rights")
def test_a_link_to_a_directory_of_temporary_files_is_not_ours(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/0123456789abcdef").write_text("years of work")
    (tmp_path / "a.zarr/montezarr").mkdir(parents=True)
    (tmp_path / "a.zarr/montezarr/tmp").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(mz.StoreExistsError):
        mz.write(gbm_paths(), tmp_path / "a.zarr")
    assert (tmp_path / "elsewhere/0123456789abcdef").exists()


# --- times -----------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", ["s", "ms", "ns"])
def test_timedeltas_come_back_and_numbers_with_units_stay_numbers(tmp_path, unit):
    lags = np.array([0, 90, 3600, 10**7], f"timedelta64[{unit}]")
    ds = mz.simulate(GBM, 2000, 3, 100.0, seed=1, chunks=1024)
    ds = ds.assign_coords(lag=("time", lags), wait=lags[2], day=("time", np.arange(4.0)))
    ds["day"].attrs["units"] = "days"
    ds["x"].attrs["units"] = "days"
    mz.write(ds, tmp_path / "a.zarr", statistics="mean")
    back = mz.open(tmp_path / "a.zarr")
    for name in ("lag", "wait", "day", "x"):
        assert back[name].dtype == ds[name].dtype, name
    xr.testing.assert_equal(back.compute(), ds.compute())
    assert back.x.attrs["units"] == back.day.attrs["units"] == "days"
    results = mz.open(tmp_path / "a.zarr", "statistics")
    assert results.x_mean.dtype == np.dtype("f8")


def test_times_that_are_dates_or_timedeltas_come_back(tmp_path):
    ds = mz.simulate(GBM, 2000, 3, 100.0, seed=1, chunks=1024)
    for name, times in [
        ("dates", np.array(["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-08"], "M8[ns]")),
        ("spans", np.array([0, 1, 2, 7], "m8[D]").astype("m8[s]")),
    ]:
        timed = ds.assign_coords(time=times)
        mz.write(timed, tmp_path / name, statistics="mean")
        np.testing.assert_array_equal(mz.open(tmp_path / name).time, times)
        np.testing.assert_array_equal(mz.open(tmp_path / name, "statistics").time, times)


# --- stores of all kinds ---------------------------------------------------------------------


def test_two_variables_and_none_yet_are_opened(tmp_path):
    ds = mz.simulate(HESTON, 1500, 6, {"s": 100.0, "v": 0.04}, dt=0.5, seed=3, chunks=1024)
    mz.write(ds, tmp_path / "a.zarr")
    found = mz.open(tmp_path / "a.zarr")
    xr.testing.assert_identical(found.compute(), ds.compute())
    assert list(found.data_vars) == list(ds.data_vars)
    assert found.encoding["source"] == str(tmp_path / "a.zarr")


def test_publishing_does_not_compute_the_fingerprint_again(tmp_path, monkeypatch):
    from montezarr.store import _writer
    from montezarr.store.format import _manifest

    count = []
    known = _manifest.fingerprint

    def counted(recipe):
        count.append(recipe)
        return known(recipe)

    monkeypatch.setattr(_writer, "PUBLISH_SECONDS", -1.0)  # publish after each chunk
    monkeypatch.setattr(_manifest, "fingerprint", counted)
    counts = []
    for n in (4, 16):
        count.clear()
        ds = mz.simulate(mz.BrownianMotion(), n * 1024, T=1, seed=1, chunks=1024)
        mz.write(ds, tmp_path / f"{n}.zarr")
        counts.append(len(count))
    assert counts[0] == counts[1]


def test_the_fingerprint_of_a_run_is_computed_once_on_its_way_into_a_store(tmp_path, monkeypatch):
    from montezarr.run import _run
    from montezarr.store.format import _manifest

    count = []
    known = _run.fingerprint

    def counted(recipe):
        count.append(recipe)
        return known(recipe)

    monkeypatch.setattr(_run, "fingerprint", counted)
    ds = mz.simulate(mz.BrownianMotion(), 4096, T=1, seed=1, chunks=1024)
    mz.write(ds, tmp_path / "a.zarr")
    assert len(count) == 1
    monkeypatch.setattr(_manifest, "fingerprint", counted)
    count.clear()
    mz.open(tmp_path / "a.zarr")
    assert not count  # nobody asks


def test_an_object_that_is_larger_than_a_chunk_can_be_is_not_read():
    obstore = pytest.importorskip("obstore")
    objects = obstore.store.MemoryStore()
    place = ObjectStore(objects)
    mz.write(gbm_paths(), place)
    ds = mz.open(place)
    obstore.put(objects, "x/c/1/0", bytes(10**6))
    with pytest.raises(mz.StoreError, match=r"1,000,000 bytes for paths from 1,024 on"):
        ds.x.load()


READERS = {
    "open": mz.open,
    "results": lambda path: mz.open(path, "statistics"),
    "load": lambda path: mz.open(path).load(),
    "reduce": lambda path: mz.reduce(mz.open(path), "mean"),
    "verify": lambda path: mz.verify(path),
    "repair": mz.repair,
}


@pytest.mark.parametrize("read", READERS)
def test_too_few_descriptors_are_named_whatever_reads(read, tmp_path, monkeypatch):
    ds = mz.simulate(GBM, 3000, T=4, x0=1.0, seed=1, chunks=1024)
    mz.write(ds, tmp_path / "a.zarr", statistics="mean")
    opened, real = [], os.open

    def refuses(file, *args, **options):
        if str(file).startswith(str(tmp_path)):
            opened.append(file)
            if len(opened) > allowed:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(file))
        return real(file, *args, **options)

    monkeypatch.setattr(os, "open", refuses)
    messages = []
    for allowed in (0, 1, 2, 3, 5, 8, 13, 1000):
        opened.clear()
        try:
            READERS[read](tmp_path / "a.zarr")
        except mz.MontezarrError as error:
            messages.append(str(error))
    assert messages
    assert all("Too many open files" in message for message in messages)
    assert len(opened) < 1000
