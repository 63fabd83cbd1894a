"""A store that lost some of its metadata: one clear answer to each, and the same bytes again."""

import itertools
import shutil

import numpy as np
import pytest

import montezarr as mz
from montezarr.core.errors import MontezarrError
from montezarr.store._info import info

ROOT, MANIFEST, COMMIT_LOG = "zarr.json", "montezarr/manifest.json", "montezarr/journal"
N = 3000


def simulated(process=None, n=N, **options):
    return mz.simulate(process or mz.BrownianMotion(), n, 3, seed=1, chunks=1024, **options)


def files(path):
    found = (p for p in path.rglob("*") if p.is_file() and p.name != "lock")
    return {str(p.relative_to(path)): p.read_bytes() for p in found}


def lose(path, names):
    for name in names:
        lost = path / name
        if lost.is_dir():
            shutil.rmtree(lost)
        else:
            lost.unlink()


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "paths.zarr"
    mz.write(simulated(), path)
    return path


@pytest.fixture
def copy(store, tmp_path):
    return shutil.copytree(store, tmp_path / "paths.zarr")


METADATA = [ROOT, MANIFEST, COMMIT_LOG, "montezarr/zarr.json", "x/zarr.json", "time/zarr.json"]
LOST = [
    names for n in range(1, 7) for names in itertools.combinations(METADATA, n)
] + [("montezarr",), ("montezarr", "time"), ("montezarr", "x/zarr.json", "time/c/0")]  # fmt: skip


def is_told(names):
    """Return whether what is left tells what the store held, and how many paths."""
    lost = {MANIFEST, COMMIT_LOG, "montezarr/zarr.json"} if "montezarr" in names else set(names)
    tells_what = not {ROOT, MANIFEST, COMMIT_LOG} <= lost
    return tells_what and not {ROOT, COMMIT_LOG, "x/zarr.json"} <= lost


@pytest.mark.parametrize("names", LOST, ids=" ".join)
def test_repair_restores_the_same_bytes_or_says_what_is_lost(names, store, copy):
    wanted = files(store)
    lose(copy, names)
    left = files(copy)
    if is_told(names):
        if set(names) != {"time/zarr.json"}:
            assert not mz.verify(copy).ok
        found = mz.repair(copy)
        assert found.ok
        assert files(copy) == wanted
        np.testing.assert_array_equal(mz.open(copy).x, simulated().x)
        return
    with pytest.raises(MontezarrError) as caught:
        mz.repair(copy)
    text = str(caught.value)
    assert "Expecting value" not in text
    assert "Call montezarr.repair" not in text
    assert str(copy) in text
    assert {k: v for k, v in files(copy).items() if "lock" not in k} == left


@pytest.mark.parametrize("names", LOST, ids=" ".join)
def test_each_other_call_works_or_says_what_to_do(names, copy):
    lose(copy, names)
    for call in (
        lambda: mz.open(copy).x.sum().compute(),
        lambda: mz.open(copy, "statistics"),
        lambda: info(copy),
        lambda: mz.verify(copy),
    ):
        try:
            call()
        except MontezarrError as error:
            text = str(error)
            assert "Expecting value" not in text
            assert (
                "montezarr.repair" in text
                or "expected a montezarr store" in text
                or ("expected a store with statistics" in text)
            )


@pytest.mark.parametrize("names", [("montezarr",), (MANIFEST, COMMIT_LOG)], ids=" ".join)
def test_what_the_calls_say_of_a_lost_journal_and_manifest(names, copy):
    lose(copy, names)
    with pytest.raises(mz.StoreError, match=r"Call montezarr\.repair"):
        mz.write(simulated(), copy)
    with pytest.raises(mz.StoreError, match=r"Call montezarr\.repair"):
        mz.extend(copy, 4000)
    found = mz.verify(copy)
    assert not found.ok
    assert {problem.key for problem in found.problems} == {MANIFEST, COMMIT_LOG}
    if names == ("montezarr",):
        with pytest.raises(mz.StoreError, match=r"got no file.*Call montezarr\.repair"):
            mz.open(copy)
    repaired = mz.repair(copy)
    assert {MANIFEST, COMMIT_LOG} <= set(repaired.repaired)
    assert mz.write(simulated(), copy).sizes["path"] == N
    assert mz.extend(copy, 4000).sizes["path"] == 4000
    assert mz.verify(copy, 3).ok


