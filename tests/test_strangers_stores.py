"""Stores that a user opens are read with the same care: no pipe holds up what reads its files."""

import json
import os
import pickle
import shutil
import socket
import struct
import subprocess
import sys
import zipfile

import pytest
import zarr
from patience import PATIENCE
from stores import files, gbm_paths

import montezarr as mz
from montezarr.store._info import info
from montezarr.store.locations import LOCK, _remote_lock
from montezarr.store.locations._directory import Directory
from montezarr.store.locations._remote import RemoteLocation


def by_fsspec(root):
    return zarr.storage.FsspecStore.from_url(f"file://{root}", storage_options={"auto_mkdir": True})


def below_a_directory(root):
    from fsspec.implementations.asyn_wrapper import AsyncFileSystemWrapper
    from fsspec.implementations.dirfs import DirFileSystem
    from fsspec.implementations.local import LocalFileSystem

    inner = DirFileSystem(path=os.path.dirname(root), fs=LocalFileSystem(auto_mkdir=True))
    file_system = AsyncFileSystemWrapper(inner, asynchronous=True)
    return zarr.storage.FsspecStore(file_system, path=os.path.basename(root))


def by_obstore(root):
    obstore = pytest.importorskip("obstore")
    return zarr.storage.ObjectStore(obstore.store.LocalStore(root, mkdir=True))


def wrapped(root):
    return zarr.storage.WrapperStore(zarr.storage.LocalStore(root))


def wrapped_twice(root):
    return zarr.storage.WrapperStore(zarr.storage.LoggingStore(by_fsspec(root), log_level="ERROR"))


KINDS = (by_fsspec, below_a_directory, by_obstore, wrapped, wrapped_twice)

ACTIONS = {
    "open": lambda place, _: mz.open(place).x[-5:].compute(),
    "statistics": lambda place, _: mz.open(place, "statistics"),
    "info": lambda place, _: info(place),
    "verify": lambda place, _: mz.verify(place, 2),
    "extend": lambda place, _: mz.extend(place, 6000),
    "write": lambda place, _: mz.write(gbm_paths(), place, statistics="mean"),
    "merge": lambda place, root: mz.merge([place], f"{root}.merged"),
    "repair": lambda place, _: mz.repair(place),
}
"""In this order: what comes last puts a file in the place of the pipe."""

CASES = [
    *[(kind.__name__, "x/c/1/0") for kind in KINDS],
    ("by_fsspec", "zarr.json"), ("wrapped", "zarr.json"), ("by_obstore", "montezarr/journal"),
    ("by_fsspec", "montezarr/manifest.json"),
]  # fmt: skip


def name_of(kind, file):
    return f"{kind}-{file.replace('/', '-')}.zarr"


def try_all(parent):
    """Do everything with stores in which a file is a pipe; print what each action says."""
    _remote_lock.LOCK_SETTLE_SECONDS = 0.0
    for kind, file in CASES:
        root = os.path.join(parent, name_of(kind, file))
        for name, action in ACTIONS.items():
            put(os.path.join(root, file))
            try:
                found = action(globals()[kind](root), root)
                said = "not ok" if name == "verify" and not found.ok else "done"
            except mz.MontezarrError as error:
                said = type(error).__name__
            print(json.dumps([kind, file, name, said]), flush=True)


def put(path, how="pipe"):
    """Have something that is no file in the place of one."""
    if os.path.lexists(path):
        os.unlink(path)
    if how == "pipe":
        os.mkfifo(path)
    elif how == "device":
        os.symlink("/dev/zero", path)
    else:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(os.path.relpath(path))  # its name must be short


@pytest.fixture
def store(tmp_path):
    mz.write(gbm_paths(), tmp_path / "a.zarr", statistics="mean")
    return tmp_path / "a.zarr"


