"""Disks that are full or read-only, and places that are not ours: refused, and left as they are."""

import collections
import contextlib
import errno
import hashlib
import os
import shutil
import subprocess
import traceback

import numpy as np
import pytest
import zarr
from store_runs import CHUNK, Driver, Nursery, dataset, files, leftovers, run

import montezarr as mz
from montezarr.store import _faults, _writer


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return the files and values of a run with all room it wants."""
    path = tmp_path_factory.mktemp("whole") / "a.zarr"
    run({"path": path})
    return files(path), mz.open(path).load()


def mount(*arguments):
    """Mount something, or skip where that is not allowed."""
    if shutil.which("mount") is None:
        pytest.skip("there is no mount")
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"not allowed to mount: {done.stderr.strip()}")


@pytest.fixture
def small_disk(tmp_path):
    """Return a function that gives a disk so many bytes, once more too."""
    place = tmp_path / "disk"
    place.mkdir()
    there = []

    def of(size):
        remount = ["-o", f"remount,size={size}"] if there else ["-o", f"size={size}"]
        mount("-t", "tmpfs", *remount, "tmpfs", str(place))
        there.append(size)
        return place

    yield of
    if there:
        subprocess.run(["umount", str(place)], check=True)


def fill(folder, but=0):
    """Leave so many bytes free, in a file of its own."""
    with (folder / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        free = shutil.disk_usage(folder).free
        while free > but:
            free -= file.write(bytes(min(free - but, 2**16)))


def fill_once(folder, but):
    if not (folder / "filler").exists():
        fill(folder, but * os.statvfs(folder).f_frsize)


def check_prefix(path, whole):
    shown = mz.open(path)
    assert np.array_equal(shown.x.values, whole[1].x.values[: shown.sizes["path"]])
    return shown.sizes["path"]


def check_says_what_it_needs(error):
    text = str(error)
    assert "\n" not in text
    assert "expected room for" in text
    assert "more, got No space left on device" in text
    assert "call it again: mz.write(ds, " in text


def test_a_disk_that_fills_up_stops_the_run_which_goes_on_when_there_is_room(small_disk, whole):
    place = small_disk(2**21)
    ds, _ = dataset()

    def progress(done, *rest):
        if done >= 2 * CHUNK:
            fill_once(place, 0)

    with mz.backend("threads", 2), pytest.raises(mz.StoreError) as caught:
        mz.write(ds, place / "a.zarr", on_progress=progress)
    check_says_what_it_needs(caught.value)
    assert not isinstance(caught.value, mz.StoreLockedError)
    shown = check_prefix(place / "a.zarr", whole)
    assert shown < 6 * CHUNK - 300
    assert leftovers(place / "a.zarr") == []
    with pytest.raises(mz.StoreError):  # still full
        mz.write(ds, place / "a.zarr")
    assert check_prefix(place / "a.zarr", whole) == shown
    small_disk(2**23)
    mz.write(ds, place / "a.zarr")
    assert files(place / "a.zarr") == whole[0]


def test_whatever_does_not_fit_any_more_the_journal_is_never_ahead(small_disk, monkeypatch):
    """A disk has room for k chunks more; for one k, the line of the commit log is too much."""
    place = small_disk(2**21)
    path, chunks = place / "a.zarr", 60
    ds, _ = dataset(chunks=chunks, T=1)
    mz.write(ds, path)
    there, values = files(path), mz.open(path).x.values
    room = -(-(path / "x/c/0/0").stat().st_size // os.statvfs(place).f_frsize)
    monkeypatch.setattr(_writer, "PUBLISH_SECONDS", 3600)  # nothing else is written in between
    stopped_in = collections.Counter()
    # About the 40th line goes beyond the first page of the commit log.
    for k in (*range(0, 30, 6), *range(30, 52)):
        shutil.rmtree(path)
        with mz.backend("synchronous"), pytest.raises(mz.StoreError) as caught:
            mz.write(ds, path, on_progress=lambda *_, k=k: fill_once(place, k * room))
        check_says_what_it_needs(caught.value)
        calls = {f.name for f in traceback.extract_tb(caught.value.__cause__.__traceback__)}
        stopped_in["journal" if "append" in calls else "chunk"] += 1
        shown = mz.open(path)
        assert np.array_equal(shown.x.values, values[: shown.sizes["path"]])
        assert leftovers(path) == []
        (place / "filler").unlink()
        mz.write(ds, path)
        assert files(path) == there
    print(dict(stopped_in))
    assert stopped_in["journal"] >= 1
    assert stopped_in["chunk"] >= 1


def test_a_disk_that_is_too_small_is_refused_before_anything_is_there(small_disk):
    place = small_disk(2**18)
    ds, _ = dataset()
    with pytest.raises(mz.StoreError, match="too little"):
        mz.write(ds, place / "deep/a.zarr", on_progress=never)
    assert list(place.iterdir()) == []


def test_a_disk_without_inodes_is_a_full_disk(small_disk, tmp_path, whole):
    place = tmp_path / "few"
    place.mkdir()
    mount("-t", "tmpfs", "-o", "size=8m,nr_inodes=24", "tmpfs", str(place))
    ds, _ = dataset()
    try:
        with mz.backend("threads", 2), pytest.raises(mz.StoreError) as caught:
            mz.write(ds, place / "a.zarr")
        check_says_what_it_needs(caught.value)
        subprocess.run(["mount", "-o", "remount,nr_inodes=200", str(place)], check=True)
        mz.write(ds, place / "a.zarr")
        assert files(place / "a.zarr") == whole[0]
        assert leftovers(place / "a.zarr") == []
    finally:
        subprocess.run(["umount", str(place)], check=True)


POINTS = [
    *((point, 3) for point in _faults.POINTS if point.startswith(("chunk", "commit"))),
    *((point, 0) for point in _faults.POINTS if point.startswith(("create", "finish"))),
    *((point, 0) for point in _faults.POINTS if point.startswith("publish")),
    *((point, 8) for point in _faults.POINTS if point.startswith("publish")),
    *((point, -1) for point in _faults.POINTS if point.startswith("chunk")),
]


@pytest.mark.parametrize(("point", "number"), POINTS)
def test_no_room_at_any_point_is_said_and_the_run_goes_on_later(
    tmp_path, whole, monkeypatch, point, number
):
    path = tmp_path / "a.zarr"
    monkeypatch.setattr(_faults, "_fault", f"{point}@{number}=ENOSPC")
    with pytest.raises(mz.StoreError) as caught:
        run({"path": path, "every": 0.0})
    check_says_what_it_needs(caught.value)
    assert leftovers(path) == []
    if (path / "zarr.json").exists():
        check_prefix(path, whole)
    if (point, number) in (("create.before", 0), ("chunk.before_write", -1)):
        assert not path.exists()
    monkeypatch.setattr(_faults, "_fault", None)
    run({"path": path})
    assert files(path) == whole[0]


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["processes", "dask"])
@pytest.mark.parametrize("point", ["chunk.before_write", "chunk.mid_write", "commit.torn"])
def test_no_room_on_a_worker_is_said_too(tmp_path, whole, backend, point):
    path = tmp_path / "a.zarr"
    with Driver(path=str(path), backend=backend, fault=f"{point}@3=ENOSPC") as driver:
        code, said = driver.wait()
    assert code == 1
    last = said.strip().splitlines()[-1]
    assert last.startswith("montezarr.core.errors.StoreError: path: expected room for "), said
    assert set(leftovers(path)) <= {"tmp"}  # what ran beside on a worker may still write
    check_prefix(path, whole)
    run({"path": path})
    assert files(path) == whole[0]
    assert leftovers(path) == []


def never(*report):
    pytest.fail("something was drawn")


def state(folder):
    """Return all that is there: kind, times, mode, and digest or target."""
    found = {}
    for path in sorted(folder.rglob("*")):
        about = path.lstat()
        if path.is_symlink():
            content = os.readlink(path)
        elif path.is_file():
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        else:
            content = "directory"
        found[str(path.relative_to(folder))] = about.st_mtime_ns, about.st_mode, content
    return found


def make_file(path):
    path.write_text("thesis")


def make_folder(path):
    path.mkdir()
    (path / "thesis.tex").write_text("years of work")


def make_folder_of_that_name(path):
    (path / "montezarr").mkdir(parents=True)
    (path / "montezarr/notes.txt").write_text("about montezarr")


def make_folder_with_a_file_of_that_name(path):
    path.mkdir()
    (path / "montezarr").write_text("about montezarr")


def make_folder_with_a_link_of_that_name(path):
    path.mkdir()
    (path.parent / "elsewhere").mkdir()
    (path / "montezarr").symlink_to(path.parent / "elsewhere")


def make_link(path):
    (path.parent / "real").mkdir()
    path.symlink_to(path.parent / "real")


def make_broken_link(path):
    path.symlink_to(path.parent / "nothing")


def make_group(path):
    zarr.create_group(path, attributes={"theirs": 1})


def make_group_of_version_2(path):
    zarr.create_group(path, attributes={"theirs": 1}, zarr_format=2)


def make_array(path):
    zarr.create_array(path, shape=(3,), dtype="f8")


FOREIGN = {name.removeprefix("make_"): make for name, make in globals().items() if "make_" in name}


@pytest.mark.parametrize("what", FOREIGN)
def test_what_is_not_ours_is_refused_before_anything_is_drawn_and_not_touched(tmp_path, what):
    FOREIGN[what](tmp_path / "a.zarr")
    before = state(tmp_path)
    with pytest.raises(mz.StoreExistsError) as caught:
        mz.write(dataset()[0], tmp_path / "a.zarr", on_progress=never)
    assert "\n" not in str(caught.value)
    assert state(tmp_path) == before


def test_a_place_below_a_file_is_refused(tmp_path):
    (tmp_path / "thesis").write_text("years of work")
    before = state(tmp_path)
    with pytest.raises(mz.StoreError):
        mz.write(dataset()[0], tmp_path / "thesis/deep/a.zarr", on_progress=never)
    assert state(tmp_path) == before


@pytest.mark.parametrize("link", ["x", "x/c", "time", "montezarr", "x/c/3"])
def test_nothing_is_written_through_a_link_inside_of_a_store(tmp_path, link):
    run({"path": tmp_path / "a.zarr"})
    inside, outside = tmp_path / "a.zarr" / link, tmp_path / "outside"
    inside.rename(outside)
    inside.symlink_to(outside)
    (tmp_path / "a.zarr/x/c/3/0").unlink(missing_ok=True)
    before = state(outside)
    with pytest.raises(mz.StoreError):
        mz.write(dataset()[0], tmp_path / "a.zarr", on_progress=never)
    assert state(outside) == before


def test_another_recipe_is_refused_before_anything_is_drawn_and_not_touched(tmp_path):
    run({"path": tmp_path / "a.zarr"})
    before = state(tmp_path)
    with pytest.raises(mz.StoreMismatchError):
        mz.write(dataset("two")[0], tmp_path / "a.zarr", on_progress=never)
    assert state(tmp_path) == before


@pytest.mark.parametrize("where", ["a.zarr", "deep/down/a.zarr"])
def test_a_read_only_disk_is_refused_before_anything_is_drawn(tmp_path, where):
    place = tmp_path / "disk"
    place.mkdir()
    mount("--bind", str(place), str(place))
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(place)], check=True)
        with pytest.raises(mz.StoreError, match="Read-only file system") as caught:
            mz.write(dataset()[0], place / where, on_progress=never)
        assert "\n" not in str(caught.value)
        assert list(place.iterdir()) == []
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_started_store_on_a_disk_that_became_read_only_can_be_read(tmp_path, whole, monkeypatch):
    place = tmp_path / "disk"
    place.mkdir()
    monkeypatch.setattr(_faults, "_fault", "chunk.before_write@3=ENOSPC")
    with pytest.raises(mz.StoreError):
        run({"path": place / "a.zarr"})
    monkeypatch.setattr(_faults, "_fault", None)
    mount("--bind", str(place), str(place))
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(place)], check=True)
        with pytest.raises(mz.StoreError, match="Read-only file system"):
            mz.write(dataset()[0], place / "a.zarr", on_progress=never)
        check_prefix(place / "a.zarr", whole)
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_lock_that_cannot_be_made_leaves_no_directory_behind(tmp_path, monkeypatch):
    from montezarr.store.locations import _lock

    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(_lock.fcntl, "flock", refuse)
    with pytest.raises(mz.StoreError, match="No locks available"):
        mz.write(dataset()[0], tmp_path / "deep/down/a.zarr", on_progress=never)
    assert list(tmp_path.iterdir()) == []


def test_durable_runs_sync_every_file_and_directory_and_others_none(tmp_path, monkeypatch):
    synced = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (synced.append(handle), fsync(handle))[1])
    run({"path": tmp_path / "a.zarr"})
    assert synced == []
    run({"path": tmp_path / "b.zarr", "options": {"durable": True}})
    assert len(synced) > 6 * 5  # each chunk and its four directories, besides the commit log
    assert files(tmp_path / "a.zarr") == files(tmp_path / "b.zarr")


@pytest.fixture(scope="module")
def nursery():
    nursery = Nursery()
    yield nursery
    nursery.close()


@pytest.mark.parametrize("point", _faults.POINTS)
def test_a_durable_run_killed_anywhere_goes_on_to_the_same_bytes(tmp_path, nursery, whole, point):
    job = {"path": str(tmp_path / "a.zarr"), "options": {"durable": True}, "every": 0.0}
    killed = nursery.run(**job, fault=f"{point}@*=PID")
    assert killed["code"] == -9, killed
    assert nursery.run(**job)["error"] is None
    assert files(tmp_path / "a.zarr") == whole[0]
    assert leftovers(tmp_path / "a.zarr") == []


@pytest.mark.parametrize("code", ["EMFILE", "EIO", "EACCES", "ESTALE"])
@pytest.mark.parametrize("point", ["chunk.mid_write@2", "commit.before@2", "publish.before@1"])
def test_what_the_system_refuses_in_the_middle_is_named(tmp_path, monkeypatch, code, point, whole):
    monkeypatch.setattr(_faults, "_fault", f"{point}={code}")
    with pytest.raises(mz.StoreError, match="expected to go on writing, got ") as caught:
        run({"path": tmp_path / "a.zarr", "backend": "synchronous", "every": 0.0})
    assert os.strerror(getattr(errno, code)) in str(caught.value)
    assert "call it again: mz.write(ds, " in str(caught.value)
    monkeypatch.setattr(_faults, "_fault", None)
    run({"path": tmp_path / "a.zarr"})
    assert files(tmp_path / "a.zarr") == whole[0]
