"""A store between two steps of its writer, or with two things wrong: nothing false is said."""

import json
import os
import signal
import threading
import time

import numpy as np
import pytest
import tensorstore
import xarray as xr
from patience import until
from stores import files, gbm_paths

import montezarr as mz
from montezarr.store import _faults
from montezarr.store.format import _commit_log

ZSTD = mz.Storage(compression="zstd")


def stopped_at(fault, action):
    """Run until an input/output error comes up at a point."""
    before, _faults._fault = _faults._fault, f"{fault}=EIO"
    try:
        with pytest.raises(OSError, match="Input/output"):
            action()
    finally:
        _faults._fault = before


@pytest.mark.parametrize(
    "point", ["finish.before", "finish.statistics", "finish.journal", "finish.after"]
)
@pytest.mark.parametrize("statistics", [None, ["mean", "q05"]])
def test_an_extension_that_stopped_in_its_end_goes_on_and_is_intact(tmp_path, point, statistics):
    mz.write(gbm_paths(n_paths=3000), tmp_path / "a", statistics=statistics)
    stopped_at(f"{point}@0", lambda: mz.extend(tmp_path / "a", 6000))
    assert mz.verify(tmp_path / "a").ok
    mz.extend(tmp_path / "a", 6000)
    mz.write(gbm_paths(n_paths=6000), tmp_path / "b", statistics=statistics)
    assert files(tmp_path / "a") == files(tmp_path / "b")


@pytest.mark.parametrize("storage", [mz.Storage(), ZSTD])
@pytest.mark.parametrize("point", ["chunk.after_rename@1", "commit.before@1", "commit.after@1"])
def test_the_old_paths_stay_when_the_last_chunk_is_drawn_again(tmp_path, storage, point):
    mz.write(gbm_paths(n_paths=1500), tmp_path / "a", storage=storage)
    stopped_at(point, lambda: mz.extend(tmp_path / "a", 4000))
    assert mz.open(tmp_path / "a").sizes["path"] >= 1500
    assert mz.verify(tmp_path / "a", 1).ok
    seen = []

    def look(*report):
        seen.append(mz.open(tmp_path / "a").sizes["path"])

    mz.extend(tmp_path / "a", 4000, on_progress=look)
    # The first of two tasks may have ended so early that both chunks are there already.
    assert min(seen, default=4000) >= 1500
    mz.write(gbm_paths(n_paths=4000), tmp_path / "b", storage=storage)
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_a_store_that_is_to_grow_and_has_not_begun_to_is_intact(tmp_path):
    from montezarr.store._writer import Writer

    mz.write(gbm_paths(n_paths=1500), tmp_path / "a")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Writer, "run", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            mz.extend(tmp_path / "a", 20_000)
    found = mz.verify(tmp_path / "a", 3)
    assert found.ok
    assert not found.is_complete
    (tmp_path / "a/x/c/0/0").write_bytes(b"")
    mended = mz.repair(tmp_path / "a")  # what is damaged, not all that is to come
    assert mended.ok
    assert mended.n_paths == 1500
    assert mz.open(tmp_path / "a").sizes["path"] == 1500


def edit_root(store, **changes):
    root = json.loads((store / "zarr.json").read_text())
    root["attributes"]["montezarr_store"].update(changes)
    (store / "zarr.json").write_text(json.dumps(root, indent=2, sort_keys=True))


@pytest.mark.parametrize(
    "changes",
    [
        {"target": 7000},
        {"target": 4000},
        {"committed": 4000},
        {"committed": 5001},
        {"n_paths": 4999},
        {"status": "incomplete"},
        {"first_path": 1024},
    ],
)
@pytest.mark.parametrize("journal_too", [False, True])
def test_what_the_root_says_is_not_believed_before_it_is_checked(tmp_path, changes, journal_too):
    mz.write(gbm_paths(), tmp_path / "a")
    before = files(tmp_path / "a")
    edit_root(tmp_path / "a", **changes)
    if journal_too:
        journal = tmp_path / "a/montezarr/journal"
        lines = journal.read_bytes().splitlines(keepends=True)
        lines[3] = lines[3].replace(b"1024", b"1025")
        journal.write_bytes(b"".join(lines))
    assert not mz.verify(tmp_path / "a", 0).ok
    assert mz.repair(tmp_path / "a").ok
    assert files(tmp_path / "a") == before


def test_beside_a_writer_a_store_is_never_called_damaged(tmp_path):
    done, looks = threading.Event(), []

    def monitor():
        while not done.is_set():
            try:
                looks.append(mz.verify(tmp_path / "a", 1))
            except mz.StoreNotFoundError:
                continue

    watcher = threading.Thread(target=monitor)
    watcher.start()
    try:
        for n in (30_000, 60_500, 90_000):
            seen = len(looks)
            ds = gbm_paths(n_paths=n)
            if n == 30_000:
                mz.write(ds, tmp_path / "a", statistics="mean")
            else:
                mz.extend(tmp_path / "a", n)
            until(lambda seen=seen: len(looks) > seen + 1)
    finally:
        done.set()
        watcher.join()
    assert len(looks) > 3
    assert [str(found) for found in looks if not found.ok] == []


def test_booleans_are_booleans_to_others(tmp_path):
    ds = gbm_paths()
    mz.write(ds.assign(up=ds.x > 100), tmp_path / "a", variables=["up"])
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(tmp_path / "a/up")}}
    assert np.array_equal(tensorstore.open(spec).result().read().result(), ds.x.values > 100)


