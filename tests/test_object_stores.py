"""Stores that are no directory: S3 (of moto, on this machine) by s3fs and obstore, and memory."""

import json
import os
import pickle
import random
import subprocess
import sys
import threading

import buckets
import numpy as np
import pytest
import xarray as xr
import zarr
from buckets import content_of, obstore_stores
from known_secret import SECRET
from zarr.buffer import default_buffer_prototype
from zarr.storage import FsspecStore, LocalStore, MemoryStore, ObjectStore, WrapperStore, ZipStore

import montezarr as mz
from montezarr.core import errors
from montezarr.core.owner import this_owner
from montezarr.core.secrets import redacted
from montezarr.store import _task
from montezarr.store._where import location_of
from montezarr.store.format._commit_log import COMMIT_LOG
from montezarr.store.format._commit_state import CommitState
from montezarr.store.locations import _remote, _remote_lock
from montezarr.store.locations._location import LOCK, LocalLocation
from montezarr.store.locations._remote import RemoteLocation

endpoint, bucket = buckets.endpoint, buckets.bucket

GBM = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
KINDS = ("s3fs", "obstore", "memory")


def gbm_paths(**changes):
    arguments = {"n_paths": 4000, "T": 6, "x0": 100.0, "dt": 0.05, "seed": 42, "chunks": 1024}
    return mz.simulate(GBM, **(arguments | changes))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(_remote_lock, "LOCK_SETTLE_SECONDS", 0.02)


@pytest.fixture(autouse=True)
def nothing_shows_the_secret(monkeypatch):
    """Look for the key of the stores in every error and warning that is made in here.

    What is printed and logged, `conftest.pytest_runtest_makereport` looks through.
    """
    said = []

    def told(args):
        said.append(str(shown(args)))
        return shown(args)

    shown = errors._without_secrets
    monkeypatch.setattr(errors, "_without_secrets", told)
    yield
    assert SECRET not in "".join(said)


@pytest.fixture
def drawn(monkeypatch):
    """The chunks that are drawn, as they are."""
    chunks = []
    one = _task.ChunkTask._one

    def noted(self, chunk, *rest):
        chunks.append(chunk)
        return one(self, chunk, *rest)

    monkeypatch.setattr(_task.ChunkTask, "_one", noted)
    return chunks


class Interrupted(Exception):
    pass


def interrupt_at(count):
    def on_progress(done, *rest):
        if done >= count:
            raise Interrupted

    return on_progress


# What is written, and read.


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_read_back_is_what_was_simulated_and_is_not_drawn_twice(kind, bucket, drawn):
    path, options = bucket.where(kind)
    ds = gbm_paths()
    stored = mz.write(ds, path, statistics=["mean"], **options)
    xr.testing.assert_equal(stored.compute(), ds.compute())
    assert stored.attrs == ds.attrs
    assert mz.open(path, **options).identical(stored)
    means = mz.open(path, "statistics", **options).x_mean
    assert np.array_equal(means, mz.reduce(ds, ["mean"]).x_mean)
    assert sorted(drawn) == [0, 1, 2, 3]
    before = content_of(path, options)
    assert LOCK not in before
    assert not [key for key in before if key.startswith(f"{COMMIT_LOG}.")]
    mz.write(ds, path, statistics=["mean"], **options)
    assert len(drawn) == 4
    assert content_of(path, options) == before


@pytest.mark.parametrize("kind", KINDS)
def test_the_objects_are_the_files_of_a_directory(kind, bucket, tmp_path):
    path, options = bucket.where(kind)
    with mz.backend("synchronous"):
        mz.write(gbm_paths(), path, **options)
        mz.write(gbm_paths(), tmp_path / "a.zarr")
    files = content_of(tmp_path / "a.zarr")
    assert content_of(path, options) == files


@pytest.mark.parametrize("kind", KINDS)
def test_interrupted_it_shows_what_is_there_and_draws_the_rest(kind, bucket, drawn):
    path, options = bucket.where(kind)
    ds = gbm_paths()
    with mz.backend("synchronous"):
        with pytest.raises(Interrupted):
            mz.write(ds, path, on_progress=interrupt_at(2048), **options)
        partial = mz.open(path, **options)
        assert partial.attrs["montezarr_status"] == "incomplete, 51 %"
        xr.testing.assert_equal(
            partial.drop_attrs().compute(), ds.isel(path=slice(2048)).drop_attrs().compute()
        )
        drawn.clear()
        stored = mz.write(ds, path, **options)
    assert drawn == [2, 3]
    xr.testing.assert_equal(stored.compute(), ds.compute())
    assert "montezarr_status" not in stored.attrs


