"""Pictures of 10**7 paths take no more memory than `plan` says, and never all paths."""

import json
import os
import subprocess
import sys

import pytest

import montezarr as mz

N, T = 10**7, 20

PROGRAM = """
import json, re, sys
import numpy as np
import psutil
import montezarr as mz

PICTURES = {
    "fan": (lambda ds: ds, mz.plot.fan, mz.Quantile(mz.plot.BANDS)),
    "density": (lambda ds: ds, mz.plot.density, mz.Histogram(np.linspace(0, 300, 61))),
    "histogram": (
        lambda ds: ds.x.isel(time=-1), mz.plot.histogram, mz.Histogram(np.linspace(0, 300, 81)),
    ),
    "convergence": (
        lambda ds: (ds.x.isel(time=-1) - 105).clip(min=0).rename("payoff"),
        lambda payoff: mz.plot.convergence(mz.stream(payoff, "mean")),
        mz.Mean(),
    ),
}
name, n, T = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
made, draw, statistics = PICTURES[name]


def paths(n):
    gbm = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
    return made(mz.simulate(gbm, n_paths=n, T=T, x0=100.0, dt=1 / T, seed=42))


draw(paths(1024))  # compiled loops, fonts and modules, which no path adds to
data = paths(n)
planned = mz.plan(data, statistics).reduction_bytes
before = psutil.Process().memory_info().rss
draw(data)
# Not getrusage: a process begins with the peak of the one that started it.
status = open("/proc/self/status").read()
peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1]) * 1024
print(json.dumps({"grown": peak - before, "planned": planned}))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process alone is in /proc")
@pytest.mark.parametrize("name", ["fan", "density", "histogram", "convergence"])
def test_a_picture_of_many_paths_takes_the_memory_that_the_plan_says(name):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, name, str(N), str(T)],
        capture_output=True, text=True, check=True, env={**os.environ, "MPLBACKEND": "Agg"},
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert found["grown"] <= found["planned"] < 128 * 2**20
    assert found["planned"] < N * (T + 1) * 8 / 10, "a tenth of all paths"


def test_the_memory_of_a_plan_does_not_depend_on_the_number_of_paths():
    plans = [
        mz.plan(mz.simulate(mz.BrownianMotion(), n_paths=n, T=T, seed=1), mz.Quantile())
        for n in (10**6, 10**9)
    ]
    assert plans[0].reduction_bytes == plans[1].reduction_bytes > 2**24
    assert f"{plans[0].reduction_bytes / 2**20:.1f} MiB of memory" in " ".join(
        str(plans[0]).split()
    )
    assert mz.plan(mz.simulate(mz.BrownianMotion(), n_paths=2000, T=T)).reduction_bytes is None


def test_of_one_time_of_stored_paths_whole_chunks_are_read_and_planned(tmp_path):
    ds = mz.simulate(mz.BrownianMotion(), n_paths=4096, T=99, seed=1, chunks=2048)
    stored = mz.write(ds, tmp_path / "a.zarr").isel(time=-1)
    chunk = 2048 * 100 * 8
    # An expression that looks at a whole chunk is computed chunk by chunk.
    drawn = (ds - ds.mean("path")).isel(time=-1)
    for data in (stored, drawn):
        with mz.backend("synchronous"):
            assert mz.plan(data, "mean").reduction_bytes > 2**24 + 2 * chunk
