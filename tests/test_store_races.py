"""Writers that start together, readers beside a writer, signals: one writes, all is in order."""

import json
import os
import re
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from patience import until
from store_runs import Driver, Nursery, dataset, files, leftovers, run

import montezarr as mz
from montezarr.store import _where
from montezarr.store.format._commit_log import COMMIT_LOG
from montezarr.store.format._commit_state import CommitState
from montezarr.store.locations._location import LOCK, LocalLocation
from montezarr.store.locations._lock import this_owner

LONG = {"chunks": 60, "T": 1}


@pytest.fixture(scope="module")
def nursery():
    nursery = Nursery()
    yield nursery
    nursery.close()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return the files and values of a run that nobody disturbed."""
    path = tmp_path_factory.mktemp("whole") / "a.zarr"
    run({"path": path, **LONG})
    return files(path), mz.open(path).load()


@pytest.mark.parametrize("races", [10, pytest.param(50, marks=pytest.mark.slow)])
def test_of_two_writers_that_start_together_one_writes_and_one_is_told_who(
    tmp_path, nursery, races, whole
):
    for i in range(races):
        path, told = tmp_path / f"{i}/deep/a.zarr", str(tmp_path / f"told {i}")
        # Who writes does not end before the other one was told.
        job = {"path": str(path), **LONG, "waits_for": told, "left": told}
        won, lost = sorted(nursery.run_all(job, job), key=lambda outcome: outcome["error"] or "")
        assert won["error"] is None
        assert won["code"] == lost["code"] == 0
        assert lost["error"] == "StoreLockedError", lost
        assert f"which process {won['pid']} on " in lost["message"]
        assert files(path) == whole[0]
        assert leftovers(path) == []


@pytest.mark.parametrize("races", [20])
def test_short_runs_that_start_together_both_end_well(tmp_path, nursery, races):
    """Here one often ends while the other begins, which takes the lock and its directory away."""
    told = 0
    for i in range(races):
        jobs = [{"path": str(tmp_path / f"{i}/deep/a.zarr"), "chunks": 1, "T": 1}] * 4
        outcomes = nursery.run_all(*jobs)
        errors = [outcome["error"] for outcome in outcomes]
        others = [o["message"] for o in outcomes if o["error"] not in (None, "StoreLockedError")]
        assert others == []
        assert None in errors
        told += errors.count("StoreLockedError")
        mz.open(jobs[0]["path"]).x.load()
        assert leftovers(jobs[0]["path"]) == []
    print(f"{races} races of four: {told} of {4 * races} were told to wait")


def test_a_store_that_is_made_between_two_looks_is_no_damaged_one(tmp_path, monkeypatch):
    run({"path": tmp_path / "a.zarr", **LONG})
    place, looks = LocalLocation(tmp_path / "a.zarr"), []
    read_log = LocalLocation.read_log

    def late(self, key):
        looks.append(key)
        return read_log(self, key) if len(looks) > 1 else None

    monkeypatch.setattr(LocalLocation, "read_log", late)
    ledger = CommitState.read(place)
    assert ledger.bad == 0
    assert ledger.is_complete


def test_a_store_that_is_made_while_it_is_looked_whose_it_is_is_ours(tmp_path, monkeypatch):
    looks, tells_of_us = [], _where._tells_of_us

    def overtaken(place):
        told = tells_of_us(place)
        looks.append(told)
        if len(looks) == 1:
            monkeypatch.setattr(_where, "_tells_of_us", tells_of_us)
            run({"path": tmp_path / "a.zarr", "chunks": 1, "T": 1})
            monkeypatch.setattr(_where, "_tells_of_us", overtaken)
        return told

    monkeypatch.setattr(_where, "_tells_of_us", overtaken)
    run({"path": tmp_path / "a.zarr", "chunks": 1, "T": 1})
    assert looks == [False, True]


def test_writers_that_are_refused_race_for_the_directory_of_the_lock(tmp_path, nursery):
    """Nothing comes of any, so that each takes away the directories that it made."""
    jobs = [
        {"path": str(tmp_path / "deep/down/a.zarr"), "chunks": 1, "fault": "create.before@0=ENOSPC"}
    ] * 4
    for _ in range(10):
        outcomes = nursery.run_all(*jobs)
        assert {outcome["error"] for outcome in outcomes} <= {"StoreError", "StoreLockedError"}
    assert list(tmp_path.iterdir()) in ([], [tmp_path / "deep"])
    assert [path for path in tmp_path.rglob("*") if not path.is_dir()] == []


def test_a_lock_left_by_a_killed_writer_is_taken_over_at_once(tmp_path, nursery, whole):
    job = {"path": str(tmp_path / "a.zarr"), **LONG}
    killed = nursery.run(**job, fault="commit.after@30=PID")
    assert json.loads((tmp_path / "a.zarr" / LOCK).read_text())["pid"] == killed["pid"]
    run(job)
    assert files(tmp_path / "a.zarr") == whole[0]
    assert leftovers(tmp_path / "a.zarr") == []


@pytest.mark.parametrize("record", [None, b"", b"\xff{", b"[]"])
def test_whatever_a_lock_file_says_the_system_decides(tmp_path, nursery, whole, record):
    """A record of a process that lives, as that of a reused process id would be: this one."""
    job = {"path": str(tmp_path / "a.zarr"), **LONG}
    nursery.run(**job, fault="commit.after@30=PID")
    text = json.dumps(this_owner()).encode() if record is None else record
    (tmp_path / "a.zarr" / LOCK).write_bytes(text)
    os.utime(tmp_path / "a.zarr" / LOCK, (0, 2**33))  # no clock tells anything
    assert nursery.run(**job)["error"] is None
    assert files(tmp_path / "a.zarr") == whole[0]
    assert leftovers(tmp_path / "a.zarr") == []


def test_a_link_in_the_place_of_the_lock_is_not_written_through(tmp_path, nursery):
    job = {"path": str(tmp_path / "a.zarr"), **LONG}
    nursery.run(**job, fault="commit.after@30=PID")
    (tmp_path / "thesis").write_text("years of work")
    (tmp_path / "a.zarr" / LOCK).unlink()
    (tmp_path / "a.zarr" / LOCK).symlink_to(tmp_path / "thesis")
    assert "StoreError" in nursery.run(**job)["kinds"]
    assert (tmp_path / "thesis").read_text() == "years of work"


WAYS = {
    "mz.open": mz.open,
    "xr.open_zarr": xr.open_zarr,
    "xr.open_zarr, consolidated=False": lambda path: xr.open_zarr(path, consolidated=False),
}


def stores_in(folder):
    """Return the stores that have a root, the newest first."""
    return [path.parent for path in sorted(folder.glob("*.zarr/zarr.json"), reverse=True)]


def check_reads(folder, values, ways, wanted):
    """Read the newest store in each way, often; what is seen is right, and only grows."""
    reads, sizes, paths = dict.fromkeys(ways, 0), {}, 0
    while min(reads.values()) < wanted or len({path for path, _ in sizes}) < 3:
        found = stores_in(folder)
        for path in found[:1]:
            for way in ways:
                ds = WAYS[way](path).load()
                n = ds.sizes["path"]
                for name in values.data_vars:
                    assert np.array_equal(ds[name].values, values[name].values[:n]), (path, way, n)
                assert np.array_equal(ds.time.values, values.time.values)
                assert n >= sizes.get((path, way), 0)
                sizes[path, way] = n
                reads[way] += 1
                paths += n
    return reads, len({path for path, _ in sizes}), paths


CHUNKS, GROWN = 12, 20


@pytest.mark.parametrize("wanted", [30, pytest.param(500, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", ["one", "two"])
def test_readers_beside_a_writer_see_the_first_paths_and_nothing_else(tmp_path, kind, wanted):
    ds, _ = dataset(kind, GROWN)
    values = mz.write(ds, tmp_path / "whole.zarr").load()
    folder = tmp_path / "stores"
    folder.mkdir()
    ways = [way for way in WAYS if kind == "one" or "False" not in way]
    job = {"kind": kind, "chunks": CHUNKS, "grow_to": GROWN, "every": 0.01, "pause": 0.02}
    enough = tmp_path / "enough"
    with Driver(**job, path=str(folder), again_until=str(enough)) as driver:
        driver.wait_for(lambda: stores_in(folder))
        try:
            reads, stores, paths = check_reads(folder, values, ways, wanted)
        finally:
            enough.touch()
        code, said = driver.wait()
    assert code == 0, said
    print(f"{kind}: {reads} reads of {stores} stores, {paths:,} paths, all right")


def records(path):
    """Return how many lines the commit log of a store has."""
    journal = Path(path) / COMMIT_LOG
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


BACKENDS = [
    "threads",
    pytest.param("processes", marks=pytest.mark.slow),
    pytest.param("dask", marks=pytest.mark.slow),
]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_signal_stops_a_run_in_order(tmp_path, whole, backend, number):
    path = tmp_path / "a.zarr"
    with Driver(path=str(path), **LONG, backend=backend, pause=0.2) as driver:
        driver.wait_for(lambda: records(path) > 8)
        if number == signal.SIGINT and backend != "dask":
            os.killpg(driver.process.pid, number)  # as a terminal does: workers too
        else:
            driver.process.send_signal(number)
        code, said = driver.wait()
    assert code == -number, said
    line = rf"montezarr: stopped; ([\d,]+) of 61,140 paths .*To go on: mz\.write\(ds, '{path}'\)"
    found = re.search(line, said)
    assert found, said
    # What Dask had begun, it cannot end, and says that it is cancelled: it may still write.
    assert set(leftovers(path)) <= ({"tmp"} if backend == "dask" else set())
    shown = mz.open(path)
    assert 0 <= shown.sizes["path"] <= int(found[1].replace(",", ""))
    assert np.array_equal(shown.x.values, whole[1].x.values[: shown.sizes["path"]])
    run({"path": path, **LONG})
    assert files(path) == whole[0]
    assert leftovers(path) == []


@pytest.mark.parametrize("numbers", [(signal.SIGINT,) * 2, (signal.SIGINT, signal.SIGTERM)])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_second_signal_leaves_at_once(tmp_path, whole, backend, numbers):
    """A thread cannot be ended; there, Python itself waits for it, once `write` has been left.

    At once is: before any chunk that it had begun has ended.
    """
    path = tmp_path / "a.zarr"
    job = {"pause": 10.0 if backend == "threads" else 60.0}
    job |= {name: str(tmp_path / name) for name in ("drawn", "ended", "left")}
    with Driver(path=str(path), **LONG, backend=backend, **job) as driver:
        driver.wait_for(lambda: (tmp_path / "drawn").exists())
        driver.process.send_signal(numbers[0])
        time.sleep(0.5)
        assert driver.process.poll() is None
        assert not (tmp_path / "left").exists()
        driver.process.send_signal(numbers[1])
        until(lambda: driver.process.poll() is not None or (tmp_path / "left").exists())
        assert not (tmp_path / "ended").exists()
        run({"path": path, **LONG})  # also while threads of the other one may still write
        code, said = driver.wait()
    assert code in (-numbers[1], 1), said
    run({"path": path, **LONG})
    assert files(path) == whole[0]