KILLED = """
import os, sys
point, url, endpoint, secret = sys.argv[1:]
os.environ["MONTEZARR_FAULT"] = f"{point}={os.getpid()}"
import montezarr as mz
ds = mz.simulate(mz.GeometricBrownianMotion(mu=0.05, sigma=0.2), 4000, 6, 100.0, dt=0.05, seed=42,
                 chunks=1024)
with mz.backend("synchronous"):
    options = {"key": secret, "secret": secret, "endpoint_url": endpoint}
    mz.write(ds, url, storage_options=options)
"""


@pytest.mark.parametrize(
    "point", ["create.before@*", pytest.param("commit.after@2", marks=pytest.mark.slow)]
)
def test_killed_by_the_system_it_goes_on(point, bucket, drawn):
    arguments = [point, bucket.url(), bucket.endpoint, SECRET]
    found = subprocess.run([sys.executable, "-c", KILLED, *arguments], capture_output=True)
    assert found.returncode == -9, found.stderr.decode()
    assert f"runs/a.zarr/{LOCK}" in bucket.content()  # of a dead owner
    ledger = CommitState.read(location_of(bucket.url(), bucket.options))
    left = list(range(4)) if ledger is None else ledger.missing()
    assert (left == [3]) == (point == "commit.after@2")
    with mz.backend("synchronous"):
        stored = mz.write(gbm_paths(), bucket.url(), storage_options=bucket.options)
    assert drawn == left
    xr.testing.assert_equal(stored.compute(), gbm_paths().compute())
    killed = bucket.content()
    mz.write(gbm_paths(), bucket.obstore("whole"))
    whole = {key.removeprefix("whole/"): data for key, data in bucket.content().items()}
    assert {key.removeprefix("runs/a.zarr/"): data for key, data in killed.items()} == {
        key: data for key, data in whole.items() if not key.startswith("runs/")
    }


@pytest.mark.parametrize("kind", KINDS)
def test_another_recipe_is_refused(kind, bucket):
    path, options = bucket.where(kind)
    mz.write(gbm_paths(n_paths=1000), path, **options)
    before = content_of(path, options)
    with pytest.raises(mz.StoreMismatchError, match="seed"):
        mz.write(gbm_paths(n_paths=1000, seed=43), path, **options)
    assert content_of(path, options) == before


