"""Sessions of Ray that end, are full or do not start, and workers that die in them: named errors.

Most of it without Ray, by a module that does as Ray does where it counts.
"""

import json
import os
import subprocess
import sys
import threading
import types
from concurrent.futures import Future, ThreadPoolExecutor

import backend_samplers as samplers
import pytest
from patience import PATIENCE

import montezarr as mz
from montezarr.execute import _ray_session

N, T = 3000, 6


class RayError(Exception):
    pass


ERRORS = {
    name: type(name, (RayError,), {})
    for name in (
        "WorkerCrashedError", "OutOfMemoryError", "NodeDiedError", "ObjectStoreFullError",
        "OutOfDiskError", "LocalRayletDiedError", "OwnerDiedError",
    )
}  # fmt: skip


class Reference:
    def __init__(self, future):
        self._future = future

    def future(self):
        return self._future


class FakeRay:
    """Runs tasks on threads; `behave(number)` may raise in the place of one, or return "never"."""

    exceptions = types.SimpleNamespace(RayError=RayError, **ERRORS)

    def __init__(self):
        self.session, self.started, self.ended = 0, 0, 0
        self.tasks, self.full, self.behave = 0, False, lambda number: None
        self.hook = types.SimpleNamespace(enable_auto_connect=True)
        self.refusal, self.is_alive = None, True
        self.pool = ThreadPoolExecutor(2)

    def init(self, **options):
        if self.refusal is not None:
            raise self.refusal
        self.started += 1
        self.session = self.started

    def shutdown(self):
        self.ended += 1
        self.session = 0

    def is_initialized(self):
        return self.session > 0

    def get_runtime_context(self):
        return types.SimpleNamespace(
            get_node_id=lambda: f"node {self.session}", get_job_id=lambda: "01000000"
        )

    def nodes(self):
        return [{"Alive": False}, {"Alive": self.is_alive}]

    def _reach(self):
        if not self.session:
            if not self.hook.enable_auto_connect:
                raise RayError("Ray has not been started yet.")
            self.init()  # as Ray does

    def put(self, value):
        self._reach()
        if self.full:
            raise ERRORS["ObjectStoreFullError"]("no room for 8 bytes")
        return value

    def cancel(self, reference, force):
        self._reach()

    def remote(self, **options):
        self._reach()
        return lambda function: types.SimpleNamespace(
            remote=lambda *args: self._start(function, args)
        )

    def _start(self, function, args):
        self._reach()
        self.tasks += 1
        if self.behave(self.tasks) == "never":
            return Reference(Future())
        return Reference(self.pool.submit(self._run, self.tasks, function, args))

    def _run(self, number, function, args):
        kind = self.behave(number)
        if kind is not None:
            raise ERRORS[kind]("as it went")
        return function(*args)


@pytest.fixture
def ray(monkeypatch):
    fake = FakeRay()
    monkeypatch.setattr("montezarr.execute.ray.import_optional", lambda *_, **options: fake)
    monkeypatch.setattr("montezarr.execute._base.import_optional", lambda *_, **options: fake)
    monkeypatch.setitem(sys.modules, "ray", fake)
    monkeypatch.setitem(sys.modules, "ray._private.auto_init_hook", fake.hook)
    yield fake
    assert fake.hook.enable_auto_connect  # for whoever uses Ray beside us
    assert (_ray_session._users, _ray_session._own_session) == (0, None)
    fake.pool.shutdown()


def paths():
    return mz.simulate(samplers.Loop(), N, T, 1.0, seed=7, chunks=1024)


def own():
    return mz.backend("ray", 2, allow_network=True)


def expected():
    with mz.backend("synchronous"):
        return mz.reduce(paths(), "mean")


