"""Chunks follow the memory of the workers of a Client, and what Dask computes fits into it."""

import json
import os
import subprocess
import sys

import pytest

from montezarr.run import chunk_policy

SETUP = """
import json, logging, sys, threading, time
import dask
import distributed
import montezarr as mz

heston = mz.Heston(mu=0.05, kappa=1.5, theta=0.04, xi=0.3, rho=-0.7)


def paths(n):
    return mz.simulate(heston, n_paths=n, T=52, dt=1 / 52, seed=1, x0={"s": 100.0, "v": 0.04})


options = {
    "n_workers": 2, "threads_per_worker": 1, "memory_limit": "600MiB",
    "dashboard_address": "127.0.0.1:0", "silence_logs": logging.CRITICAL,
}
"""

IN_PROCESS = """
free = paths(4 * 10**6).chunksizes["path"][0]
found = {"free": free}
with (
    distributed.LocalCluster(**options, processes=False) as cluster,
    distributed.Client(cluster) as client,
):
    with mz.backend(client) as place:
        found["worker_bytes"] = place.worker_bytes
    ds = paths(4 * 10**6)
    found |= {"chunk": ds.chunksizes["path"][0], "dask_bytes": mz.plan(ds).dask_bytes}
found["after"] = paths(4 * 10**6).chunksizes["path"][0]
print(json.dumps(found))
"""

IN_PROCESSES = """
if __name__ == "__main__":
    options["host"] = "127.0.0.1"
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        client.wait_for_workers(2)
        begun = client.scheduler_info(n_workers=-1)["workers"]
        ds = paths(int(sys.argv[1]))
        wanted = [ds.s.mean("path"), ds.v.mean("path"), (ds.s * ds.v).mean("path")]
        futures = client.compute([array.data for array in wanted])
        means = [float(future.result(timeout=300)[0]) for future in futures]
        left = client.scheduler_info(n_workers=-1)["workers"]
        print(json.dumps({"means": means, "same": sorted(begun) == sorted(left)}))
"""


def run(program, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", SETUP + program, *arguments], capture_output=True, text=True,
        check=True, env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def test_chunks_of_an_active_client_are_those_of_its_smallest_worker():
    found = run(IN_PROCESS)
    assert found["worker_bytes"] == 600 * 2**20
    assert found["chunk"] < found["free"] == found["after"]
    room = chunk_policy.plain_room(found["worker_bytes"])
    assert found["dask_bytes"] == 6 * found["chunk"] * 53 * 2 * 8 <= room


@pytest.mark.slow
def test_several_means_of_several_variables_fit_into_small_workers(tmp_path):
    script = tmp_path / "means.py"
    script.write_text(SETUP + IN_PROCESSES)
    done = subprocess.run(
        [sys.executable, str(script), "600000"], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )  # fmt: skip
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["means"] == pytest.approx([100.0, 0.04, 4.0])
    assert found["same"], "no worker was killed"