@pytest.mark.parametrize("key", ["readme.txt", "montezarr/notes", "x/c/0/0"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_others_put_there_is_refused_and_left(kind, key, bucket):
    path, options = bucket.where(kind)
    location_of(path, **options).put(key, [b"of others"])
    with pytest.raises(mz.StoreExistsError, match="other content"):
        mz.write(gbm_paths(), path, **options)
    assert content_of(path, options) == {key: b"of others"}
    with pytest.raises(mz.StoreNotFoundError):
        mz.open(path, **options)


def test_other_objects_of_the_bucket_are_no_matter(bucket):
    for key in ("runs/a.zarr2/zarr.json", "runs/a", "runs/a.zarr-old", "x"):
        bucket.put(key, b"of others")
    mz.write(gbm_paths(n_paths=1000), bucket.url(), storage_options=bucket.options)
    assert all(
        data == b"of others"
        for key, data in bucket.content().items()
        if not key.startswith("runs/a.zarr/")
    )


def test_nothing_is_said_to_be_there_where_nothing_is(bucket):
    with pytest.raises(mz.StoreNotFoundError, match=r"s3://bucket-.*/runs/a\.zarr"):
        mz.open(bucket.url(), storage_options=bucket.options)
    with pytest.raises(OSError, match="bucket"):
        mz.write(gbm_paths(), "s3://no-such-bucket/a", storage_options=bucket.options)


def test_worker_processes_write_to_it_themselves(bucket):
    with mz.backend("processes", n_jobs=2):
        stored = mz.write(gbm_paths(), bucket.url(), storage_options=bucket.options)
    xr.testing.assert_equal(stored.compute(), gbm_paths().compute())
    place = pickle.loads(pickle.dumps(location_of(bucket.obstore())))
    assert place.get(COMMIT_LOG) == location_of(bucket.url(), bucket.options).get(COMMIT_LOG)


@pytest.mark.parametrize(
    "path",
    [MemoryStore(), "memory://a", ObjectStore(obstore_stores.MemoryStore())],
    ids=["zarr", "fsspec", "obstore"],
)
def test_memory_is_not_shared_with_worker_processes(path):
    with (
        mz.backend("processes", n_jobs=2),
        pytest.raises(mz.ArgumentTypeError, match="threads"),
    ):
        mz.write(gbm_paths(), path)


def test_others_read_it(bucket):
    mz.write(gbm_paths(), bucket.url(), storage_options=bucket.options)
    plain = xr.open_zarr(bucket.url(), storage_options=bucket.options)
    xr.testing.assert_equal(plain.compute(), gbm_paths().compute())
    tensorstore = pytest.importorskip("tensorstore")
    kvstore = {
        "driver": "s3",
        "bucket": bucket.name,
        "path": "runs/a.zarr/x/",
        "endpoint": bucket.endpoint,
        "aws_region": "us-east-1",
        "aws_credentials": {"type": "environment"},
    }
    array = tensorstore.open({"driver": "zarr3", "kvstore": kvstore}, read=True).result()
    assert np.array_equal(array.read().result(), gbm_paths().x)


@pytest.mark.parametrize("kind", KINDS)
def test_many_sizes_are_told_by_one_listing(kind, bucket):
    path, options = bucket.where(kind)
    place = location_of(path, **options)
    keys = [f"x/c/{i}/0" for i in range(20)]
    for i, key in enumerate(keys[:-1]):
        place.put(key, [b"a" * i, np.zeros(1)])
    assert place.sizes(keys) == {key: i + 8 for i, key in enumerate(keys[:-1])}
    assert place.sizes(keys[-3:]) == {keys[-3]: 25, keys[-2]: 26}
    # What others change is seen at once, also where fsspec remembers listings.
    location_of(path, **options).delete(keys[0])
    location_of(path, **options).put(keys[1], [b"bbb"])
    assert place.size(keys[0]) is None
    assert place.size(keys[1]) == 3
    assert keys[0] not in place.sizes(keys)
    place.delete("nothing/there")


def test_zip_is_read_and_not_written(tmp_path):
    whole = MemoryStore()
    mz.write(gbm_paths(n_paths=1000), whole)
    with ZipStore(tmp_path / "a.zip", mode="w") as packed:
        for key, data in content_of(whole).items():
            RemoteLocation(packed).put(key, [data])
    with ZipStore(tmp_path / "a.zip", mode="r") as packed:
        assert mz.open(packed).identical(mz.open(whole))
        with pytest.raises(mz.StoreError, match="written, listed and deleted"):
            mz.write(gbm_paths(n_paths=1000), packed)


def test_directories_by_other_names_are_directories(tmp_path):
    url = (tmp_path / "a.zarr").as_uri()
    assert isinstance(location_of(url), LocalLocation)
    mz.write(gbm_paths(n_paths=1000), url)
    with LocalStore(tmp_path / "a.zarr") as store:
        assert isinstance(location_of(store), LocalLocation)
        assert mz.open(store).identical(mz.open(tmp_path / "a.zarr"))
    with LocalStore(tmp_path / "a.zarr", read_only=True) as store:
        assert mz.open(store).identical(mz.open(url))
        with pytest.raises(mz.StoreError, match="can be written"):
            mz.write(gbm_paths(n_paths=1000), store)


# What is said.


@pytest.mark.parametrize("kind", ["s3fs", "obstore"])
def test_no_secret_is_told_or_written(kind, bucket):
    path, options = bucket.where(kind)
    place = location_of(path, **options)
    assert SECRET not in str(place) + repr(place)
    assert bucket.name in str(place)
    assert SECRET not in str(RemoteLocation(FsspecStore.from_url(bucket.url(), bucket.options)))
    mz.write(gbm_paths(n_paths=1000), path, **options)
    assert not [key for key, data in bucket.content().items() if SECRET.encode() in data]
    with pytest.raises(mz.StoreMismatchError) as caught:
        mz.write(gbm_paths(n_paths=1001), path, **options)
    assert SECRET not in str(caught.value)


def test_urls_are_shown_without_users_and_tokens():
    place = location_of("memory://me:secret@host/a/b/?token=secret#secret")
    assert "secret" not in str(place)
    assert redacted("https://me:secret@host:81/a/b/?token=secret#secret") == (
        "https://***@host:81/a/b/?***"
    )


def test_arguments_are_checked(monkeypatch):
    with pytest.raises(mz.ArgumentValueError, match="Protocol not known: nowhere"):
        mz.open("nowhere://a/b")
    with pytest.raises(mz.ArgumentTypeError, match=r"storage_options.*'str'") as caught:
        mz.open("s3://a/b", storage_options=SECRET)
    assert SECRET not in str(caught.value)
    with pytest.raises(mz.ArgumentValueError, match="storage_options"):
        mz.open(MemoryStore(), storage_options={})

    def absent(*arguments, **options):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(FsspecStore, "from_url", absent)
    with pytest.raises(mz.MissingDependencyError, match=r'pip install "montezarr\[s3\]"'):
        mz.open("s3://a/b")


# One writer.


@pytest.mark.parametrize("kind", KINDS)
def test_a_second_writer_is_refused(kind, bucket):
    path, options = bucket.where(kind)
    seen = []

    def second(*report):
        with pytest.raises(mz.StoreLockedError, match=f"process {os.getpid()} ") as caught:
            mz.write(gbm_paths(), path, **options)
        seen.append(str(caught.value))

    mz.write(gbm_paths(), path, on_progress=second, **options)
    assert seen
    assert all("Wait for it" in text and "delete" not in text for text in seen)
    assert LOCK not in content_of(path, options)


def race_for(path, options):
    """Let eight threads take the lock of a store at once; return who got it, and the refusals."""
    got, refused = [], []
    barrier, done = threading.Barrier(8), threading.Barrier(8)

    def race():
        lock = location_of(path, **options).lock()
        barrier.wait()
        try:
            with lock:
                got.append(lock)
                done.wait()
        except mz.StoreLockedError as error:
            refused.append(error)
            done.wait()

    threads = [threading.Thread(target=race) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return got, refused


@pytest.mark.parametrize("kind", KINDS)
def test_of_many_who_race_one_gets_it(kind, bucket):
    path, options = bucket.where(kind)
    got, refused = race_for(path, options)
    assert (len(got), len(refused)) == (1, 7)
    assert content_of(path, options) == {}


def owner(**changes):
    return json.dumps(this_owner() | {"nonce": "of another"} | changes).encode()


@pytest.mark.parametrize(
    "changes",
    [{"boot": "another"}, {"start": "1"}, {"pid": 2**22 + 1}, {}],
    ids=["another boot", "another start", "no process", "left behind by this process"],
)
def test_the_lock_of_a_dead_owner_is_taken_over(changes):
    store = MemoryStore()
    location_of(store).put(LOCK, [owner(**changes)])
    mz.write(gbm_paths(n_paths=1000), store)
    assert LOCK not in content_of(store)


@pytest.mark.parametrize("kind", KINDS)
def test_of_many_who_take_over_one_gets_it(kind, bucket, monkeypatch):
    monkeypatch.setattr(
        _remote_lock, "LOCK_SETTLE_SECONDS", 2.5
    )  # so long that a busy machine keeps the rule
    path, options = bucket.where(kind)
    location_of(path, **options).put(LOCK, [owner(start="1")])
    got, refused = race_for(path, options)
    assert len(got) <= 1
    assert len(got) + len(refused) == 8


@pytest.mark.parametrize(
    "record",
    [owner(host="elsewhere"), owner(machine="x", boot="x"), owner(processes="x"), b"{", b"[1]"],
    ids=["host", "machine of the same name", "container", "damaged", "no record"],
)
def test_the_lock_of_whom_nothing_is_known_stays(record):
    store = MemoryStore()
    location_of(store).put(LOCK, [record])
    with pytest.raises(mz.StoreLockedError, match="delete the object montezarr/lock"):
        mz.write(gbm_paths(n_paths=1000), store)
    assert content_of(store) == {LOCK: record}
    location_of(store).delete(LOCK)
    mz.write(gbm_paths(n_paths=1000), store)


def test_a_store_without_conditions_is_read_again():
    class Raced(WrapperStore):
        async def set_if_not_exists(self, key, value):
            await self.set(key, value)
            await self.set(key, default_buffer_prototype().buffer.from_bytes(owner(host="other")))

    store = MemoryStore()
    with pytest.raises(mz.StoreLockedError, match="'other'"):
        mz.write(gbm_paths(n_paths=1000), Raced(store))
    assert content_of(store) == {LOCK: owner(host="other")}


def test_a_server_without_conditions_is_found_out(bucket, monkeypatch):
    import s3fs

    pipe = s3fs.S3FileSystem._pipe_file

    async def careless(self, path, data, mode="overwrite", **options):
        return await pipe(self, path, data, **options)

    monkeypatch.setattr(s3fs.S3FileSystem, "_pipe_file", careless)
    objects = location_of(bucket.url(), bucket.options)._objects
    assert objects.create("a", b"1") is False
    monkeypatch.undo()
    assert objects.create("b", b"1") is True


def test_a_lock_that_was_taken_away_is_told_and_that_of_the_other_left():
    store = MemoryStore()
    with pytest.warns(mz.MontezarrWarning, match="taken away"), location_of(store).lock():
        location_of(store).put(LOCK, [owner(host="other")])
    assert content_of(store) == {LOCK: owner(host="other")}


# What a failure leaves.


class Failing(MemoryStore):
    """A store of which one change fails, or, as for one who is killed, all from that one on."""

    def __init__(self, objects, at, *, done=False, killed=False):
        super().__init__(objects)
        self.at, self.done, self.killed, self.count = at, done, killed, 0

    def with_read_only(self, read_only=False):
        return MemoryStore(self._store_dict, read_only=read_only)

    async def change(self, change, *arguments):
        self.count += 1
        fails = self.count == self.at or (self.killed and self.count > self.at)
        if fails and not (self.done and self.count == self.at):
            raise RuntimeError("no answer")
        await change(*arguments)
        if fails:
            raise RuntimeError("no answer, but it is done")

    async def set(self, key, value, byte_range=None):
        await self.change(super().set, key, value)

    async def set_if_not_exists(self, key, value):
        await self.change(super().set_if_not_exists, key, value)

    async def delete(self, key):
        await self.change(super().delete, key)

    @property
    def failed(self):
        return self.count >= self.at


def all_bytes(objects):
    return {key: data.to_bytes() for key, data in objects.items()}


@pytest.mark.parametrize("killed", [False, True], ids=["one request fails", "killed"])
@pytest.mark.parametrize("done", [False, True], ids=["not done", "done, unheard"])
def test_wherever_it_fails_nothing_committed_is_lost_and_the_end_is_the_same(done, killed, drawn):
    ds = gbm_paths(n_paths=2100, T=2)
    whole = {}
    with mz.backend("synchronous"):
        mz.write(ds, MemoryStore(whole), statistics=["mean"])
        for at in range(1, 200):
            objects, told = {}, [0]
            store = Failing(objects, at, done=done, killed=killed)
            try:
                mz.write(ds, store, statistics=["mean"], on_progress=lambda n, *_: told.append(n))
            except mz.StoreError:
                assert store.failed
            if not store.failed:
                break
            ledger = CommitState.read(RemoteLocation(MemoryStore(objects)))
            there = [] if ledger is None else [i for i in range(3) if ledger.is_done(i)]
            assert (0 if ledger is None else ledger.committed) >= max(told)
            drawn.clear()
            # The second attempt fails too, somewhere.
            again = Failing(objects, 1 + at % 7, done=done, killed=killed)
            try:
                mz.write(ds, again, statistics=["mean"])
            except mz.StoreError:
                assert again.failed
            mz.write(ds, MemoryStore(objects), statistics=["mean"])
            assert not set(drawn) & set(there)
            assert all_bytes(objects) == all_bytes(whole), at
        else:
            pytest.fail("it never came to its end")
    assert at > 20


def change(chosen, place, before):
    """Change a log at random; return what it is to be, and what it may be if that fails."""
    objects = place.store._store_dict
    base = objects["log"].to_bytes() if "log" in objects else None
    data = chosen.choice([b"a\n", b"b\n", b"a\nb\n", before or b"c\n", base or b"c\n"])
    if chosen.random() < 0.6:
        after = (before or b"") + data
        return after, {before, after}, lambda: place.append("log", data)
    states = {before, data}
    if base == data:  # the parts go one by one, the last one first
        mine = f"log.parts/{_remote._digest(base)}."
        parts = [objects[key].to_bytes() for key in sorted(objects) if key.startswith(mine)]
        states |= {base + b"".join(parts[:i]) for i in range(len(parts))}
    return data, states, lambda: place.put_log("log", data)


@pytest.mark.parametrize("seed", range(100))
def test_a_log_is_as_before_a_change_or_as_after_it(seed, monkeypatch):
    monkeypatch.setattr(_remote, "LOG_OBJECTS_MAX", 3)
    chosen = random.Random(seed)
    objects, before, failures = {}, None, 0
    while failures < 10:
        kind = {"done": chosen.random() < 0.5, "killed": chosen.random() < 0.5}
        place = RemoteLocation(Failing(objects, chosen.randint(1, 12), **kind))
        place._is_locked = chosen.random() < 0.5
        while not place.store.failed:
            after, states, act = change(chosen, place, before)
            try:
                act()
                states = {after}
            except OSError:
                assert place.store.failed
                failures += 1
            found = RemoteLocation(MemoryStore(objects)).read_log("log")
            assert found in states
            before = found
        if len(before or b"") > 40:
            RemoteLocation(MemoryStore(objects)).put_log("log", b"a\n")
            before = b"a\n"


def test_a_part_that_comes_late_says_nothing():
    objects = {}
    place = RemoteLocation(MemoryStore(objects))
    place.put_log("log", b"one\n")
    place.append("log", b"outdated\n")
    (late,) = [key for key in objects if ".parts/" in key]
    part = objects[late]
    place.put_log("log", b"new\n")
    objects[late] = part
    assert place.read_log("log") == b"new\n"
    # Nor when the log comes to be what it once was.
    place.put_log("log", b"one\n")
    assert place.read_log("log") == b"one\n"
    objects[late.replace("0001", "0007")] = part
    place.put_log("log", b"new\n")
    assert set(objects) == {"log"}


def test_a_log_that_is_written_anew_while_it_is_read():
    class Racing(MemoryStore):
        race = None

        async def get(self, key, prototype=None, byte_range=None):
            if ".parts/" in key and self.race is not None:
                race, self.race = self.race, None
                self._store_dict.update(race)
                del self._store_dict[key]
            return await super().get(key, prototype, byte_range)

    objects = {}
    place = RemoteLocation(Racing(objects))
    place.put_log("log", b"one\n")
    place.append("log", b"two\n")
    buffer = default_buffer_prototype().buffer.from_bytes(b"one\ntwo\nthree\n")
    place.store.race = {"log": buffer}
    assert place.read_log("log") == b"one\ntwo\nthree\n"


def test_many_parts_become_one_object(monkeypatch):
    monkeypatch.setattr(_remote, "LOG_OBJECTS_MAX", 5)
    objects, most = {}, 0
    place = RemoteLocation(MemoryStore(objects))
    for i in range(40):
        place.append("log", b"%d\n" % i)
        most = max(most, len(objects))
        assert RemoteLocation(MemoryStore(objects)).read_log("log") == place.read_log("log")
    assert place.read_log("log") == b"".join(b"%d\n" % i for i in range(40))
    assert most == 6


def test_an_error_of_a_store_is_a_store_error_with_its_name(endpoint, bucket):
    options = bucket.options | {"endpoint_url": "http://127.0.0.1:1"}
    options["config_kwargs"] = {"retries": {"max_attempts": 0}, "connect_timeout": 1}
    with pytest.raises(OSError, match=r"127\.0\.0\.1:1"):
        mz.open(bucket.url(), storage_options=options)
    with pytest.raises(mz.StoreError, match="no answer"):
        RemoteLocation(Failing({}, 1)).put("a", [b""])


def test_a_plain_zarr_group_of_others_is_left():
    store = MemoryStore()
    zarr.create_group(store)
    before = content_of(store)
    with pytest.raises(mz.StoreExistsError, match="another Zarr group"):
        mz.write(gbm_paths(), store)
    assert content_of(store) == before
