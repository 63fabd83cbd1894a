"""A writer of events is killed, also while its store grows: the bytes are those of a quiet run."""

import importlib.util
import os
import shutil
import subprocess
import sys

import pytest
from stores import files

import montezarr as mz

MODEL = """
import os, sys
import numpy as np
import montezarr as mz

def queue(rng):
    n = rng.poisson(3.0)
    return {"t": np.sort(rng.random(n)), "mark": rng.integers(0, 9, n)}

def paths(room):
    dims = {"t": ("event",), "mark": ("event",)}
    return mz.simulate(queue, 5220, seed=5, dims=dims, max_events=room, chunks=1024)

if __name__ == "__main__":
    path, room, fault, backend = sys.argv[1:5]
    with mz.backend(backend, n_jobs=2):
        if fault != "none":
            from montezarr.store import _faults
            _faults._fault = f"{fault}={os.getpid()}"
        mz.write(paths(int(room)), path, storage=mz.Storage(compression="zstd"))
"""

KILLED = ("chunk.after_rename@1", "commit.torn@3")
GROWING = ("publish.arrays@0", "chunk.after_rename@4")


@pytest.fixture(autouse=True)
def in_this_process():
    with mz.backend("threads", 1):
        yield


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The model, as the processes have it."""
    place = tmp_path_factory.mktemp("model") / "queue_model.py"
    place.write_text(MODEL)
    spec = importlib.util.spec_from_file_location("queue_model", place)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def run(model, path, room, fault="none", backend="threads"):
    command = [sys.executable, model.__file__, path, room, fault, backend]
    done = subprocess.run(
        list(map(str, command)), check=False, capture_output=True, text=True, env=os.environ
    )
    return done.returncode, done.stderr


def check(store, model, room, fresh):
    assert not mz.verify(store, 3, ds=model.paths(room)).problems
    assert files(store) == files(fresh)


@pytest.mark.parametrize(
    "fault", [KILLED[0], *(pytest.param(f, marks=pytest.mark.slow) for f in KILLED[1:])]
)
def test_a_killed_writer_is_taken_up(tmp_path, model, fault):
    assert run(model, tmp_path / "s", 20, fault)[0] == -9
    assert run(model, tmp_path / "s", 20)[0] == 0
    assert run(model, tmp_path / "fresh", 20)[0] == 0
    check(tmp_path / "s", model, 20, tmp_path / "fresh")


@pytest.mark.slow
@pytest.mark.parametrize("fault", GROWING)
def test_a_writer_that_is_killed_while_the_store_grows_is_taken_up(tmp_path, model, fault):
    store, quiet = tmp_path / "s", tmp_path / "quiet"
    code, text = run(model, store, 10)
    assert code == 1
    assert "max_events = 10" in text
    shutil.copytree(store, quiet)
    assert run(model, store, 26, fault)[0] == -9
    assert not mz.verify(store, 1).problems
    assert run(model, store, 26, backend="processes")[0] == 0
    assert run(model, quiet, 26)[0] == 0
    check(store, model, 26, quiet)