def test_a_pipe_holds_up_nothing_whoever_opens_the_store(store):
    """In a process of its own, since a thread that waits for a pipe lets none end."""
    for case in CASES:
        shutil.copytree(store, store.parent / name_of(*case))
    code = "import sys, test_strangers_stores as tests; tests.try_all(sys.argv[1])"
    paths = [os.path.dirname(__file__), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-c", code, str(store.parent)], timeout=PATIENCE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert [entry[:3] for entry in said] == [[*case, name] for case in CASES for name in ACTIONS]
    assert {text for _, _, name, text in said if name == "verify"} == {"not ok"}
    assert {text for _, _, name, text in said if name == "repair"} == {"done"}
    for case in CASES:
        root = store.parent / name_of(*case)
        assert (root / case[1]).is_file()
        assert mz.verify(root).ok


@pytest.mark.parametrize("how", ["socket", "device"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_socket_or_a_device_is_no_chunk(store, kind, how, monkeypatch):
    monkeypatch.chdir(store)
    put(store / "x/c/1/0", how)
    with pytest.raises(mz.StoreError, match="none for paths from 1,024 on"):
        mz.open(kind(str(store))).x.compute()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_through_a_store_is_what_is_written_to_its_directory(
    store, kind, tmp_path, monkeypatch
):
    monkeypatch.setattr(_remote_lock, "LOCK_SETTLE_SECONDS", 0.0)
    before = files(store)
    place = kind(str(tmp_path / "b.zarr"))
    mz.write(gbm_paths(), place, statistics="mean")
    assert files(tmp_path / "b.zarr") == before
    again = pickle.loads(pickle.dumps(RemoteLocation(place)))
    assert again.get("zarr.json") == (store / "zarr.json").read_bytes()


def test_a_wrapper_stays_what_it_is_and_keeps_what_it_counts(store):
    class Counting(zarr.storage.WrapperStore):
        count = 0

        async def get(self, *args, **kwargs):
            self.count += 1
            return await super().get(*args, **kwargs)

    counting = Counting(zarr.storage.LocalStore(store, read_only=True))
    assert RemoteLocation(counting).target() is counting
    assert type(counting._store) is Directory
    assert counting.read_only
    mz.open(counting).x.compute()
    assert counting.count > 5


def test_a_wrapper_is_asked_for_sizes_not_for_all_that_a_hole_says(store):
    with (store / "zarr.json").open("wb") as file:
        file.truncate(2**42)
    objects = RemoteLocation(wrapped(store))
    assert objects.size("zarr.json") == 2**42
    assert objects.get("zarr.json") is None


def test_a_pipe_as_a_zip_is_refused(tmp_path):
    os.mkfifo(tmp_path / "a.zip")
    packed = zarr.storage.ZipStore(tmp_path / "a.zip", mode="r")
    with pytest.raises(mz.StoreError, match="expected a zip, got a pipe"):
        mz.open(packed)
    with pytest.raises(mz.StoreError, match="expected a zip, got a pipe"):
        mz.verify(zarr.storage.WrapperStore(packed))


@pytest.mark.parametrize("name", ["zarr.json", "montezarr/journal", "x/c/0/0", "time/c/0"])
def test_a_zip_that_says_of_a_file_that_it_is_packed_in_another_way_is_refused(name, tmp_path):
    mz.write(mz.simulate(mz.RandomWalk(), 1500, T=3, seed=1), tmp_path / "a.zarr")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        for member in (tmp_path / "a.zarr").rglob("*"):
            file.write(member, member.relative_to(tmp_path / "a.zarr"))
        offset = file.getinfo(name).header_offset
    data = bytearray((tmp_path / "a.zip").read_bytes())
    listed = data.index(name.encode(), data.index(b"PK\x01\x02")) - 46
    data[offset + 8 : offset + 10] = data[listed + 10 : listed + 12] = struct.pack(
        "<H", zipfile.ZIP_BZIP2
    )
    (tmp_path / "a.zip").write_bytes(data)
    read = info if name == "montezarr/journal" else lambda store: mz.open(store).load()
    with pytest.raises(mz.StoreError, match="OSError: Invalid data stream"):
        read(zarr.storage.ZipStore(tmp_path / "a.zip", mode="r"))


def test_a_pipe_as_the_lock_is_refused(store):
    os.mkfifo(store / LOCK)
    with pytest.raises(mz.StoreLockedError, match="an unknown process"):
        mz.extend(by_fsspec(store), 9000)
