"""What needs a cluster in the docs: blocks that start one, the job script, workers by hand."""

import ast
import json
import os
import re
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
from pages import PAGES, name, run
from pages import blocks as python_blocks
from patience import PATIENCE, until

import montezarr as mz

PAGE = Path(__file__).parents[1] / "docs/how-to/cluster.md"


# --- blocks that start a cluster ---------------------------------------------------------------

CLUSTER_PAGES = [page for page in PAGES if any(b.needs_cluster for b in python_blocks(page))]


@pytest.mark.parametrize("page", CLUSTER_PAGES, ids=name)
def test_pages_with_a_cluster_run_from_top_to_bottom(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    run(page, with_cluster=True)


# --- batch systems ---------------------------------------------------------------------------


def normalised(script):
    """Return the lines of a job script without what differs from machine to machine."""
    script = re.sub(r"^\S+ -m distributed", "PYTHON -m distributed", script, flags=re.MULTILINE)
    return re.sub(r"tcp://[\d.]+:\d+", "ADDRESS", script).strip().splitlines()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def loopback_interfaces():
    addresses = psutil.net_if_addrs().items()
    return [name for name, found in addresses if any(a.address == "127.0.0.1" for a in found)]


def test_the_job_script_of_the_page_is_what_dask_jobqueue_prints():
    dask_jobqueue = pytest.importorskip("dask_jobqueue")
    (code,) = [block for block in blocks("text") if "SLURMCluster(" in block]
    (call,) = [
        node
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "SLURMCluster"
    ]
    options = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
    assert options == {
        "cores": 1, "processes": 1, "memory": "4GiB", "walltime": "02:00:00", "interface": "ib0"
    }  # fmt: skip
    # This machine need not have ib0, and shall listen on loopback only.
    (options["interface"],) = loopback_interfaces()
    local = {"dashboard_address": "127.0.0.1:0"}
    with dask_jobqueue.SLURMCluster(n_workers=0, scheduler_options=local, **options) as cluster:
        assert cluster.scheduler_address.startswith("tcp://127.0.0.1:")
        script = cluster.job_script().replace(
            f"--interface {options['interface']}", "--interface ib0"
        )
    (shown,) = [block for block in blocks("text") if block.startswith("#!")]
    shown = normalised(shown)
    assert shown == normalised(script)
    assert "#SBATCH --cpus-per-task=1" in shown
    assert "#SBATCH --mem=4G" in shown
    assert "#SBATCH -t 02:00:00" in shown
    assert " --nthreads 1 --memory-limit 4.00GiB " in shown[-1]


# --- what does not run -----------------------------------------------------------------------


def test_the_code_that_does_not_run_here_is_python():
    found = [block for block in blocks("text") if not block.startswith("#!")]
    assert len(found) == 6
    for block in found:
        compile(block, str(PAGE), "exec")


def test_the_options_in_the_commands_of_the_page_exist():
    from distributed.cli import dask_scheduler, dask_worker

    known = {"scheduler": dask_scheduler.main, "worker": dask_worker.main}
    seen = 0
    for kind, command in re.findall(r"^\S+\$ dask (\w+) (.*)$", "".join(blocks("console")), re.M):
        options = {name for option in known[kind].params for name in option.opts}
        used = set(re.findall(r"--[a-z-]+", command))
        assert used <= options, used - options
        seen += 1
    assert seen == 5


# --- started by hand -------------------------------------------------------------------------


class Machines:
    """A scheduler and workers as processes of their own, on loopback."""

    def __init__(self, folder):
        self.folder = folder
        self.file = folder / "scheduler.json"
        self.started = []

    def scheduler(self):
        self.run("scheduler", "--host", "127.0.0.1", "--port", "0")
        until(self.is_up, "scheduler")
        self.address = json.loads(self.file.read_text())["address"]

    def run(self, kind, *options, python_path=None):
        environment = dict(os.environ)
        if python_path is not None:
            rest = environment.get("PYTHONPATH")
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(python_path), rest]))
        command = [sys.executable, "-m", "dask", kind, *options]
        # Without the dashboard there is still a server of HTTP, on all interfaces if not told.
        command += ["--scheduler-file", str(self.file), "--no-dashboard"]
        command += ["--dashboard-address", "127.0.0.1:0"]
        with (self.folder / f"{kind}-{len(self.started)}.log").open("wb") as log:
            process = subprocess.Popen(
                command, cwd=self.folder, env=environment, stdout=log, stderr=subprocess.STDOUT
            )
        self.started.append(process)

    def worker(self, name, python_path=None):
        options = ["--host", "127.0.0.1", "--nthreads", "1", "--name", name]
        options += ["--local-directory", str(self.folder)]
        self.run("worker", *options, python_path=python_path)

    def listening(self):
        """Return the addresses on which the processes listen."""
        family = [psutil.Process(process.pid) for process in self.started]
        family += [child for parent in family for child in parent.children(recursive=True)]
        return {
            connection.laddr.ip
            for process in family
            for connection in process.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        }

    def is_up(self):
        assert self.started[0].poll() is None, (self.folder / "scheduler-0.log").read_text()
        try:
            return bool(json.loads(self.file.read_text())["address"])
        except (OSError, ValueError):  # not there yet, or half written
            return False

    def end(self):
        """End what was started, with all that it has started itself, and return who is left."""
        family = []
        for process in self.started:
            if process.poll() is None:
                parent = psutil.Process(process.pid)
                family += [parent, *parent.children(recursive=True)]
        # Asked first, so that each one reaps its own; the scheduler last.
        for process in reversed(self.started):
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        for process in self.started:
            process.wait(PATIENCE)
        return psutil.wait_procs(family, timeout=PATIENCE)[1]


