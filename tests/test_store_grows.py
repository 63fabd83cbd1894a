"""extend and merge: whatever the steps were, the store is that of one run."""

import errno
import json
import os
import re
import shutil
import signal
import tempfile
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from stores import CHAIN, HESTON, files, gbm_paths, payoff_of

import montezarr as mz
from montezarr.store import _faults, _merge
from montezarr.store._differences import SHOWN_DIFFERENCES, lines_of_differences
from montezarr.store.locations._location import LocalLocation

STATISTICS = ["mean", "std", "q05"]

KINDS = {
    "plain": ({}, lambda n: gbm_paths(n_paths=n)),
    "statistics": ({"statistics": STATISTICS}, lambda n: gbm_paths(n_paths=n)),
    "statistics alone": (
        {"statistics": STATISTICS, "variables": []},
        lambda n: gbm_paths(n_paths=n),
    ),
    "shards": (
        {"storage": mz.Storage(inner_chunk=1024)},
        lambda n: gbm_paths(n_paths=n, chunks=2048),
    ),
    "compressed": (
        {"storage": mz.Storage(compression="zstd", keep_bits=10, dtype="float32")},
        lambda n: gbm_paths(n_paths=n),
    ),
    "two variables": (
        {},
        lambda n: mz.simulate(HESTON, n, 6, {"s": 100.0, "v": 0.04}, dt=0.5, seed=3, chunks=1024),
    ),
    "labels": ({}, lambda n: mz.simulate(CHAIN, n, 9, seed=3, chunks=1024)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_store_that_grew_is_that_of_a_fresh_larger_run(tmp_path, kind):
    options, paths = KINDS[kind]
    mz.write(paths(9500), tmp_path / "fresh.zarr", **options)
    mz.write(paths(2500), tmp_path / "grown.zarr", **options)
    for n in (2600, 6144, 9500):
        grown = mz.extend(tmp_path / "grown.zarr", n)
        assert grown.sizes.get("path", n) == n
    assert files(tmp_path / "grown.zarr") == files(tmp_path / "fresh.zarr")
    if "statistics" in options:
        found = mz.open(tmp_path / "grown.zarr", "statistics")
        xr.testing.assert_identical(found, mz.reduce(paths(9500), STATISTICS))


@pytest.mark.parametrize("kind", KINDS)
def test_the_stores_of_four_ranges_merge_to_that_of_one_run(tmp_path, kind):
    options, paths = KINDS[kind]
    ds, parts = paths(9500), []
    for i, (a, b) in enumerate([(0, 2048), (2048, 6144), (6144, 8192), (8192, 9500)]):
        parts.append(tmp_path / f"part-{i}.zarr")
        part = mz.write(ds, parts[-1], paths=range(a, b), **options)
        if i and part.data_vars:
            assert part.attrs["montezarr_first_path"] == a
            xr.testing.assert_equal(part.compute(), mz.open(parts[-1]).compute())
    mz.write(ds, tmp_path / "fresh.zarr", **options)
    before = files(tmp_path / "part-1.zarr")
    mz.merge([parts[2], parts[0], parts[3], parts[1]], tmp_path / "all.zarr")
    assert files(tmp_path / "all.zarr") == files(tmp_path / "fresh.zarr")
    assert files(tmp_path / "part-1.zarr") == before


def test_merged_chunks_are_links_and_a_repair_of_one_store_leaves_the_other(tmp_path):
    ds = gbm_paths()
    mz.write(ds, tmp_path / "a.zarr", paths=range(2048))
    mz.write(ds, tmp_path / "b.zarr", paths=range(2048, 5000))
    mz.merge([tmp_path / "a.zarr", tmp_path / "b.zarr"], tmp_path / "all.zarr")
    mine, theirs = tmp_path / "all.zarr/x/c/2/0", tmp_path / "b.zarr/x/c/0/0"
    assert mine.samefile(theirs)
    mine.unlink()
    before = files(tmp_path / "b.zarr")
    assert mz.repair(tmp_path / "all.zarr").ok
    assert files(tmp_path / "b.zarr") == before
    assert not mine.samefile(theirs)


def test_merging_goes_on_where_it_was_interrupted_and_done_twice_changes_nothing(
    tmp_path, monkeypatch
):
    ds, take, calls = gbm_paths(), LocalLocation.take, []
    mz.write(ds, tmp_path / "a.zarr", paths=range(2048))
    mz.write(ds, tmp_path / "b.zarr", paths=range(2048, 5000))
    mz.write(ds, tmp_path / "fresh.zarr")
    parts = [tmp_path / "a.zarr", tmp_path / "b.zarr"]

    def failing(self, *arguments, **options):
        calls.append(arguments)
        if len(calls) == 3:
            raise OSError(5, "Input/output error")
        take(self, *arguments, **options)

    monkeypatch.setattr(LocalLocation, "take", failing)
    with pytest.raises(OSError, match="Input/output"):
        mz.merge(parts, tmp_path / "all.zarr")
    mz.merge(parts, tmp_path / "all.zarr")
    assert len(calls) == 3 + 3  # two were there
    assert files(tmp_path / "all.zarr") == files(tmp_path / "fresh.zarr")
    mz.merge(parts, tmp_path / "all.zarr")
    assert len(calls) == 6


def two_parts(root, **options):
    ds = gbm_paths()
    mz.write(ds, root / "a.zarr", paths=range(2048), **options)
    mz.write(ds, root / "b.zarr", paths=range(2048, 5000), **options)
    mz.write(ds, root / "fresh.zarr", **options)
    return [root / "a.zarr", root / "b.zarr"]


@pytest.fixture
def no_links(monkeypatch):
    """As between two disks."""

    def link(*_, **__):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(os, "link", link)


@pytest.fixture(params=["links", "copies"])
def way(request):
    if request.param == "copies":
        request.getfixturevalue("no_links")
    return request.param


def identity(found):
    return found.st_dev, found.st_ino


@pytest.mark.parametrize("durable", [True, False])
def test_what_the_journal_of_a_durable_merge_says_is_on_the_disk_before(
    tmp_path, monkeypatch, way, durable
):
    parts, whole = two_parts(tmp_path, statistics="mean"), tmp_path / "all.zarr"
    synced, seen, append, fsync = set(), [], LocalLocation.append, os.fsync

    def noting(handle):
        synced.add(identity(os.fstat(handle)))
        fsync(handle)

    def looking(self, key, data, **options):
        record = json.loads(data[9:])
        for file in map(whole.joinpath, record.get("files", ())):
            needed = [file, *file.parents[: len(file.parents) - len(whole.parents)]]
            assert needed[-1] == whole
            seen.append([identity(os.stat(path)) in synced for path in needed])
        synced.clear()
        append(self, key, data, **options)

    monkeypatch.setattr(os, "fsync", noting)
    monkeypatch.setattr(LocalLocation, "append", looking)
    mz.merge(parts, whole, durable=durable)
    assert len(seen) == 5
    assert {flag for flags in seen for flag in flags} == {durable}
    monkeypatch.undo()
    assert files(whole) == files(tmp_path / "fresh.zarr")
    assert (whole / "x/c/0/0").samefile(parts[0] / "x/c/0/0") == (way == "links")


@pytest.mark.parametrize("harm", ["missing", "cut"])
@pytest.mark.parametrize("key", ["x/c/1/0", "montezarr/states/merged-2"])
def test_a_part_without_a_file_or_with_a_cut_one_is_refused_before_anything_is_taken(
    tmp_path, way, harm, key
):
    parts = two_parts(tmp_path, statistics="mean")
    file = parts[1] / key
    size = file.stat().st_size
    if harm == "missing":
        file.unlink()
    else:
        os.truncate(file, 100)
    got = "no file" if harm == "missing" else "100"
    text = f"expected {size:,} bytes in {key}, got {got}: {parts[1]}. Call montezarr.repair."
    with pytest.raises(mz.StoreError, match=re.escape(text)):
        mz.merge(parts, tmp_path / "all.zarr")
    assert not (tmp_path / "all.zarr").exists()
    assert mz.repair(parts[1]).ok
    mz.merge(parts, tmp_path / "all.zarr")
    assert files(tmp_path / "all.zarr") == files(tmp_path / "fresh.zarr")


def flip(file):
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def test_a_damaged_file_is_not_copied(tmp_path, no_links):
    parts, whole = two_parts(tmp_path), tmp_path / "all.zarr"
    flip(parts[1] / "x/c/1/0")
    text = f"x/c/1/0 as it was written, got a damaged file: {parts[1]}. Call montezarr.repair."
    with pytest.raises(mz.StoreError, match=re.escape(text)):
        mz.merge(parts, whole)
    assert mz.open(whole).sizes["path"] == 3 * 1024
    assert not (whole / "x/c/3/0").exists()
    assert not (whole / "montezarr/tmp").exists()
    assert mz.repair(parts[1]).ok
    mz.merge(parts, whole)
    assert files(whole) == files(tmp_path / "fresh.zarr")


def test_a_damaged_file_that_is_linked_is_found_by_verify(tmp_path):
    parts, whole = two_parts(tmp_path), tmp_path / "all.zarr"
    flip(parts[1] / "x/c/1/0")
    mz.merge(parts, whole)
    assert [problem.key for problem in mz.verify(whole).problems] == ["x/c/3/0"]
    assert mz.repair(whole).ok
    assert files(whole) == files(tmp_path / "fresh.zarr")


def test_damaged_states_of_a_part_are_refused(tmp_path):
    parts = two_parts(tmp_path, statistics="mean")
    flip(parts[0] / "montezarr/states/merged-2")
    with pytest.raises(mz.StoreError, match=r"merged-2. Call montezarr.repair"):
        mz.merge(parts, tmp_path / "all.zarr")
    assert mz.repair(parts[0]).ok
    mz.merge(parts, tmp_path / "all.zarr")
    assert files(tmp_path / "all.zarr") == files(tmp_path / "fresh.zarr")


def test_a_disk_that_fills_up_leaves_nothing_half_copied(tmp_path, monkeypatch, no_links):
    parts, whole = two_parts(tmp_path), tmp_path / "all.zarr"
    monkeypatch.setattr(_faults, "_fault", "chunk.mid_write@0=ENOSPC")
    text = r"room for .* more, got No space.* 0 of 5,000 paths .* call it again: mz.merge"
    with pytest.raises(mz.StoreError, match=text):
        mz.merge(parts, whole)
    assert not (whole / "montezarr/tmp").exists()
    assert not (whole / "montezarr/lock").exists()
    monkeypatch.setattr(_faults, "_fault", None)
    mz.merge(parts, whole)
    assert files(whole) == files(tmp_path / "fresh.zarr")


def test_what_cannot_be_put_in_its_place_is_taken_away(tmp_path, monkeypatch, way):
    def replace(*_):
        raise KeyboardInterrupt

    (tmp_path / "a").mkdir()
    (tmp_path / "a/file").write_bytes(b"some bytes")
    place = LocalLocation(tmp_path / "b")
    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(KeyboardInterrupt), place.lock():
        place.take("file", LocalLocation(tmp_path / "a"), "file")
    assert list(place.objects()) == []


@pytest.mark.parametrize("statistics", [None, "mean"])
def test_a_signal_stops_a_merge_after_the_chunk_and_says_how_to_go_on(
    tmp_path, monkeypatch, capfd, statistics
):
    parts, whole = two_parts(tmp_path, statistics=statistics), tmp_path / "all.zarr"
    take, calls = LocalLocation.take, []

    def stopped(self, *arguments, **options):
        calls.append(arguments)
        if len(calls) == 2:
            signal.raise_signal(signal.SIGINT)
        take(self, *arguments, **options)

    monkeypatch.setattr(LocalLocation, "take", stopped)
    with pytest.raises(KeyboardInterrupt):
        mz.merge(parts, whole)
    assert len(calls) == 2
    said = f"stopped; 2,048 of 5,000 paths are committed. To go on: mz.merge(stores, '{whole}')"
    assert said in capfd.readouterr().err
    shown = mz.open(whole)
    assert shown.sizes["path"] == 2048
    assert shown.attrs["montezarr_status"].startswith("incomplete, ")
    mz.merge(parts, whole)
    assert files(whole) == files(tmp_path / "fresh.zarr")


def test_what_has_to_be_copied_from_another_disk_needs_room_before(tmp_path, monkeypatch):
    parts, whole = two_parts(tmp_path), tmp_path / "all.zarr"
    monkeypatch.setattr(LocalLocation, "free_bytes", lambda _: 600_000)
    monkeypatch.setattr(_merge, "_device", lambda path: path == parts[1])
    size = sum(file.stat().st_size for file in (parts[1] / "x/c").rglob("*") if file.is_file())
    assert size < 600_000
    mz.merge(parts, whole)
    shutil.rmtree(whole)
    monkeypatch.setattr(LocalLocation, "free_bytes", lambda _: size - 1)
    text = rf"room for .*, got .* free at {whole}: 1 B too little.*not linked"
    with pytest.raises(mz.StoreError, match=text):
        mz.merge(parts, whole)
    assert not whole.exists()
    monkeypatch.setattr(_merge, "_device", lambda _: 0)
    mz.merge(parts, whole)
    assert files(whole) == files(tmp_path / "fresh.zarr")


def test_what_is_copied_from_an_object_store_needs_room_and_is_checked(tmp_path, monkeypatch):
    objects = {}
    part, whole = zarr.storage.MemoryStore(objects), tmp_path / "all.zarr"
    mz.write(gbm_paths(), part)
    with monkeypatch.context() as patch:
        patch.setattr(LocalLocation, "free_bytes", lambda _: 500_000)
        with pytest.raises(mz.StoreError, match=r"expected room for .* too little"):
            mz.merge([part], whole)
    sound = objects["x/c/1/0"]
    data = bytearray(sound.to_bytes())
    data[1000] ^= 1
    objects["x/c/1/0"] = type(sound).from_bytes(bytes(data))
    with pytest.raises(mz.StoreError, match=r"x/c/1/0 .* a damaged file: .*montezarr.repair"):
        mz.merge([part], whole)
    objects["x/c/1/0"] = sound
    mz.merge([part], whole)
    mz.write(gbm_paths(), tmp_path / "fresh.zarr")
    assert files(whole) == files(tmp_path / "fresh.zarr")


def test_from_a_disk_to_another_one(tmp_path):
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is one disk only")
    parts = two_parts(tmp_path, statistics="mean")
    with tempfile.TemporaryDirectory(dir=memory) as other:
        whole = Path(other) / "deep/all.zarr"
        place = LocalLocation(whole)
        assert [_merge._can_link(LocalLocation(part), place) for part in parts] == [False, False]
        mz.merge(parts, whole, durable=True)
        assert files(whole) == files(tmp_path / "fresh.zarr")


def test_differences_are_listed_up_to_some_and_each_fits_into_its_line():
    differing = [(f"n{i}", "a" * 1000, i) for i in range(SHOWN_DIFFERENCES + 2)]
    lines = lines_of_differences(differing).splitlines()
    assert lines[1] == f"  n0: {('a' * 1000)!r:.57}... there, 0 here"
    assert lines[-1] == "  and 2 more"
    assert len(lines) == 1 + SHOWN_DIFFERENCES + 1


def test_a_part_of_another_recipe_is_refused_without_all_of_its_numbers(tmp_path):
    for name, x0, paths in [("a", 90.0, range(2048)), ("b", 91.0, range(2048, 5000))]:
        ds = gbm_paths(x0=np.linspace(x0, 110, 5000))
        mz.write(ds, tmp_path / name, paths=paths)
    with pytest.raises(mz.StoreMismatchError) as caught:
        mz.merge([tmp_path / "a", tmp_path / "b"], tmp_path / "all.zarr")
    assert max(map(len, str(caught.value).splitlines()[1:])) < 200


def test_ranges_with_a_gap_or_an_overlap_are_refused_by_their_numbers(tmp_path):
    ds = gbm_paths(n_paths=8192)
    for name, a, b in [("a", 0, 2048), ("b", 1024, 4096), ("c", 5120, 8192), ("d", 2048, 5120)]:
        mz.write(ds, tmp_path / name, paths=range(a, b))
    with pytest.raises(mz.StoreMismatchError, match="overlap of paths 1,024 to 2,047"):
        mz.merge([tmp_path / "a", tmp_path / "b"], tmp_path / "all.zarr")
    with pytest.raises(mz.StoreMismatchError, match="gap of paths 4,096 to 5,119"):
        mz.merge([tmp_path / "b", tmp_path / "c"], tmp_path / "all.zarr")
    mz.write(gbm_paths(n_paths=8192, seed=1), tmp_path / "other", paths=range(2048, 8192))
    with pytest.raises(mz.StoreMismatchError, match=r"seed.*'42' there, '1' here"):
        mz.merge([tmp_path / "a", tmp_path / "other"], tmp_path / "all.zarr")
    mz.write(gbm_paths(n_paths=8192, chunks=2048), tmp_path / "coarse", paths=range(2048, 8192))
    with pytest.raises(mz.StoreMismatchError, match="chunk: 1024 there, 2048 here"):
        mz.merge([tmp_path / "a", tmp_path / "coarse"], tmp_path / "all.zarr")
    with pytest.raises(mz.StoreNotFoundError):
        mz.merge([tmp_path / "a", tmp_path / "nothing"], tmp_path / "all.zarr")
    assert not (tmp_path / "all.zarr").exists()
    # A part of all paths is a store like any other.
    mz.merge([tmp_path / "d", tmp_path / "c"], tmp_path / "end.zarr")
    assert mz.open(tmp_path / "end.zarr").attrs["montezarr_first_path"] == 2048
    assert mz.verify(tmp_path / "end.zarr", 3).ok


def test_a_part_that_is_not_complete_is_refused(tmp_path):
    mz.write(gbm_paths(), tmp_path / "a.zarr", paths=range(2048))
    with pytest.raises(ZeroDivisionError):
        mz.write(
            gbm_paths(), tmp_path / "b.zarr", paths=range(2048, 5000),
            on_progress=lambda done, *_: 1 / 0 if done else None,
        )  # fmt: skip
    with pytest.raises(mz.StoreError, match="expected complete stores"):
        mz.merge([tmp_path / "a.zarr", tmp_path / "b.zarr"], tmp_path / "all.zarr")


@pytest.mark.parametrize(
    "paths",
    [range(1000, 5000), range(0, 1500), range(0, 6000), range(3, 3), range(0, 2048, 2), (0, 2048)],
)
def test_ranges_are_of_whole_chunks_inside_of_the_run(tmp_path, paths):
    with pytest.raises(mz.MontezarrError, match="paths: expected"):
        mz.write(gbm_paths(), tmp_path / "a.zarr", paths=paths)
    assert not list(tmp_path.iterdir())


def test_a_store_does_not_shrink_and_one_of_a_range_does_not_grow(tmp_path):
    mz.write(gbm_paths(), tmp_path / "a.zarr")
    before = files(tmp_path)
    with pytest.raises(mz.ArgumentValueError, match="5000 or more"):
        mz.extend(tmp_path / "a.zarr", 4999)
    assert mz.extend(tmp_path / "a.zarr", 5000).sizes["path"] == 5000
    assert files(tmp_path) == before
    mz.write(gbm_paths(), tmp_path / "b.zarr", paths=range(2048, 5000))
    with pytest.raises(mz.ArgumentValueError, match="from path 2048 on"):
        mz.extend(tmp_path / "b.zarr", 8000)
    with pytest.raises(mz.StoreNotFoundError):
        mz.extend(tmp_path / "nothing.zarr", 8000)
    assert not (tmp_path / "nothing.zarr").exists()


def test_derived_variables_grow_with_the_dataset_that_made_them(tmp_path):
    ds = payoff_of(gbm_paths())
    mz.write(ds, tmp_path / "a.zarr", variables=["payoff"])
    with pytest.raises(mz.ArgumentValueError, match="made by an expression"):
        mz.extend(tmp_path / "a.zarr", 8000)
    other = gbm_paths().assign(payoff=gbm_paths().x.isel(time=-1))
    with pytest.raises(mz.ArgumentValueError, match="the one that was written"):
        mz.extend(tmp_path / "a.zarr", 8000, ds=other)
    grown = mz.extend(tmp_path / "a.zarr", 8000, ds=ds)
    expected = payoff_of(gbm_paths(n_paths=8000)).payoff
    assert np.array_equal(grown.payoff, expected)
    assert mz.verify(tmp_path / "a.zarr", 3, ds=ds).ok


def test_own_code_grows_when_it_is_passed_or_alive(tmp_path):
    def walk(rng, T):
        return rng.standard_normal(T + 1).cumsum()

    def other(rng, T):
        return rng.standard_normal(T + 1)

    with mz.backend("synchronous"):
        mz.write(mz.simulate(walk, n_paths=1500, T=3, seed=1, chunks=1024), tmp_path / "a.zarr")
        with pytest.raises(mz.ReplayError):
            mz.extend(tmp_path / "a.zarr", 2000, process=other)
        grown = mz.extend(tmp_path / "a.zarr", 2000, process=walk)
        ds = mz.simulate(walk, n_paths=2000, T=3, seed=1)
        assert np.array_equal(grown.x, ds.x)


def test_paths_with_their_own_x0_are_another_recipe_when_there_are_more(tmp_path):
    x0 = np.linspace(90, 110, 5000)
    ds = gbm_paths(x0=x0)
    mz.write(ds, tmp_path / "a.zarr")
    with pytest.raises(mz.MontezarrError, match="at most 5,000, for which this run has its x0"):
        mz.extend(tmp_path / "a.zarr", 6000)
    assert mz.verify(tmp_path / "a.zarr", 3, ds=ds).ok


def test_growing_shows_the_old_paths_all_the_time_and_new_ones_when_they_are_committed(tmp_path):
    mz.write(gbm_paths(n_paths=2500), tmp_path / "a.zarr")
    expected, seen = gbm_paths(n_paths=6000).x.values, []

    def look(done, total, failed):
        shown = mz.open(tmp_path / "a.zarr")
        assert np.array_equal(shown.x, expected[: shown.sizes["path"]])
        seen.append(shown.sizes["path"])
        assert shown.attrs["montezarr_status"].startswith("incomplete, ")

    mz.extend(tmp_path / "a.zarr", 6000, on_progress=look)
    assert seen == sorted(seen)
    assert seen[0] == 2500


@pytest.mark.parametrize("backend", ["threads", "processes", "synchronous"])
def test_tasks_of_several_chunks_write_the_same_bytes(tmp_path, backend):
    mz.write(gbm_paths(n_paths=9500), tmp_path / "one.zarr", statistics="mean")
    with mz.backend(backend, n_jobs=2):
        mz.write(
            gbm_paths(n_paths=9500), tmp_path / "three.zarr", statistics="mean", chunks_per_task=3
        )
    assert files(tmp_path / "one.zarr") == files(tmp_path / "three.zarr")