def test_a_worker_that_dies_once_changes_no_number(ray):
    wanted = expected()
    for kind in ("WorkerCrashedError", "OutOfMemoryError", "NodeDiedError"):
        ray.tasks = 0
        ray.behave = lambda number, kind=kind: kind if number == 2 else None
        with own():
            assert mz.reduce(paths(), "mean").identical(wanted)
    assert ray.started == ray.ended == 3


def test_a_task_out_of_memory_is_named_with_its_paths(ray, tmp_path):
    ray.behave = lambda number: None if number == 1 else "OutOfMemoryError"
    with own(), pytest.raises(mz.WorkerDied, match="killed by Ray, as the memory") as caught:
        mz.write(paths(), tmp_path / "a.zarr")
    assert caught.value.deaths == 3
    assert (caught.value.start, caught.value.stop) == (1024, 2048)
    assert mz.open(tmp_path / "a.zarr").sizes["path"] == 1024
    with mz.backend("synchronous"):
        assert mz.write(paths(), tmp_path / "a.zarr").sizes["path"] == N


@pytest.mark.parametrize("kind", ["LocalRayletDiedError", "OwnerDiedError"])
def test_a_session_that_cannot_go_on_is_named(kind, ray, tmp_path):
    ray.behave = lambda number: None if number == 1 else kind
    with own(), pytest.raises(mz.BackendError, match=f"got {kind}: as it went. Start Ray anew"):
        mz.write(paths(), tmp_path / "a.zarr")
    assert mz.open(tmp_path / "a.zarr").sizes["path"] == 1024


def test_a_session_that_is_shut_down_in_the_middle_is_named(ray, tmp_path):
    """Its tasks are never said to have ended, and Ray would start another by itself."""
    ray.init()

    def behave(number):
        if number == 2:
            ray.shutdown()
        return "never" if number > 1 else None

    ray.behave = behave
    with mz.backend("ray", 2), pytest.raises(mz.BackendError, match="was shut down") as caught:
        mz.write(paths(), tmp_path / "a.zarr")
    assert "enter the block of the backend again" in str(caught.value)
    assert ray.started == 1
    assert mz.open(tmp_path / "a.zarr").sizes["path"] == 1024


def test_a_session_without_a_machine_is_not_waited_for(ray, tmp_path, monkeypatch):
    monkeypatch.setattr("montezarr.execute.ray.RAY_SESSION_CHECK_SECONDS", 0.0)

    def behave(number):
        ray.is_alive = number < 2
        return "never" if number > 1 else None

    ray.behave = behave
    with own(), pytest.raises(mz.BackendError, match="no machine of it is alive"):
        mz.write(paths(), tmp_path / "a.zarr")
    assert mz.open(tmp_path / "a.zarr").sizes["path"] == 1024


def test_a_session_that_is_shut_down_between_two_runs_is_named(ray):
    wanted = expected()
    ray.init()
    with mz.backend("ray", 2):
        assert mz.reduce(paths(), "mean").identical(wanted)
        ray.shutdown()
        for _ in range(2):
            with pytest.raises(mz.BackendError, match="one that was shut down"):
                mz.reduce(paths(), "mean")
        ray.init()  # another one, which knows nothing of what the first had
        with pytest.raises(mz.BackendError, match="enter the block of the backend again"):
            mz.reduce(paths(), "mean")
    with mz.backend("ray", 2):
        assert mz.reduce(paths(), "mean").identical(wanted)
    assert ray.started == 2
    assert ray.is_initialized()  # it is not ours to end


def test_no_session_is_started_in_the_place_of_one_that_ends_before_the_block(ray):
    ray.init()
    place = mz.backend("ray", 2)
    ray.shutdown()
    with pytest.raises(mz.ArgumentValueError, match="allow_network"), place:
        pass
    ray.init()
    place.check_allowed()
    check, place.check_allowed = place.check_allowed, lambda: check() or ray.shutdown()
    with pytest.raises(mz.ArgumentValueError, match="allow_network"):
        place.make_pool()
    assert ray.started == 2