def test_no_path_is_drawn_again_but_those_that_tell_what_they_are(copy, monkeypatch):
    lose(copy, ["montezarr"])
    drawn = []
    sample = mz.BrownianMotion.sample

    def counted(self, draws, grid, x0):
        drawn.append(draws.n)
        return sample(self, draws, grid, x0)

    monkeypatch.setattr(mz.BrownianMotion, "sample", counted)
    with mz.backend("synchronous"):
        mz.repair(copy)
    assert sum(drawn) <= 1024


def test_a_damaged_chunk_is_drawn_again_and_a_damaged_root_tells_nothing(store, copy):
    wanted = files(store)
    lose(copy, ["montezarr"])
    chunk = copy / "x/c/1/0"
    data = bytearray(chunk.read_bytes())
    data[100] ^= 1
    chunk.write_bytes(data)
    assert mz.repair(copy).ok
    assert files(copy) == wanted
    lose(copy, ["montezarr"])
    (copy / ROOT).write_bytes((copy / ROOT).read_bytes()[:-20])
    with pytest.raises(MontezarrError):
        mz.repair(copy)
    assert "montezarr/journal" not in files(copy)


def test_a_garbled_journal_is_not_touched_until_it_is_taken_away(store, copy):
    (copy / COMMIT_LOG).write_bytes(b"no record\n")
    (copy / MANIFEST).unlink()
    left = files(copy)
    assert not mz.verify(copy).ok
    with pytest.raises(mz.StoreError, match="Its root may: take"):
        mz.repair(copy)
    assert files(copy) == left
    (copy / COMMIT_LOG).unlink()
    assert mz.repair(copy).ok
    assert files(copy) == files(store)


STORAGES = {
    "rounded": mz.Storage(dtype="float32", keep_bits=10, compression="zstd", level=5),
    "bits": mz.Storage(keep_bits=20),
    "blosc": mz.Storage(compression="blosc"),
    "gzip": mz.Storage(compression="gzip", level=2),
    "shards": mz.Storage(inner_chunk=1024),
    "small shards": mz.Storage(dtype="float32", inner_chunk=1024, compression="zstd"),
}
RUNS = {
    "one variable": lambda: simulated(),
    "two variables": lambda: simulated(
        mz.Heston(mu=0.0, kappa=1.0, theta=0.04, xi=0.5, rho=-0.5), x0={"s": 100.0, "v": 0.04}
    ),
    "labels": lambda: simulated(
        mz.MarkovChain(transition=[[0.9, 0.1], [0.5, 0.5]], states=["very calm", "storm"])
    ),
    "counts": lambda: simulated(mz.PoissonProcess(rate=2.0), dt=0.5),
    "kept times": lambda: simulated(keep=[0, 3]),
    "single": lambda: simulated(dtype="float32"),
}


@pytest.mark.parametrize("run", RUNS)
def test_of_every_run(run, tmp_path):
    path = tmp_path / "paths.zarr"
    mz.write(RUNS[run](), path)
    wanted = files(path)
    lose(path, ["montezarr"])
    assert mz.repair(path).ok
    assert files(path) == wanted


@pytest.mark.parametrize("storage", STORAGES)
def test_of_every_storage(storage, tmp_path):
    path = tmp_path / "paths.zarr"
    mz.write(mz.simulate(mz.BrownianMotion(), 4096, 3, seed=1, chunks=2048), path,
             storage=STORAGES[storage])  # fmt: skip
    wanted = files(path)
    lose(path, ["montezarr"])
    assert mz.repair(path).ok
    assert files(path) == wanted


def test_of_a_range_of_paths(tmp_path):
    path = tmp_path / "paths.zarr"
    mz.write(simulated(n=5000), path, paths=range(2048, 5000))
    wanted = files(path)
    lose(path, ["montezarr"])
    assert mz.repair(path).ok
    assert files(path) == wanted


def test_what_is_not_complete_stays_so(tmp_path):
    path, ds = tmp_path / "paths.zarr", simulated(n=5000)

    def stop(done, total, failed):
        if done >= 2048:
            raise RuntimeError("enough")

    with mz.backend("synchronous"), pytest.raises(RuntimeError, match="enough"):
        mz.write(ds, path, on_progress=stop)
    shown = mz.open(path).sizes["path"]
    lose(path, ["montezarr"])
    mz.repair(path)
    assert mz.open(path).sizes["path"] >= shown
    assert "incomplete" in mz.open(path).attrs["montezarr_status"]
    mz.write(ds, path)
    assert mz.verify(path, 3).ok
    mz.write(ds, tmp_path / "fresh.zarr")
    assert files(path) == files(tmp_path / "fresh.zarr")


