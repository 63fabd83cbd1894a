"""Every backend, every kind of sampler, any batches, 1 and 2 workers: one digest of the paths."""

import hashlib
import os
import socket
import subprocess
import sys
import warnings

import backend_samplers as samplers
import dask
import joblib.pool  # noqa: F401  # which makes semaphores once, when it is imported
import numpy as np
import psutil
import pytest
from leaks import check_nothing_left, snapshot
from patience import PATIENCE

import montezarr as mz
from montezarr.execute import BACKENDS, backend, cores, windowed
from montezarr.execute._base import ProcessBackend

N, T = 2500, 20
KINDS = {
    "sample": mz.GeometricBrownianMotion(mu=0.05, sigma=0.2),
    "sample_paths": samplers.Batch(),
    "sample_path": samplers.Loop(),
    "function": samplers.function,
    "legacy": samplers.Legacy(),
}
BATCHES = (300, 1024, None)
PROCESSES = [name for name, kind in BACKENDS.items() if issubclass(kind, ProcessBackend)]


def draw(kind, place, batch_size=None, **options):
    labels = ["up", "down"] if kind == "function" else None
    x0 = None if kind == "function" else 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mz.MontezarrWarning)  # that legacy code is legacy
        return mz.MonteCarloEngine(KINDS[kind]).simulate(
            N, T, x0, parallel=True, backend=place, seed=7, batch_size=batch_size, labels=labels,
            **options,
        )  # fmt: skip


def digest(result):
    return hashlib.sha256(np.ascontiguousarray(result.dataset.x.values).tobytes()).hexdigest()


@pytest.fixture(scope="module")
def expected():
    return {kind: digest(draw(kind, "synchronous")) for kind in KINDS}


@pytest.mark.parametrize("kind", [k for k in BACKENDS.values() if not k.ends_tasks])
def test_a_backend_that_cannot_end_a_task_refuses_a_timeout(kind):
    with pytest.raises(mz.ArgumentValueError, match=r"timeout: .*cannot end a task, got 3\.0"):
        kind(1, timeout=3.0)


def test_a_backend_of_ones_own_refuses_a_timeout_unless_it_ends_tasks():
    class Own(mz.Backend):
        name = "own"

        def make_executor(self):
            raise AssertionError

    with pytest.raises(mz.ArgumentValueError, match=r"timeout: .*'own' cannot end a task"):
        Own(1, timeout=3.0)
    Own.ends_tasks = True
    assert Own(1, timeout=3.0).timeout == 3.0


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("name", BACKENDS)
def test_one_digest_on_every_backend_and_nothing_is_left(name, workers, expected):
    before = snapshot()
    with mz.backend(name, workers) as place:
        assert place.workers == (1 if place.runs_at_once else workers)
        for kind in KINDS:
            if kind == "legacy" and place.has_threads:
                with pytest.raises(mz.ArgumentValueError, match="Threads share that state"):
                    draw(kind, place)
                continue
            for size in BATCHES:
                assert digest(draw(kind, place, size)) == expected[kind], (kind, size)
    check_nothing_left(before)


@pytest.mark.parametrize("name", BACKENDS)
def test_lazy_collections_run_where_the_block_says(name):
    ds = mz.simulate(samplers.Loop(), 3000, T, 1.0, seed=7, chunks=1024)
    wanted = ds.x.compute(scheduler="synchronous")
    before, config = snapshot(), dict(dask.config.config)
    with mz.backend(name, 2):
        assert np.array_equal(ds.x.compute(), wanted)
        pids = ds.x.copy(data=ds.x.data.map_blocks(_pids, dtype=np.int64)).compute()
    assert dict(dask.config.config) == config
    in_other_processes = os.getpid() not in np.unique(pids)
    assert in_other_processes == BACKENDS[name].in_processes
    check_nothing_left(before)


def _pids(block):
    return np.full(block.shape, os.getpid(), np.int64)


@pytest.mark.parametrize("name", ["processes", "dask"])
def test_write_runs_where_the_block_says(name, tmp_path):
    ds = mz.simulate(samplers.Loop(), 3000, T, 1.0, seed=7, chunks=1024)
    with mz.backend(name, 2):
        stored = mz.write(ds, tmp_path / "a.zarr")
        assert mz.plan(ds).backend.startswith(f"{name} (asked for")
    assert np.array_equal(stored.x, ds.x.compute(scheduler="synchronous"))


def test_blocks_nest_and_give_back_what_was_before():
    ds = mz.simulate(samplers.Loop(), 2000, T, 1.0, seed=7)
    with mz.backend("synchronous"):
        with mz.backend("threads", 2):
            assert mz.plan(ds).backend.startswith("threads")
        assert mz.plan(ds).backend.startswith("synchronous")
    assert dask.config.get("scheduler", None) is None


def test_a_backend_is_used_again_after_its_end():
    place = mz.backend("processes", 1)
    first = digest(draw("sample_path", place))
    assert first == digest(draw("sample_path", place))
    with pytest.raises(RuntimeError, match="with block"):
        _ = place.executor