@contextmanager
def machines(folder):
    before = set(psutil.Process().children(recursive=True))
    made = Machines(folder)
    try:
        made.scheduler()
        yield made
    finally:
        alive = made.end()
    assert not alive
    assert set(psutil.Process().children(recursive=True)) <= before


def wait_for_workers(address, count):
    """Wait as the page says, with a Client of our own that is closed again."""
    from distributed import Client

    with Client(address, set_as_default=False) as client:
        client.wait_for_workers(count, timeout=PATIENCE)
        return client.run(os.getpid)


def test_workers_started_by_hand_draw_the_same_bits_and_all_of_them_draw(tmp_path):
    from distributed import get_task_stream

    process = mz.OrnsteinUhlenbeck(theta=2.0, mu=1.0, sigma=0.3)
    arguments = {"x0": 1.0, "parallel": True, "seed": 1, "batch_size": 250}

    def engine(where):
        result = mz.MonteCarloEngine(process).simulate(3000, 20, backend=where, **arguments)
        return result.dataset.x.values

    ds = mz.simulate(process, n_paths=6000, T=20, x0=1.0, seed=1, chunks=1024)
    wanted = engine("synchronous")
    with mz.backend("synchronous"):
        wanted_mean = ds.x.mean().compute()

    with machines(tmp_path) as cluster:
        cluster.worker("one")
        cluster.worker("two")
        pids = wait_for_workers(cluster.address, 2)
        assert len(set(pids.values())) == 2
        assert os.getpid() not in pids.values()
        assert cluster.listening() == {"127.0.0.1"}  # so with the options that the page shows
        with mz.backend(cluster.address) as place:
            assert place.workers == 2
            assert not place.is_local
            with get_task_stream(place.client) as stream:
                by_engine = engine(place)
            workers = {task["worker"] for task in stream.data if "simulate" in str(task["key"])}
            assert workers == set(pids)
            recipes = [task for task in stream.data if str(task["key"]).startswith("recipe-")]
            assert len(recipes) == 1  # what the page says of what travels
            with get_task_stream(place.client) as stream:
                by_dask = ds.x.mean().compute()
            assert {task["worker"] for task in stream.data} <= set(pids)
            assert len(stream.data) > 1
        # The engine takes the address itself too.
        assert np.array_equal(engine(cluster.address).view(np.int64), wanted.view(np.int64))
    assert np.array_equal(by_engine.view(np.int64), wanted.view(np.int64))
    assert by_dask.values.tobytes() == wanted_mean.values.tobytes()


def test_a_worker_with_another_version_is_named(tmp_path):
    fake = tmp_path / "site" / "montezarr-9.9.9.dist-info"
    fake.mkdir(parents=True)
    (fake / "METADATA").write_text("Metadata-Version: 2.1\nName: montezarr\nVersion: 9.9.9\n")
    with machines(tmp_path) as cluster:
        cluster.worker("same")
        cluster.worker("other", python_path=fake.parent)
        wait_for_workers(cluster.address, 2)
        expected = f"montezarr 9.9.9 there, {mz.__version__} here"
        with (
            pytest.warns(mz.MontezarrWarning, match=r"montezarr 9\.9\.9 there") as caught,
            mz.backend(cluster.address),
        ):
            pass
        messages = [str(w.message) for w in caught if w.category is mz.MontezarrWarning]
        assert len(messages) == 1
        assert expected in messages[0]
        assert "install the same versions" in messages[0]