def test_after_a_second_signal_threads_write_nothing_any_more(tmp_path):
    def slow(rng, T):
        time.sleep(0.001)
        return rng.standard_normal(T + 1)

    sent, threads = [], set(threading.enumerate())

    def twice(done, total, failed):
        if not sent:
            sent.append(1)
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
            threading.Timer(0.4, os.kill, (os.getpid(), signal.SIGINT)).start()

    ds = mz.simulate(slow, n_paths=8192, T=2, seed=1, chunks=1024)
    with mz.backend("threads", n_jobs=2), pytest.raises(KeyboardInterrupt):
        mz.write(ds, tmp_path / "a", on_progress=twice)
    left = files(tmp_path / "a")
    until(lambda: threads >= set(threading.enumerate()))  # what was drawn then is there now
    assert files(tmp_path / "a") == left
    assert not (tmp_path / "a/montezarr/lock").exists()


def test_a_run_on_a_machine_with_other_default_chunks_goes_on(tmp_path):
    storage = mz.Storage(inner_chunk=2048)
    first = gbm_paths(n_paths=9000, chunks=4096)
    with pytest.raises(ZeroDivisionError):
        mz.write(
            first, tmp_path / "a", storage=storage, paths=range(4096, 9000),
            on_progress=lambda n, *_: 1 / 0 if n else None,
        )  # fmt: skip
    other = gbm_paths(n_paths=9000, chunks=3072)
    mz.write(other, tmp_path / "a", storage=storage, paths=range(4096, 9000))
    mz.write(first, tmp_path / "b", storage=storage, paths=range(4096, 9000))
    assert files(tmp_path / "a") == files(tmp_path / "b")


@pytest.mark.parametrize(
    "attributes",
    [
        {"scale_factor": 2.0},
        {"add_offset": 1.0},
        {"missing_value": 0.0},
        {"_FillValue": 0.0},
        {"units": "days since 2000-01-01"},
    ],
)
def test_attributes_that_change_values_on_reading_are_refused(tmp_path, attributes):
    ds = gbm_paths()
    ds.x.attrs.update(attributes)
    with pytest.raises(mz.ArgumentValueError, match="'x'"):
        mz.write(ds, tmp_path / "a")
    assert not list(tmp_path.iterdir())


def test_paths_are_drawn_again_also_where_statistics_are_ones_own(tmp_path):
    from own_statistics import MeanSquare

    mz.write(gbm_paths(), tmp_path / "a", statistics=[MeanSquare()])
    assert mz.verify(tmp_path / "a", 3).ok
    with pytest.raises(mz.ArgumentValueError, match="statistics"):
        mz.extend(tmp_path / "a", 8000)
    mz.extend(tmp_path / "a", 8000, statistics=[MeanSquare()])
    expected = mz.reduce(gbm_paths(n_paths=8000), [MeanSquare()])
    xr.testing.assert_identical(mz.open(tmp_path / "a", "statistics"), expected)


def test_a_signal_is_not_lost_when_what_runs_then_fails(tmp_path, capsys):
    def failing(rng, T):
        x = rng.standard_normal(T + 1)
        if x[0] > 3.3:
            raise RuntimeError("too large")
        return x

    def interrupt(done, total, failed):
        if not done:
            signal.raise_signal(signal.SIGINT)

    ds = mz.simulate(failing, n_paths=8192, T=2, seed=1, chunks=8192)
    from montezarr.store._writer import Writer

    with pytest.MonkeyPatch.context() as patch:
        run = Writer.run

        def late(self, source, backend, chunks, on_progress, stop, per_task=1):
            def stop_later():
                return False  # the signal comes when the last tasks run already

            stop_later.session = stop
            return run(self, source, backend, chunks, on_progress, stop_later, per_task)

        patch.setattr(Writer, "run", late)
        with mz.backend("synchronous"), pytest.raises(KeyboardInterrupt):
            mz.write(ds, tmp_path / "a", on_progress=interrupt)
    assert "To go on: mz.write" in capsys.readouterr().err


def test_room_is_looked_for_before_going_on_and_before_mending(tmp_path, monkeypatch):
    from montezarr.store.locations._location import LocalLocation

    mz.write(gbm_paths(), tmp_path / "a")
    for chunk in range(4):
        (tmp_path / f"a/x/c/{chunk}/0").unlink()
    monkeypatch.setattr(LocalLocation, "free_bytes", lambda self: 1000)
    for action in (
        lambda: mz.write(gbm_paths(), tmp_path / "a"),
        lambda: mz.extend(tmp_path / "a", 9000),
        lambda: mz.repair(tmp_path / "a"),
    ):
        with pytest.raises(mz.StoreError, match="room for"):
            action()


def test_rounding_of_half_precision_and_of_odd_nans(tmp_path):
    from montezarr.store.format._storage import round_bits

    odd = np.array([0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF], np.uint64).view(np.float64)
    assert np.isnan(round_bits(odd.copy(), 10)).all()
    ds = gbm_paths().astype("float16").assign_attrs(gbm_paths().attrs)
    stored = mz.write(ds, tmp_path / "a", storage=mz.Storage(keep_bits=4))
    assert np.max(np.abs(stored.x / ds.x - 1)) <= 2.0**-5


def test_more_chunks_than_anything_can_hold_are_refused(tmp_path):
    mz.write(gbm_paths(), tmp_path / "a")
    with pytest.raises(mz.ArgumentValueError, match="n_paths"):
        mz.extend(tmp_path / "a", 2**62)
    journal = tmp_path / "a/montezarr/journal"
    records, _, _ = _commit_log.read_records(journal.read_bytes())
    records[1]["target"] = 2**61
    journal.write_bytes(_commit_log.lines_of(records))
    assert not mz.verify(tmp_path / "a", 0).ok
    assert mz.repair(tmp_path / "a").ok