def test_a_script_needs_no_main_guard(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import montezarr as mz, numpy as np, os\n"
        "print('script', os.getpid())\n"
        "factor = 2.0\n"
        "def path(rng, T):\n"
        "    return factor * rng.standard_normal(T + 1)\n"
        "engine = mz.MonteCarloEngine(path)\n"
        "for name in ('processes', 'multiprocessing', 'joblib'):\n"
        "    r = engine.simulate(3000, 5, parallel=True, backend=name, n_jobs=2, seed=1)\n"
        "    print(r.dataset.x.values.sum())\n"
    )
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=True, timeout=PATIENCE
    )
    lines = done.stdout.splitlines()
    assert done.stderr == ""
    assert lines[0].startswith("script")
    assert len(lines) == 4
    assert len(set(lines[1:])) == 1


@pytest.mark.parametrize("name", PROCESSES)
def test_workers_use_one_thread_each(name, monkeypatch):
    for variable in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
        monkeypatch.delenv(variable, raising=False)
    engine = mz.MonteCarloEngine(samplers.blas_threads)
    # The first path is tried here, in a process that has the environment of the user.
    result = engine.simulate(50, parallel=True, backend=name, n_jobs=2, seed=1, batch_size=5)
    assert (result.dataset.x.values == 1).all()
    assert "OMP_NUM_THREADS" not in os.environ


@pytest.mark.parametrize("name", [n for n, kind in BACKENDS.items() if kind.in_processes])
def test_a_sampler_of_50_mb_is_shipped_once_per_worker(name, tmp_path, capsys):
    big = samplers.Big(tmp_path, 50)
    ds = mz.simulate(big, 20_000, T, seed=1, chunks=1024)
    with mz.backend(name, 2) as place:
        engine = mz.MonteCarloEngine(big)
        for file in tmp_path.iterdir():
            file.unlink()
        engine.simulate(4000, T, parallel=True, backend=place, seed=1, batch_size=100)
        tasks, times = 40, len(list(tmp_path.iterdir()))
        # Dask's scheduler looks into the graph once, and its two workers into the task.
        assert times <= (4 if name == "dask" else 2)
        if name != "dask":
            from montezarr.run import Run
            from montezarr.samplers.task import RangeTask

            task = RangeTask(Run.behind(engine.dataset).sampler)
            payload, shared, _ = place.executor._shelf.dumps((task, ((0, 100, None),), {}))
            with capsys.disabled():
                print(f"\n{name}: {len(payload)} bytes per task, {times} loads for {tasks} tasks")
            assert len(payload) < 2000
            assert len(shared) == 1
        for file in tmp_path.iterdir():
            file.unlink()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sending large graph")  # what Dask says of 50 MB
            ds.x.isel(time=-1).mean().compute()
        assert len(list(tmp_path.iterdir())) <= (6 if name == "dask" else 3)


class Locked:
    def __init__(self):
        import threading

        self.lock = threading.Lock()

    def __reduce__(self):
        raise TypeError("it holds a lock")

    def sample_path(self, T, x0, rng):
        return rng.standard_normal(T + 1)


def test_what_cannot_be_pickled_is_refused_before_anything_starts():
    before = snapshot()
    with pytest.raises(TypeError, match=r"it holds a lock|can be pickled"):
        mz.MonteCarloEngine(Locked()).simulate(100, 5, parallel=True, backend="processes", seed=1)

    def path(rng, generator=(k for k in range(3))):
        return rng.standard_normal(3)

    with pytest.raises(TypeError, match="pickle"):
        mz.MonteCarloEngine(path).simulate(100, parallel=True, backend="processes", seed=1)
    with mz.backend("processes", 1) as place:
        with pytest.raises(mz.ArgumentTypeError, match="cannot pickle 'generator'"):
            place.executor.submit(next, (k for k in range(3)))
        assert place.executor.submit(abs, -1).result() == 1
    check_nothing_left(before)


def test_what_a_task_raises_comes_back_with_the_traceback_of_the_worker():
    with mz.backend("processes", 1) as place:
        error = place.executor.submit(divmod, 1, 0).exception()
        assert isinstance(error, ZeroDivisionError)
        assert "in a worker process" in error.__notes__[0]
        error = place.executor.submit(sys.exit, 3).exception()
        assert isinstance(error, SystemExit)
        error = place.executor.submit(_raise_odd).exception()
        assert isinstance(error, RuntimeError)
        assert "Odd, which cannot be pickled" in str(error)
        assert place.executor.submit(abs, -1).result() == 1


class Odd(Exception):
    def __init__(self, one, two):
        super().__init__("odd")


def _raise_odd():
    raise Odd(1, 2)


