"""A store grows in three steps, each killed and taken up elsewhere: it is that of one fresh run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from stores import files, gbm_paths

import montezarr as mz

DRIVER = """
import os, sys
path, n, backend, per_task, fault = sys.argv[1:6]
if fault != "none":
    os.environ["MONTEZARR_FAULT"] = f"{fault}={os.getpid()}"
import montezarr as mz
if __name__ == "__main__":
    with mz.backend(backend, n_jobs=2):
        mz.extend(path, int(n), chunks_per_task=int(per_task))
"""

STEPS = [
    (4000, "threads", 2, "chunk.after_rename@2", "processes"),
    (7168, "processes", 3, "commit.torn@5", "dask"),
    (9500, "dask", 1, "publish.arrays@*", "threads"),
    (11000, "threads", 4, "finish.journal@0", "threads"),
]
"""Paths, where it runs, chunks of a task, where it is killed, and where it goes on."""


def run(tmp_path, *arguments):
    driver = tmp_path / "driver.py"
    driver.write_text(DRIVER)
    command = [sys.executable, str(driver), *map(str, arguments)]
    return subprocess.run(command, check=False, capture_output=True, text=True, env=os.environ)


@pytest.mark.slow
@pytest.mark.parametrize("statistics", [None, ["mean", "q05"]])
def test_three_steps_with_a_kill_in_each_make_the_fresh_run(tmp_path, statistics):
    grown = tmp_path / "grown.zarr"
    mz.write(gbm_paths(n_paths=2500), grown, statistics=statistics)
    seen = 2500
    for n, backend, per_task, fault, other in STEPS:
        killed = run(tmp_path, grown, n, backend, per_task, fault)
        assert killed.returncode == -9, killed.stderr
        shown = mz.open(grown)
        assert shown.sizes["path"] >= seen
        assert (shown.x == gbm_paths(n_paths=n).x[: shown.sizes["path"]]).all()
        done = run(tmp_path, grown, n, other, max(1, 5 - per_task), "none")
        assert done.returncode == 0, done.stderr
        seen = n
    mz.write(gbm_paths(n_paths=11000), tmp_path / "fresh.zarr", statistics=statistics)
    assert files(grown) == files(tmp_path / "fresh.zarr")
    assert not (Path(grown) / "montezarr/lock").exists()


def test_a_first_step_that_was_killed_goes_on_with_the_same_line(tmp_path):
    grown = tmp_path / "grown.zarr"
    mz.write(gbm_paths(n_paths=2500), grown)
    killed = run(tmp_path, grown, 6000, "threads", 1, "chunk.after_rename@2")
    assert killed.returncode == -9, killed.stderr
    assert mz.open(grown).sizes["path"] == 2500  # the old last chunk, drawn again, is none yet
    mz.extend(grown, 6000)
    mz.write(gbm_paths(n_paths=6000), tmp_path / "fresh.zarr")
    assert files(grown) == files(tmp_path / "fresh.zarr")