def test_a_full_object_store_is_named(ray, tmp_path):
    with own():
        mz.write(mz.simulate(samplers.Loop(), 1024, T, 1.0, seed=7), tmp_path / "a.zarr")
        ray.full = True
        with pytest.raises(mz.BackendError, match="no room for 8 bytes") as caught:
            mz.extend(tmp_path / "a.zarr", N, process=samplers.Loop())
    assert "object_store_memory" in str(caught.value)
    assert mz.open(tmp_path / "a.zarr").sizes["path"] == 1024
    for kind in ("ObjectStoreFullError", "OutOfDiskError"):  # what a task returns
        ray.full, ray.behave = False, lambda number, kind=kind: kind
        with own(), pytest.raises(mz.BackendError, match="expected room in the object store"):
            mz.reduce(paths(), "mean")


def test_a_session_that_does_not_start_is_named(ray):
    ray.refusal = Exception("The current node timed out during startup.")
    with pytest.raises(mz.BackendError, match="expected Ray to start, got Exception: The") as got:
        own().__enter__()
    assert "take the backend 'processes'" in str(got.value)
    assert ray.ended == 2  # what had begun, at both attempts


def test_threads_that_share_a_session_of_ours_end_it_with_the_last(ray):
    wanted, gate = expected(), threading.Barrier(4)

    def work(i):
        with own():
            gate.wait(PATIENCE)
            if i == 0:
                raise ZeroDivisionError
            first = mz.reduce(paths(), "mean")
            return first.identical(wanted)

    with ThreadPoolExecutor(4) as pool:
        found = [pool.submit(work, i) for i in range(4)]
    assert isinstance(found[0].exception(), ZeroDivisionError)
    assert [future.result() for future in found[1:]] == [True] * 3
    assert ray.started == ray.ended == 1


PROGRAM = """
import json, logging, os, sys, threading, time
import ray
import montezarr as mz
from montezarr.store._where import location_of
from montezarr.store.format import CommitState

folder = sys.argv[1]
options = dict(num_cpus=2, include_dashboard=False, log_to_driver=False,
               logging_level=logging.ERROR)


def slow(rng, T):
    time.sleep(0.002)
    return rng.standard_normal(T + 1)


ds = mz.simulate(slow, n_paths=20_000, T=6, seed=1, chunks=64)
path, found = os.path.join(folder, "a.zarr"), {}
for left in range(4, -1, -1):  # on a busy machine Ray does not always start within its 30 s
    try:
        ray.init(**options)
        break
    except Exception:
        ray.shutdown()
        if not left:
            raise
told = lambda done, *_: done > 100 and ray.is_initialized() and ray.shutdown()
with mz.backend("ray", 2):
    for name in "during", "after":
        try:
            mz.write(ds, path, on_progress=told)
        except mz.BackendError as error:
            found[name] = str(error)
found["started"] = ray.is_initialized()
found["paths"] = CommitState.read(location_of(path)).committed  # the first chunk may be missing
print(json.dumps(found), flush=True)
os._exit(0)
"""


def test_a_ray_session_that_is_shut_down_by_its_user_is_named(tmp_path):
    pytest.importorskip("ray")
    script = tmp_path / "script.py"
    script.write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )  # fmt: skip
    found = json.loads(done.stdout.splitlines()[-1])
    for name in ("during", "after"):
        assert "expected the session of Ray to be there" in found[name]
    assert not found["started"], "nobody asked for another session, which listens on the network"
    assert found["paths"] > 100


def test_what_is_private_of_ray_is_there():
    pytest.importorskip("ray")
    from importlib import import_module

    hook = import_module("ray._private.auto_init_hook")
    before = hook.enable_auto_connect
    with _ray_session.no_session_unasked():
        assert hook.enable_auto_connect is False
        with _ray_session.no_session_unasked():
            pass
        assert hook.enable_auto_connect is False
    assert hook.enable_auto_connect is before
