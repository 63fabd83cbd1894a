"""Killed at any moment, a run goes on to the same bytes, and what was committed can be read."""

import random
import signal

import numpy as np
import pytest
from store_runs import Driver, Nursery, files, leftovers, run

import montezarr as mz
from montezarr.store._faults import POINTS

CHUNKS = 6
NUMBERS = {
    "create": (0,),
    "chunk": (0, 3, 5, -1),
    "commit": (0, 3, 5),
    "publish": (0, 4, 8),
    "finish": (0,),
}
"""First, middle and last chunk; -1 is a file of metadata. Where all commits are published at once,
publications are that of the creation, one per chunk, that of the end of the run and the last."""

MOMENTS = [(point, number) for point in POINTS for number in NUMBERS[point.partition(".")[0]]]
KINDS = ("one", "statistics", "two")
CASES = [(kind, *moment) for kind in KINDS for moment in MOMENTS]
LARGE = [
    ("large", "chunk.mid_write", -1),
    ("large", "create.parameters", 0),
    ("large", "create.journal", 0),
    ("large", "commit.after", 3),
]
"""Where a recipe refers to parameters: the first of all files is one of these."""


@pytest.fixture(scope="module")
def nursery():
    nursery = Nursery()
    yield nursery
    nursery.close()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """By kind, the files and values of a run that nobody disturbed."""
    found = {}
    for kind in (*KINDS, "large"):
        path = tmp_path_factory.mktemp("undisturbed") / "a.zarr"
        run({"path": path, "kind": kind, "backend": "synchronous"})
        found[kind] = files(path), mz.open(path).load()
    return found


def check_shown(path, whole):
    """What is to be seen of a store is the first paths of the whole; return how many."""
    if not (path / "zarr.json").exists():
        with pytest.raises(mz.StoreNotFoundError):
            mz.open(path)
        return 0
    shown = mz.open(path)
    n = shown.sizes["path"]
    for name in whole.data_vars:
        assert np.array_equal(shown[name].values, whole[name].values[:n]), name
    return n


def check_whole(path, undisturbed):
    there, values = undisturbed
    assert check_shown(path, values) == values.sizes["path"]
    assert files(path) == there
    assert leftovers(path) == []


@pytest.mark.parametrize(("kind", "point", "number"), [*CASES, *LARGE])
def test_a_driver_killed_anywhere_goes_on_to_the_same_bytes(
    tmp_path, nursery, undisturbed, kind, point, number
):
    job = {"path": str(tmp_path / "a.zarr"), "kind": kind}
    killed = nursery.run(**job, every=0.0, fault=f"{point}@{number}=PID")
    assert killed["code"] == -signal.SIGKILL, killed
    check_shown(tmp_path / "a.zarr", undisturbed[kind][1])
    if [*CASES, *LARGE].index((kind, point, number)) % 2:
        run(job | {"backend": "synchronous"})
    else:
        assert nursery.run(**job)["error"] is None
    check_whole(tmp_path / "a.zarr", undisturbed[kind])


FRESH = {
    "processes": [case for i, case in enumerate(CASES) if i % 8 == 0],
    "dask": [case for i, case in enumerate(CASES) if i % 8 == 4],
}
"""What is killed in fresh drivers too, with their workers."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "kind", "point", "number"),
    [(backend, *case) for backend, cases in FRESH.items() for case in cases],
)
def test_a_driver_killed_with_its_workers_leaves_none_and_goes_on_elsewhere(
    tmp_path, undisturbed, backend, kind, point, number
):
    path = tmp_path / "a.zarr"
    job = {"path": str(path), "kind": kind}
    fault = f"{point}@{number}=PID"
    with Driver(**job, backend=backend, every=0.0, fault=fault) as driver:
        code, said = driver.wait()
        assert code == -signal.SIGKILL, said
        if FRESH[backend].index((kind, point, number)) % 2:
            driver.wait_until_gone()
        check_shown(path, undisturbed[kind][1])
        run(job | {"backend": "synchronous"})  # while orphans may still write
    check_whole(path, undisturbed[kind])


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["processes", "dask"])
def test_a_run_on_workers_takes_up_what_a_killed_one_on_threads_left(
    tmp_path, nursery, undisturbed, backend
):
    job = {"path": str(tmp_path / "a.zarr"), "kind": "statistics"}
    assert nursery.run(**job, fault="commit.torn@3=PID")["code"] == -signal.SIGKILL
    with Driver(**job, backend=backend) as driver:
        code, said = driver.wait()
    assert code == 0, said
    check_whole(tmp_path / "a.zarr", undisturbed["statistics"])


IN_FLIGHT = 3 * 2
"""Chunks that two workers may have drawn, or draw, when they are killed: the window of each."""


@pytest.mark.parametrize("rounds", [20, pytest.param(200, marks=pytest.mark.slow)])
def test_killed_at_random_times_a_run_ends_with_the_same_bytes(tmp_path, nursery, rounds):
    pause, most = 0.01, 25
    chunks = 2 * rounds * most  # more than all rounds together can draw
    job = {"path": str(tmp_path / "a.zarr"), "chunks": chunks, "T": 1}
    noted = job | {"drawn": str(tmp_path / "drawn")}
    rng = random.Random(2026)
    for _ in range(rounds):
        moment = rng.randint(1, most), rng.uniform(0.0, pause)
        killed = nursery.run(kill_after=moment, **noted, pause=pause)
        assert killed["code"] == -signal.SIGKILL, killed
    before = len((tmp_path / "drawn").read_bytes().splitlines())
    assert nursery.run(**noted)["error"] is None
    drawn = len((tmp_path / "drawn").read_bytes().splitlines())
    again = drawn - chunks
    print(f"{rounds} rounds: {before:,} chunks drawn in them, {again} of {chunks:,} drawn again")
    assert before > 2 * rounds
    assert 0 <= again <= IN_FLIGHT * rounds
    assert nursery.run(**job | {"path": str(tmp_path / "b.zarr")})["error"] is None
    assert files(tmp_path / "a.zarr") == files(tmp_path / "b.zarr")
    assert leftovers(tmp_path / "a.zarr") == []