def test_while_dask_runs_all_listeners_are_on_the_loopback(capsys):
    with mz.backend("dask", 2) as place:
        assert place.executor.submit(abs, -1).result() == 1
        tree = [psutil.Process(), *psutil.Process().children(recursive=True)]
        listening = {
            connection.laddr.ip
            for process in tree
            for connection in process.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        }
        assert listening == {"127.0.0.1"}
        import urllib.request

        link = capsys.readouterr().err.split()[-1]
        assert link.startswith("http://127.0.0.1:")
        page = urllib.request.urlopen(link, timeout=PATIENCE).read().decode()
        assert "Dask" in page


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # of distributed's own
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_port_that_is_taken_in_the_last_moment_is_no_warning(monkeypatch):
    from montezarr.execute import _cluster as module

    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        monkeypatch.setattr(module, "_free_port", lambda wanted: port)
        with mz.backend("dask", 1) as place:
            assert place.executor.submit(abs, -1).result() == 1


def test_an_active_client_comes_before_any_other_backend():
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, dashboard_address="127.0.0.1:0",
        ) as cluster,
        Client(cluster) as client,
    ):  # fmt: skip
        ds = mz.simulate(samplers.Loop(), 2000, T, 1.0, seed=7)
        plan = mz.plan(ds)
        assert plan.workers == 2
        assert plan.backend.startswith(f"dask (active Client at {client.scheduler.address}")
        assert draw("sample_path", "auto").metadata["backend"] == "dask"
        assert mz.backend("auto").name == "dask"
        assert mz.backend(client).client is None
        with mz.backend(client) as place:
            assert place.client is client
        assert client.status == "running"


def test_names_aliases_and_refusals():
    assert mz.backend("stdlib").name == "processes"
    assert mz.backend("loky").name == "joblib"
    assert mz.backend("processes", -1).workers == cores()
    assert mz.backend("processes", -100).workers == 1
    for name, options, error, text in (
        ("proceses", {}, ValueError, "backend: expected one of 'auto', 'synchronous'"),
        (3, {}, TypeError, "backend"),
        ("treads", {}, ValueError, r"Did you mean 'threads'\?"),
        ("tcp://127.0.0.1:1x", {}, ValueError, "backend: expected the address of a scheduler"),
        ("tcp://", {}, ValueError, "backend: expected the address of a scheduler"),
        ("http://10.0.0.1:8786", {}, ValueError, "unknown address scheme"),
        ("processes", {"n_jobs": 0}, ValueError, "n_jobs"),
        ("processes", {"n_jobs": 1.5}, TypeError, "n_jobs"),
        ("processes", {"timeout": 0}, ValueError, "timeout"),
        ("processes", {"retries": -1}, ValueError, "retries"),
        ("processes", {"speed": 1}, TypeError, "speed"),
        ("threads", {"timeout": 1}, ValueError, "cannot end a task"),
        ("dask", {"timeout": 1}, ValueError, "cannot end a task"),
        ("dask", {"address": 5}, TypeError, "address"),
        ("dask", {"client": 5}, TypeError, "client"),
    ):
        with pytest.raises(error, match=text) as caught:
            mz.backend(name, **options)
        assert isinstance(caught.value, mz.MontezarrError)


@pytest.mark.parametrize(
    ("name", "package"), [("joblib", "joblib"), ("joblib-threading", "joblib"), ("ray", "ray")]
)
def test_a_backend_without_its_package_says_how_to_install_it(name, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf'pip install "montezarr\[{package}\]"'):
        mz.backend(name)
    assert digest(draw("sample_path", "processes")) == digest(draw("sample_path", "synchronous"))


def test_ray_stays_behind_the_executor_and_leaves_dask_alone():
    code = (
        "import dask, sys, montezarr as mz\n"
        "persist = dask.persist\n"
        "with mz.backend('ray', 1, allow_network=True) as place:\n"
        "    assert place.executor.submit(abs, -1).result() == 1\n"
        "assert dask.persist is persist\n"
        "assert not [m for m in sys.modules if m.startswith('ray.util.dask')]\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=PATIENCE)


def test_windowed_keeps_few_tasks_in_flight_and_order_if_asked():
    started = []

    def items():
        for k in range(50):
            started.append(k)
            yield k

    with backend("threads", 2).running() as place:
        results = windowed(place, _square, items(), lambda k: (k, k + 1), ordered=True)
        assert next(results) == (0, 0)
        assert len(started) <= 3 * 2 + 2
        assert [value for _, value in results] == [k * k for k in range(1, 50)]


def _square(k):
    return k * k


def test_a_worker_imports_neither_dask_nor_xarray_nor_zarr():
    engine = mz.MonteCarloEngine(samplers.Loop())
    with mz.backend("processes", 1) as place:
        engine.simulate(100, T, 1.0, parallel=True, backend=place, seed=1)
        for heavy in ("dask", "xarray", "zarr", "numba", "pandas"):
            assert not place.executor.submit(samplers.is_loaded, heavy).result(), heavy


def test_as_many_workers_as_the_process_may_use():
    code = (
        "import os; os.sched_setaffinity(0, {0})\n"
        "import montezarr as mz\n"
        "assert mz.backend('threads').workers == 1\n"
        "assert mz.backend('processes', -2).workers == 1\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=PATIENCE)
