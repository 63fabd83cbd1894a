"""What comes late, or finds its store taken over, changes nothing in a store of objects either."""

import pickle

import buckets
import pytest
from buckets import content_of
from stores import at_chunk
from zarr.storage import MemoryStore

import montezarr as mz
from montezarr.store import _task, _writer
from montezarr.store._where import location_of
from montezarr.store.locations import _remote_lock
from montezarr.store.locations._location import LOCK

endpoint, bucket = buckets.endpoint, buckets.bucket

N, CHUNK = 3000, 1024  # the last chunk is no whole one
GBM = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
FAST = ["obstore", "memory", "without conditions"]
KINDS = [
    *FAST[:2],
    *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("s3fs", "without conditions")),
]
ENDED = "moved, removed or taken over"


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(_remote_lock, "LOCK_SETTLE_SECONDS", 0.02)
    with mz.backend("synchronous"):
        yield


@pytest.fixture
def where(bucket):
    """Return, by a kind, the first argument of write, and the others."""

    def found(kind):
        if kind == "without conditions":
            return bucket.obstore(conditional_put="disabled"), {}
        return bucket.where(kind)

    return found


def paths(n=N, seed=1, process=GBM, x0=100.0):
    return mz.simulate(process, n_paths=n, T=5, x0=x0, dt=0.1, seed=seed, chunks=CHUNK)


def fresh(ds, **options):
    store = MemoryStore()
    mz.write(ds, store, **options)
    return content_of(store)


def on_worker(task, kind):
    """Return a task as a worker has it; memory has none but threads."""
    return task if kind == "memory" else pickle.loads(pickle.dumps(task))


class Died(Exception):
    pass


def late_task(monkeypatch, kind, begin):
    """Have a writer die before its last chunk; return that task, as a worker has it."""
    late = []

    def keep(task, item):
        late.append((on_worker(task, kind), item))
        raise Died

    at_chunk(monkeypatch, 2, keep)
    with pytest.raises(Died):
        begin()
    monkeypatch.setattr(_writer, "ChunkTask", _task.ChunkTask)
    return late[0]


WRITTEN = {
    "paths": {},
    "integers": {"ds": lambda n: paths(n, process=mz.RandomWalk(), x0=0)},
    "statistics": {"statistics": "mean"},
    "shards": {"storage": mz.Storage(inner_chunk=1024)},
    "gzip": {"storage": mz.Storage(compression="gzip")},
}


@pytest.mark.parametrize(
    ("kind", "written"),
    [*((kind, "statistics") for kind in FAST), *(("memory", name) for name in WRITTEN)]
    + [pytest.param("s3fs", name, marks=pytest.mark.slow) for name in WRITTEN],
)
def test_a_task_that_outlives_its_writer_changes_nothing(where, monkeypatch, kind, written):
    path, options = where(kind)
    of = dict(WRITTEN[written])
    ds = of.pop("ds", paths)
    task, item = late_task(
        monkeypatch, kind, lambda: mz.write(ds(N), path, on_progress=None, **of, **options)
    )
    mz.write(ds(N), path, **of, **options)
    mz.extend(path, 4000, **options)
    before = content_of(path, options)
    with pytest.raises(mz.StoreError, match=ENDED):
        task(item)
    # Also where it had looked at the lock before.
    with monkeypatch.context() as patch:
        fence, calls = type(task.location._fence), []
        check = fence.check
        patch.setattr(fence, "check", lambda self: check(self) if calls else calls.append(1))
        with pytest.raises(mz.StoreError, match=ENDED):
            task(item)
    assert content_of(path, options) == before
    assert before == fresh(ds(4000), **of)


def test_what_it_looked_at_before_is_not_what_it_replaces(where, monkeypatch):
    """The late task is that of an `extend`, to replace a committed chunk, which has grown since."""
    path, options = where("obstore")
    mz.write(paths(), path, **options)
    task, item = late_task(monkeypatch, "obstore", lambda: mz.extend(path, N + 10, **options))
    exchange = type(task.location._objects).exchange
    raced = []

    def overtaken(self, key, data, over, is_sure):
        if over is not None and not raced:  # it has looked at the chunk, and at the lock
            raced.append(key)
            location_of(path, **options).delete(LOCK)
            mz.extend(path, 4000, **options)
        return exchange(self, key, data, over, is_sure)

    location_of(path, **options).put(
        LOCK, [task.location._fence.told()[0]]
    )  # as one who is dead has it
    monkeypatch.setattr(type(task.location._objects), "exchange", overtaken)
    with pytest.raises(mz.StoreError, match=ENDED):
        task(item)
    assert raced == ["x/c/2/0"]
    assert content_of(path, options) == fresh(paths(4000))


@pytest.mark.parametrize("kind", KINDS)
def test_of_a_session_that_goes_on_what_was_left_is_replaced(where, kind):
    path, options = where(kind)
    mz.write(paths(n=2048), path, **options)
    location_of(path, **options).put("x/c/2/0", [b"of one who died before the commit"])
    mz.extend(path, N, **options)
    assert content_of(path, options) == fresh(paths())


@pytest.mark.parametrize("kind", KINDS)
def test_a_writer_whose_lock_was_deleted_ends_and_says_so(where, monkeypatch, kind):
    path, options = where(kind)

    def overtake(task, item):
        location_of(path, **options).delete(LOCK)
        mz.write(paths(), path, **options)

    at_chunk(monkeypatch, 1, overtake)
    with pytest.raises(mz.StoreError, match=ENDED):
        mz.write(paths(), path, **options)
    assert content_of(path, options) == fresh(paths())


@pytest.mark.parametrize("kind", KINDS)
def test_a_store_that_is_replaced_stays_what_it_is(where, monkeypatch, kind):
    path, options = where(kind)

    def replace(task, item):
        remove(path, options)
        mz.write(paths(seed=2), path, **options)

    at_chunk(monkeypatch, 1, replace)
    with pytest.raises(mz.StoreError, match=ENDED):
        mz.write(paths(), path, **options)
    assert content_of(path, options) == fresh(paths(seed=2))


@pytest.mark.parametrize("kind", ["obstore", "memory"])
def test_a_store_that_is_removed_does_not_come_back(where, monkeypatch, kind):
    path, options = where(kind)
    at_chunk(monkeypatch, 1, lambda task, item: remove(path, options))
    with pytest.raises(mz.StoreError, match=ENDED):
        mz.write(paths(), path, **options)
    assert content_of(path, options) == {}


def test_two_drivers_do_not_write_the_same_part_of_a_journal(where):
    path, _ = where("memory")
    places = [location_of(path) for _ in range(2)]
    with places[0].lock():
        places[0].append("log", b"one\n")
        places[1]._begin(places[0]._fence.told()[0], True)  # as if both held the lock
        places[1].append("log", b"two\n")
        with pytest.raises(mz.StoreError, match=ENDED):
            places[0].append("log", b"three\n")
        assert location_of(path).read_log("log") == b"one\ntwo\n"


def remove(path, options):
    place = location_of(path, **options)
    for key in list(place.objects()):
        place.delete(key)
