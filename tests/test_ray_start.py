"""A session of Ray that does not start in its time: it is started again, and leaves no process."""

from contextlib import suppress

import numpy as np
import psutil
import pytest
from patience import until

import montezarr as mz

ray = pytest.importorskip("ray")

TIMED_OUT = "The current node timed out during startup."


def slow_starts(monkeypatch, count):
    """Have the first starts of Ray end as they do where its processes take longer than it waits."""
    from ray._private import services

    get_node, nodes = services.get_node, []

    def late(*args, **kwargs):
        nodes.append([child.pid for child in psutil.Process().children(recursive=True)])
        if len(nodes) <= count:
            raise Exception(TIMED_OUT)  # noqa: TRY002 - Ray has no class for it
        return get_node(*args, **kwargs)

    monkeypatch.setattr(services, "get_node", late)
    return nodes


def running(pids):
    """Return the commands of those of some processes that have not ended."""
    found = []
    for pid in filter(psutil.pid_exists, pids):
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            if process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline()))
    return found


def paths(place):
    engine = mz.MonteCarloEngine(mz.GeometricBrownianMotion(mu=0.05, sigma=0.2))
    result = engine.simulate(40, 5, 1.0, parallel=True, backend=place, n_jobs=1, seed=1)
    return result.dataset.x.values


def test_a_session_of_ray_that_does_not_start_is_started_again(monkeypatch):
    nodes = slow_starts(monkeypatch, 1)
    assert np.array_equal(paths("ray"), paths("synchronous"))
    assert nodes[0]
    until(lambda: not running(nodes[0]), lambda: f"the end of {running(nodes[0])}")


def test_a_start_of_ray_that_fails_twice_is_an_error_and_leaves_no_process(monkeypatch):
    nodes = slow_starts(monkeypatch, 2)
    with pytest.raises(mz.BackendError, match=r"expected Ray to start.*timed out"):
        paths("ray")
    assert len(nodes) == 2
    started = nodes[0] + nodes[1]
    until(lambda: not running(started), lambda: f"the end of {running(started)}")
