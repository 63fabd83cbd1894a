"""verify finds every damage, repair mends it to the bytes that were there."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from stores import HESTON, exponential, exponential_paths, files, gbm_paths, payoff_of

import montezarr as mz
from montezarr.store._where import location_of
from montezarr.store.format._commit_state import CommitState


@pytest.fixture(scope="module")
def intact(tmp_path_factory):
    """A store with statistics, and one with shards of compressed single precision."""
    root = tmp_path_factory.mktemp("intact")
    mz.write(gbm_paths(n_paths=9500), root / "plain", statistics=["mean", "q05"])
    storage = mz.Storage(dtype="float32", compression="zstd", inner_chunk=1024)
    mz.write(gbm_paths(n_paths=9500, chunks=2048), root / "shards", storage=storage)
    heston = mz.simulate(HESTON, 3000, 6, {"s": 100.0, "v": 0.04}, dt=0.5, seed=3, chunks=1024)
    mz.write(heston, root / "two")
    return root


@pytest.fixture(params=["plain", "shards", "two"])
def store(request, intact, tmp_path):
    shutil.copytree(intact / request.param, tmp_path / "a.zarr")
    return tmp_path / "a.zarr"


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_an_intact_store_is_intact_and_left_as_it_is(store, level):
    before = files(store)
    found = mz.verify(store, level)
    assert found.ok, found
    assert found.is_complete
    chunks = len(list((store / ("x" if (store / "x").exists() else "s") / "c").iterdir()))
    assert found.drawn == (0, 0, min(8, chunks), chunks)[level]
    assert json.loads(json.dumps(found.to_dict()))["ok"] is True
    assert files(store) == before


def flip(file, rng):
    data = bytearray(file.read_bytes())
    at = rng.integers(len(data))
    data[at] ^= 1 << rng.integers(8)
    file.write_bytes(data)


def test_forty_bit_flips_in_chunks_journal_and_metadata_are_found_and_mended(store):
    before, rng = files(store), np.random.default_rng(7)
    names = sorted(before)
    chosen = [*names[:: max(1, len(names) // 25)], *rng.choice(names, 40)][:36]
    chosen += ["montezarr/journal"] * 4
    for name in chosen:
        flip(store / name, rng)
        assert not mz.verify(store).ok, name
        mended = mz.repair(store)
        assert mended.ok, name
        assert mended.repaired
        assert files(store) == before, name


def cut(store, file):
    os.truncate(file, os.path.getsize(file) // 2)


def empty(store, file):
    os.truncate(file, 0)


def remove(store, file):
    file.unlink()


def swap(store, file):
    other = file.parents[1] / "1" / file.name
    a, b = file.read_bytes(), other.read_bytes()
    file.write_bytes(b)
    other.write_bytes(a)


def lengthen(store, file):
    file.write_bytes(file.read_bytes() + b"\0" * 8)


@pytest.mark.parametrize("damage", [cut, empty, remove, swap, lengthen])
def test_cut_missing_and_swapped_chunks_are_found_and_mended(store, damage):
    before = files(store)
    for name in [n for n in before if "/c/2/" in n]:
        damage(store, store / name)
        found = mz.verify(store)
        assert any(problem.key == name for problem in found.problems), found
        assert mz.repair(store).ok
        assert files(store) == before


@pytest.mark.parametrize("damage", [cut, empty, remove, lengthen])
@pytest.mark.parametrize("name", ["zarr.json", "montezarr/journal", "montezarr/manifest.json"])
def test_the_root_the_journal_and_the_manifest_follow_from_one_another(store, damage, name):
    before = files(store)
    damage(store, store / name)
    assert not mz.verify(store, 0).ok
    mended = mz.repair(store)
    assert mended.ok
    assert files(store) == before


def test_all_metadata_lost_but_the_journal_come_back(store):
    before = files(store)
    for file in store.rglob("zarr.json"):
        if "statistics" not in str(file):
            file.unlink()
    (store / "montezarr/manifest.json").unlink()
    with pytest.raises(mz.StoreError):
        mz.open(store)
    assert mz.repair(store).ok
    assert files(store) == before


def test_a_store_without_journal_and_manifest_is_not_touched(store):
    (store / "montezarr/manifest.json").write_text("{}")
    (store / "montezarr/journal").write_text("nothing\n")
    before = files(store)
    with pytest.raises(mz.StoreError):
        mz.repair(store)
    assert not mz.verify(store).ok
    assert files(store) == before


def test_a_chunk_of_another_recipe_with_a_fitting_checksum_is_found_by_the_journal(tmp_path):
    mz.write(gbm_paths(), tmp_path / "a.zarr")
    mz.write(gbm_paths(seed=43), tmp_path / "b.zarr")
    shutil.copy(tmp_path / "b.zarr/x/c/1/0", tmp_path / "a.zarr/x/c/1/0")
    assert mz.verify(tmp_path / "a.zarr", 0).ok
    assert [p.kind for p in mz.verify(tmp_path / "a.zarr").problems] == ["damaged"]


def test_values_that_the_recipe_does_not_give_are_found_by_drawing_again(tmp_path, monkeypatch):
    from montezarr.store._values import ChunkValues

    original = ChunkValues.of

    def wrong(self, start, stop, x0):
        arrays, state, report = original(self, start, stop, x0)
        if start == 2048:
            arrays[0][3, 5] += 1e-9
        return arrays, state, report

    with monkeypatch.context() as patched:
        patched.setattr(ChunkValues, "of", wrong)
        mz.write(gbm_paths(), tmp_path / "a.zarr")
    assert mz.verify(tmp_path / "a.zarr", 1).ok
    (problem,) = mz.verify(tmp_path / "a.zarr", 3).problems
    assert problem.kind == "values"
    assert problem.key == "x/c/2/0"
    assert "1 values differ from those drawn again, by up to 1e-09" in problem.text


def test_another_processor_is_an_environment_that_differs_and_no_damage(tmp_path):
    """Other vector instructions may round the exponential function to another last bit."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "import montezarr as mz\n"
        "from stores import exponential_paths\n"
        "with mz.backend('synchronous'):\n    mz.write(exponential_paths(), sys.argv[1])\n"
    )
    known = _dispatchable(
        ["X86_V4", "AVX512_SPR", "AVX512_ICL", "AVX512_SKX", "X86_V3", "AVX2", "FMA3"]
    )
    if not known:
        pytest.skip("no instructions to leave out on this machine")
    environment = {**os.environ, "NPY_DISABLE_CPU_FEATURES": " ".join(known)}
    command = [sys.executable, "-c", code, tmp_path / "a", Path(__file__).parent]
    subprocess.run(command, check=True, env=environment)
    with mz.backend("synchronous"):
        found = mz.verify(tmp_path / "a", 3, process=exponential)
        mz.write(exponential_paths(), tmp_path / "b")
    assert found.ok
    if files(tmp_path / "a/x") == files(tmp_path / "b/x"):
        assert found.environment is None  # they agree here: nothing to tell
    else:
        assert "simd" in found.environment
        assert 0 < found.largest_difference < 1e-10
        assert "environment differs" in str(found)
        print(found)