def test_a_store_that_was_growing_goes_on(tmp_path, monkeypatch):
    path = tmp_path / "paths.zarr"
    mz.write(simulated(n=500), path)

    def stop(done, total, failed):
        raise RuntimeError("enough")

    with mz.backend("synchronous"), pytest.raises(RuntimeError, match="enough"):
        mz.extend(path, 3000, on_progress=stop)
    shown = mz.open(path).x.load()
    lose(path, ["montezarr"])
    mz.repair(path)
    found = mz.open(path)
    assert found.sizes["path"] >= shown.sizes["path"]
    np.testing.assert_array_equal(found.x[: len(shown)], shown)
    mz.extend(path, 3000)
    mz.write(simulated(), tmp_path / "fresh.zarr")
    assert files(path) == files(tmp_path / "fresh.zarr")


def test_statistics_are_named_again(tmp_path):
    path, ds = tmp_path / "paths.zarr", simulated()
    mz.write(ds, path, statistics=["mean", "q05"])
    wanted = files(path)
    lose(path, ["montezarr"])
    with pytest.raises(mz.StoreError, match="Pass statistics="):
        mz.repair(path)
    assert mz.repair(path, statistics=["mean", "q05"]).ok
    assert files(path) == wanted


def test_an_expression_is_not_taken_for_paths(tmp_path):
    path, ds = tmp_path / "paths.zarr", simulated()
    made = ds.assign(x=ds.x + 1)
    mz.write(made, path)
    wanted = files(path)
    lose(path, ["montezarr"])
    with pytest.raises(mz.StoreError, match=r"got others in chunk 0.*Pass the Dataset"):
        mz.repair(path)
    assert mz.repair(path, ds=made).ok
    assert files(path) == wanted
    with_payoff = ds.assign(payoff=ds.x.isel(time=-1).clip(min=0))
    mz.write(with_payoff, tmp_path / "payoff.zarr")
    wanted = files(tmp_path / "payoff.zarr")
    lose(tmp_path / "payoff.zarr", ["montezarr"])
    with pytest.raises(MontezarrError, match="ds"):
        mz.repair(tmp_path / "payoff.zarr")
    assert mz.repair(tmp_path / "payoff.zarr", ds=with_payoff).ok
    assert files(tmp_path / "payoff.zarr") == wanted


def test_masked_paths_need_the_dataset(tmp_path):
    def counts(rng):
        if rng.random() < 0.05:
            raise ValueError("no such path")
        return rng.poisson(3.0, 4)

    path = tmp_path / "paths.zarr"
    ds = mz.simulate(counts, N, seed=2, on_error="mask", chunks=1024)
    with mz.backend("synchronous"):
        with pytest.warns(mz.MaskedPathsWarning):
            mz.write(ds, path)
        wanted = files(path)
        lose(path, ["montezarr"])
        with pytest.raises(MontezarrError, match="ds: expected the Dataset that was written"):
            mz.repair(path)
        with pytest.warns(mz.MaskedPathsWarning):
            assert mz.repair(path, ds=ds).ok
    assert files(path) == wanted


def test_another_dataset_is_refused(copy):
    lose(copy, ["montezarr"])
    left = files(copy)
    with pytest.raises(MontezarrError, match="another recipe"):
        mz.repair(copy, ds=mz.simulate(mz.BrownianMotion(), N, 3, seed=2, chunks=1024))
    assert files(copy) == left


def test_in_memory_too(tmp_path):
    zarr = pytest.importorskip("zarr")
    objects = {}
    mz.write(simulated(), zarr.storage.MemoryStore(objects))
    wanted = {k: bytes(v.to_bytes()) for k, v in objects.items()}
    for key in [key for key in objects if key.startswith("montezarr/")]:
        del objects[key]
    assert mz.repair(zarr.storage.MemoryStore(objects)).ok
    found = {k: bytes(v.to_bytes()) for k, v in objects.items() if "lock" not in k}
    assert found == {k: v for k, v in wanted.items() if "lock" not in k}
