"""extend and merge: whatever the steps were, the store is that of one run."""

import numpy as np
import pytest
import xarray as xr
from stores import CHAIN, HESTON, files, gbm_paths, payoff_of

import montezarr as mz

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
    from montezarr.store._place import LocalPlace

    ds, take, calls = gbm_paths(), LocalPlace.take, []
    mz.write(ds, tmp_path / "a.zarr", paths=range(2048))
    mz.write(ds, tmp_path / "b.zarr", paths=range(2048, 5000))
    mz.write(ds, tmp_path / "fresh.zarr")
    parts = [tmp_path / "a.zarr", tmp_path / "b.zarr"]

    def failing(self, *arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise OSError(5, "Input/output error")
        take(self, *arguments)

    monkeypatch.setattr(LocalPlace, "take", failing)
    with pytest.raises(OSError, match="Input/output"):
        mz.merge(parts, tmp_path / "all.zarr")
    mz.merge(parts, tmp_path / "all.zarr")
    assert len(calls) == 3 + 3  # two were there
    assert files(tmp_path / "all.zarr") == files(tmp_path / "fresh.zarr")
    mz.merge(parts, tmp_path / "all.zarr")
    assert len(calls) == 6


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
    with pytest.raises(mz.MontezarrError, match=r"its own x0|an array"):
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