def _dispatchable(names):
    code = "import numpy"
    known = []
    for name in names:
        environment = {**os.environ, "NPY_DISABLE_CPU_FEATURES": name}
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code], env=environment, check=False,
            capture_output=True,
        )  # fmt: skip
        if done.returncode == 0:
            known.append(name)
    return known


def test_a_store_of_another_environment_notes_in_which_each_chunk_was_drawn(tmp_path, monkeypatch):
    from montezarr.store import _writer

    with pytest.raises(ZeroDivisionError):
        mz.write(gbm_paths(), tmp_path / "a", on_progress=lambda n, *_: 1 / 0 if n else None)
    other = {**_writer.environment(), "numpy": "0.0"}
    monkeypatch.setattr(_writer, "environment", lambda: other)
    mz.write(gbm_paths(), tmp_path / "a")
    ledger = CommitState.read(location_of(tmp_path / "a"))
    numbers = {record.environment for record in ledger.chunks.values()}
    assert numbers == {0, 1}
    assert ledger.environments[1]["numpy"] == "0.0"
    assert mz.verify(tmp_path / "a", 3).ok


def test_an_incomplete_store_is_intact_as_far_as_it_goes_and_repair_does_not_complete_it(tmp_path):
    with pytest.raises(ZeroDivisionError):
        mz.write(gbm_paths(), tmp_path / "a", on_progress=lambda n, *_: 1 / 0 if n > 1500 else 0)
    found = mz.verify(tmp_path / "a", 3)
    assert found.ok
    assert not found.is_complete
    assert "incomplete (" in str(found)
    committed = next(iter(CommitState.read(location_of(tmp_path / "a")).chunks.values()))
    (tmp_path / "a" / next(iter(committed.files))).write_bytes(b"")
    assert not mz.verify(tmp_path / "a").ok
    mended = mz.repair(tmp_path / "a")
    assert mended.ok
    assert mended.n_paths == found.n_paths
    mz.write(gbm_paths(), tmp_path / "a")
    mz.write(gbm_paths(), tmp_path / "b")
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_derived_variables_are_mended_with_the_dataset_that_made_them(tmp_path):
    ds = payoff_of(gbm_paths())
    mz.write(ds, tmp_path / "a", statistics={"payoff": "mean"})
    before = files(tmp_path / "a")
    (tmp_path / "a/payoff/c/1").unlink()
    with pytest.raises(mz.ArgumentValueError, match="made by an expression"):
        mz.repair(tmp_path / "a")
    assert mz.repair(tmp_path / "a", ds=ds).ok
    assert files(tmp_path / "a") == before


@pytest.mark.parametrize("arguments", [{"level": 4}, {"level": "1"}, {"sample": 0}, {"seed": -1}])
def test_bad_arguments_are_refused(intact, arguments):
    with pytest.raises(mz.MontezarrError, match=next(iter(arguments))):
        mz.verify(intact / "plain", **arguments)


def test_nothing_is_verified_or_repaired_where_nothing_is(tmp_path):
    for action in (mz.verify, mz.repair):
        with pytest.raises(mz.StoreNotFoundError):
            action(tmp_path / "nothing")
    assert not list(tmp_path.iterdir())
